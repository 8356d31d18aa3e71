#!/usr/bin/env python3
"""Times branches in eight bits in lcp, ONNX Runtime and OpenVINO: batch 1, one thread, in turns.

    Benchmarks/engines/int8.py [--lcp .build/release/lcp] [--rounds 5] [--json] [NETWORK:BRANCHES ...]

Needs numpy, pillow and onnxruntime from PyPI, and OpenVINO where it is to be compared. Every network gets random weights, is split,
quantised with pictures of noise and exported, so that all engines compute the same branch: theirs is the ONNX file with
QuantizeLinear and DequantizeLinear, from which both make operations in eight bits. Before anything is timed, results are compared.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

os.environ["OMP_NUM_THREADS"] = "1"
import numpy
import onnxruntime
from PIL import Image

DEFAULT = ["alexnet:8", "vgg16:8", "resnet18:8", "mobilenet:8", "resnet50:8"]


def pictures(folder, side, channels):
    """Four pictures of noise in two classes."""
    random = numpy.random.default_rng(1)
    for index in range(4):
        path = folder / "pictures" / str(index % 2)
        path.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (side, side, channels), dtype=numpy.uint8)
        Image.fromarray(pixels.squeeze()).save(path / f"{index}.png")
    return folder / "pictures"


class ONNXRuntime:
    name = "ONNX Runtime"

    def __init__(self, path, image):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.binding = self.session.io_binding()
        self.binding.bind_cpu_input(self.session.get_inputs()[0].name, image)
        self.binding.bind_output(self.session.get_outputs()[0].name, "cpu")

    def run(self):
        self.session.run_with_iobinding(self.binding)

    def result(self):
        self.run()
        return self.binding.copy_outputs_to_cpu()[0]


class OpenVINO:
    name = "OpenVINO"

    def __init__(self, path, image):
        import openvino
        core = openvino.Core()
        model = core.read_model(str(path))
        model.reshape(list(image.shape))
        compiled = core.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"})
        self.request = compiled.create_infer_request()
        self.request.set_input_tensor(openvino.Tensor(image))

    def run(self):
        self.request.infer()

    def result(self):
        self.run()
        return self.request.get_output_tensor().data


def timed(engine):
    """The fastest of a tenth of a second, microseconds."""
    fastest, end = float("inf"), time.perf_counter() + 0.2
    while time.perf_counter() < end:
        start = time.perf_counter()
        engine.run()
        fastest = min(fastest, time.perf_counter() - start)
    return fastest * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lcp", default=".build/release/lcp")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("case", nargs="*", default=DEFAULT)
    options = parser.parse_args()

    def lcp(*arguments):
        return subprocess.run([options.lcp, *map(str, arguments)], check=True, capture_output=True, text=True).stdout

    engines = [ONNXRuntime]
    try:
        import openvino  # noqa: F401
        engines.append(OpenVINO)
    except ImportError:
        print("OpenVINO is not installed: left out", file=sys.stderr)
    rows = []
    for case in options.case:
        network, branches = case.split(":")
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            lcp("model", "split", network, "--branches", branches, "--classes", 2, "--out", folder / "float")
            shape = json.loads(lcp("bench", "branch", "--model", folder / "float", "--runs", 1, "--json"))["input"]
            data = pictures(folder, shape["height"], shape["channels"])
            lcp("quantize", folder / "float", "--data", f"folder:{data}", "--images", 4, "--out", folder / "int8")
            lcp("model", "export", folder / "int8", "--normalized", "--out", folder / "onnx")
            random = numpy.random.default_rng(2)
            image = random.uniform(-1, 1, (1, shape["channels"], shape["height"], shape["width"])).astype(numpy.float32)
            others = [engine(folder / "onnx" / "branch-0.onnx", image) for engine in engines]
            results = [engine.result().copy() for engine in others]
            scale = max(abs(results[0]).max(), 1e-9)
            apart = max(abs(result - results[0]).max() for result in results) / scale
            times = {"lcp": []} | {engine.name: [] for engine in others}
            for _ in range(options.rounds):
                told = json.loads(lcp("bench", "branch", "--model", folder / "int8", "--json"))
                times["lcp"].append(told["fastest_us"])
                for engine in others:
                    times[engine.name].append(timed(engine))
        medians = {engine: statistics.median(values) for engine, values in times.items()}
        best = min(value for engine, value in medians.items() if engine != "lcp")
        rows.append({"branch": f"{network}-split{branches}", "us": medians, "ratio": medians["lcp"] / best,
                     "others_apart": float(apart)})
    if options.json:
        print(json.dumps({"int8": rows}))
        return
    names = list(rows[0]["us"])
    print(f"branch 0 in eight bits, 1 thread, batch 1, µs, fastest, median of {options.rounds} rounds in turns")
    print(f"{'':22}" + "".join(f"{name:>14}" for name in names) + f"{'lcp / best':>12}")
    for row in rows:
        print(f"{row['branch']:22}" + "".join(f"{row['us'][name]:14.1f}" for name in names) + f"{row['ratio']:12.2f}")


main()
