# What boots the virtual T-Box and builds the packages: emulators, a TPM, cross compiler. npm's socketcan is compared with our
# receiver in the guest and the bench; where it cannot be built they say so.
set -e
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends qemu-system-x86 qemu-system-arm swtpm cpio kmod e2fsprogs \
  binutils g++ gcc g++-aarch64-linux-gnu binutils-aarch64-linux-gnu systemd bash-completion >/dev/null
timeout 180 npm install --prefix .bench/socketcan --no-audit --no-fund --loglevel=error socketcan@4.3.1 >/dev/null 2>&1 ||
  echo "npm's socketcan could not be built: it is not compared"
