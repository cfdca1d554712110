# The reference Merkle verifier, written in Go, judges our proofs; without Go or its modules that test is skipped.
command -v go >/dev/null || DEBIAN_FRONTEND=noninteractive timeout 180 apt-get install -y -q --no-install-recommends golang-go >/dev/null 2>&1
mkdir -p .bench/judges
out=$PWD/.bench/judges/merkle-judge
(cd .ci/steps/merkle-judge && CGO_ENABLED=0 timeout 180 go build -trimpath -o "$out" .) ||
  echo 'the Merkle verifier in Go could not be built: it does not judge'
exit 0
