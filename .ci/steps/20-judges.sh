# python-can judges the log readers; without it that test is skipped with a message.
DEBIAN_FRONTEND=noninteractive timeout 120 apt-get install -y -q --no-install-recommends python3-venv >/dev/null 2>&1 || true
python3 -m venv .bench/judges >/dev/null 2>&1 &&
  timeout 120 .bench/judges/bin/pip install -q --disable-pip-version-check python-can==4.6.1 >/dev/null 2>&1 ||
  echo 'python-can could not be installed: logs are not judged'
exit 0
