#!/bin/sh
# Builds Examples/embedded-worker, a program with a worker in it, and sees that it brings no data sets, no YAML, no demo and no
# command line with it, and that it ends with a sentence where there is no broker.
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
if output=$("$program" mqtt://127.0.0.1:1 kitchen 2>&1); then
    echo "check-embedding: without a broker the program ended with 0" >&2
    exit 1
fi
case $output in
    *"Error: cannot connect to mqtt://127.0.0.1:1"*) ;;
    *) echo "check-embedding: without a broker the program said: $output" >&2; exit 1 ;;
esac
echo "check-embedding: a program with a worker in it has the modules" $(cd "$scratch/debug/Modules" && echo *.swiftmodule | sed 's/\.swiftmodule//g')
