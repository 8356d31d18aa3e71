#!/bin/sh
# Measures this machine: the messages beside bare C, one branch, and the engines and PyTorch from PyPI where they are installed.
set -eu
cd "$(dirname "$0")/.."
swift build -c release --package-path Benchmarks >/dev/null
lcp=.build/release/lcp
echo "messages, beside the same pattern in bare C (latency ratio below 1, frames ratio above 1: lcp is faster)"
"$lcp" bench mqtt --baseline Benchmarks/.build/release/bare-mqtt "$@"
echo
for model in lenet-split1 lenet-split2 lenet-split4 lenet-split8; do "$lcp" bench branch --model "$model"; done
echo
if [ "$(id -u)" = 0 ] && command -v ip >/dev/null 2>&1; then
    results=$(mktemp -d)
    "$lcp" experiment Configs/experiments/speedup-quick.json --out "$results" || true
    rm -r "$results"
else
    echo "emulated devices: skipped, because they need root and iproute2"
fi
echo
python=${PYTHON:-python3}
if "$python" -c 'import numpy, onnx, onnxruntime, openvino, ncnn' 2>/dev/null; then
    "$python" Benchmarks/engines/compare.py --lcp "$lcp" 2>/dev/null
else
    echo "engines: skipped, because numpy, onnx, onnxruntime, openvino and ncnn are not installed (pip install them, or name a"
    echo "Python that has them in PYTHON)"
fi
echo
if "$python" -c 'import numpy, torch' 2>/dev/null; then
    "$python" Benchmarks/training/compare.py --lcp "$lcp"
else
    echo "training steps: skipped, because numpy and torch are not installed (pip install them, or name a Python that has them in"
    echo "PYTHON)"
fi
