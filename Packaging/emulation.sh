# Runs arm64 programs on amd64; sourced by test.sh.
check_emulated() { echo "not yet"; }
