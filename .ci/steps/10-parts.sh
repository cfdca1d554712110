# Real parts of the tests, from Debian.
set -e
apt-get update -q >/dev/null
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends mosquitto postgresql python3 gpsd gpsd-clients >/dev/null
# The tests start brokers and database servers of their own.
service mosquitto stop >/dev/null 2>&1 || true
service postgresql stop >/dev/null 2>&1 || true
mosquitto -h 2>&1 | head -n 1
