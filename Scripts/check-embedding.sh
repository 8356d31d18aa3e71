#!/bin/sh
# Builds Examples/embedded-worker, a program with a worker in it, and sees that it brings no data sets, no YAML, no demo and no
# command line with it, and that it waits for a broker that is not there, says so, and ends when it is asked to.
set -eu
cd "$(dirname "$0")/.."
scratch=.build/embedding
${SWIFT:-swift} build --package-path Examples/embedded-worker --scratch-path "$scratch" 2>&1 | grep -E 'error|warning: unre|Compiling|complete' |
    tail -n 3
program=$scratch/debug/embedded-worker
[ -x "$program" ] || { echo "check-embedding: the example was not built: see above" >&2; exit 1; }
found=
for module in LCPDatasets LCPSensor LCPSettings LCPLocal LCPTraining LCPEvaluation YAML Charts ONNX FaultInjection ArgumentParser \
    SwiftProtobuf; do
    [ -e "$scratch/debug/Modules/$module.swiftmodule" ] && found="$found $module"
done
[ -z "$found" ] || { echo "check-embedding: a worker brings with it:$found" >&2; exit 1; }
[ -e "$scratch/debug/Modules/LCPPipeline.swiftmodule" ] || { echo "check-embedding: no modules in $scratch/debug/Modules" >&2; exit 1; }
# Port 1 is nobody's.
said=$(mktemp)
"$program" mqtt://127.0.0.1:1 kitchen >"$said" 2>&1 &
worker=$!
trap 'kill "$worker" 2>/dev/null || true; rm -f "$said"' EXIT
tries=0
until grep -q "cannot connect to mqtt://127.0.0.1:1.*; waiting for it" "$said"; do
    tries=$((tries + 1))
    if [ $tries -gt 200 ] || ! kill -0 "$worker" 2>/dev/null; then
        echo "check-embedding: without a broker the program said: $(cat "$said")" >&2
        exit 1
    fi
    sleep 0.1
done
kill "$worker"
wait "$worker" 2>/dev/null || true
echo "check-embedding: a program with a worker in it has the modules" $(cd "$scratch/debug/Modules" && echo *.swiftmodule | sed 's/\.swiftmodule//g')
