# python-can judges the log readers, cantools the decoders; without them those tests are skipped with a message.
DEBIAN_FRONTEND=noninteractive timeout 120 apt-get install -y -q --no-install-recommends python3-venv >/dev/null 2>&1 || true
python3 -m venv .bench/judges >/dev/null 2>&1 &&
  timeout 240 .bench/judges/bin/pip install -q --disable-pip-version-check python-can==4.6.1 cantools==45.1.0 >/dev/null 2>&1 ||
  echo 'python-can and cantools could not be installed: logs and decoders are not judged'
exit 0
