#!/bin/sh
# Runs shipped models and random layers on simulated arrays and on this processor: every bit has to be the same, and every clock as the
# model counts. Called by make test.
#   check.sh LCP BUILD
# BUILD has the arrays 8-32x64, yosys-8-8x8 and yosys-16-8x16. Where LCP_DATA names a folder with MNIST and CIFAR-10, pictures are of their test sets.
set -eu
lcp=$1 build=$2
fail() { echo "check.sh: $*" >&2; exit 1; }
for array in 8-32x64 yosys-8-8x8 yosys-16-8x16; do
    [ -x "$build/$array/lcp-rtl" ] || fail "there is no simulation $build/$array/lcp-rtl"
done
digits=drawn:1000 pictures=
if [ -n "${LCP_DATA:-}" ]; then
    digits=mnist:$LCP_DATA/mnist pictures=cifar10:$LCP_DATA/cifar10
else
    echo "SKIPPED: LCP_DATA names no folder with real data, so digits are drawn and other pictures random"
fi

# check ARRAY ARGUMENTS…
check() {
    array=$1
    shift
    echo "$array: $*"
    "$lcp" hardware check "$@" --simulation "$build/$array/lcp-rtl" >"$build/check.log" 2>&1 ||
        { cat "$build/check.log" >&2; fail "$* differs on $array"; }
    # The last branch stands for all.
    tail -n 1 "$build/check.log"
}

check 8-32x64 --random 40
check 8-32x64 --random 20 --slow --seed 2
check yosys-8-8x8 --random 30 --slow --seed 3
check 8-32x64 lenet-split4-int8 --data "$digits" --pictures 1000
for model in cifarnet-bn-split8-f75-int8 cifarnet-bn-split4-f75-m20-int8; do
    check 8-32x64 $model ${pictures:+--data $pictures} --pictures 100
done
for model in lenet-split1 lenet-split2 lenet-split4 lenet-split8 cifarnet-bn-split8-f75; do
    check yosys-16-8x16 $model
done
