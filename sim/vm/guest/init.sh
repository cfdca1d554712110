#!/bin/busybox sh
# The first process of the guest: devices, modules, two CAN controllers on one bus, then the program that tests.
/bin/busybox mkdir -p /proc /sys /dev /tmp /run /var/tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox mount -t tmpfs tmpfs /tmp
for module in /modules/*.ko; do /bin/busybox insmod "$module" || echo "no module $module"; done
ip=/sbin/ip
[ -x $ip ] || ip=/bin/ip
$ip link set lo up
for can in can0 can1; do
  $ip link set $can type can bitrate 500000 && $ip link set $can txqueuelen 1000 && $ip link set $can up
done
$ip link add vcan0 type vcan && $ip link set vcan0 mtu 72 && $ip link set vcan0 up
if [ -d /sys/class/net/eth0 ]; then
  $ip link set eth0 up && $ip addr add 10.0.2.15/24 dev eth0 && $ip route add default via 10.0.2.2
fi
phase=$(/bin/busybox sed -n 's/.*tollgate\.phase=\([^ ]*\).*/\1/p' /proc/cmdline)
export PATH=/usr/bin:/usr/sbin:/bin:/sbin HOME=/tmp
cd /tmp
/usr/lib/tollgate/node --disallow-code-generation-from-strings /usr/lib/tollgate/guest.js "$phase" || echo '@@ {"test":"guest program","ok":false}'
/bin/busybox sync
/bin/busybox poweroff -f
