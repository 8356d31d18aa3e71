#!/usr/bin/env python3
"""Times whole networks out of ONNX files in ONNX Runtime and OpenVINO beside lcp: one thread, batch 1, in turns.

    Benchmarks/engines/whole.py [--lcp .build/release/lcp] [--rounds 5] [--json] [NETWORK ...]

A network is one of torchvision (mobilenet_v3_small, efficientnet_b0), one of lcp's zoo (dscnn, conv1d) or a file.onnx. lcp imports the
file that the others read. Their results are compared before anything is timed. ONNX Runtime runs through IOBinding, OpenVINO on
preallocated tensors. Of every round the fastest of as many runs as fit into half a second counts, of all rounds the median, so that
what else the machine does hits all alike. Needs numpy, onnxruntime and openvino from PyPI, and torch, torchvision, onnx and
onnxscript for networks of torchvision.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

os.environ["OMP_NUM_THREADS"] = "1"
import numpy
import onnxruntime
import openvino

DEFAULT = ["mobilenet_v3_small", "efficientnet_b0", "dscnn", "conv1d"]
ZOO = ["dscnn", "conv1d", "mlp"]


def exported(name, lcp, folder):
    """An ONNX file of a network."""
    if name.endswith(".onnx"):
        return pathlib.Path(name)
    if name in ZOO:
        subprocess.run([lcp, "model", "split", name, "--branches", "1", "--out", folder / "split"], check=True, capture_output=True)
        subprocess.run(
            [lcp, "model", "export", folder / "split", "--normalized", "--out", folder / "export"], check=True, capture_output=True)
        return folder / "export" / "model.onnx"
    import torch
    import torchvision

    path = folder / f"{name}.onnx"
    torch.manual_seed(1)
    model = torchvision.models.get_model(name, weights=None)
    # New networks fade every picture to the same answer.
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1
    with torch.no_grad():
        model.train()(torch.rand(8, 3, 224, 224))
    torch.onnx.export(model.eval(), (torch.rand(1, 3, 224, 224),), path, dynamo=False, verbose=False)
    return path


def fastest(run, seconds=0.5):
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best * 1e6


class Runtime:
    def __init__(self, path, image):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.binding = self.session.io_binding()
        self.image = onnxruntime.OrtValue.ortvalue_from_numpy(image)
        self.binding.bind_ortvalue_input(self.session.get_inputs()[0].name, self.image)
        self.binding.bind_output(self.session.get_outputs()[0].name)

    def run(self):
        self.session.run_with_iobinding(self.binding)

    def result(self):
        self.run()
        return self.binding.copy_outputs_to_cpu()[0].ravel()


class OpenVINO:
    def __init__(self, path, image):
        core = openvino.Core()
        model = core.read_model(str(path))
        model.reshape(list(image.shape))
        compiled = core.compile_model(
            model, "CPU", {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"})
        self.request = compiled.create_infer_request()
        self.request.set_input_tensor(openvino.Tensor(image))

    def run(self):
        self.request.infer()

    def result(self):
        self.run()
        return self.request.get_output_tensor().data.ravel()


def measured(name, lcp, rounds):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        path = exported(name, lcp, folder)
        bundle = folder / "bundle"
        subprocess.run(
            [lcp, "model", "import", path, "--mean", "0", "--std", "1", "--scale", "1/255", "--out", bundle], check=True,
            capture_output=True)
        shape = json.loads((bundle / "model.json").read_text())["network"]["input"]
        pixels = numpy.random.default_rng(1).integers(0, 256, (shape["height"], shape["width"], shape["channels"]), dtype=numpy.uint8)
        (folder / "pixels").write_bytes(pixels.tobytes())
        image = numpy.ascontiguousarray(pixels.transpose(2, 0, 1)[None].astype(numpy.float32) / 255)
        engines = {"ONNX Runtime": Runtime(path, image), "OpenVINO": OpenVINO(path, image)}
        lines = subprocess.run([lcp, "predict", bundle, folder / "pixels", "--json"], check=True, capture_output=True, text=True)
        ours = numpy.array(json.loads(lines.stdout)["logits"])
        for engine, made in engines.items():
            theirs = made.result()
            difference = abs(ours - theirs).max() / abs(theirs).max()
            assert difference < 1e-3, f"{name}: {engine} says something else than lcp, by {difference:.1e} of the largest logit"
        times = {"lcp": [], **{engine: [] for engine in engines}}
        for _ in range(rounds):
            found = subprocess.run(
                [lcp, "bench", "branch", "--model", bundle, "--threads", "1", "--json"], check=True, capture_output=True, text=True)
            times["lcp"].append(json.loads(found.stdout)["fastest_us"])
            for engine, made in engines.items():
                times[engine].append(fastest(made.run))
        return {engine: statistics.median(values) for engine, values in times.items()}


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=DEFAULT)
    parser.add_argument("--lcp", default=str(root / ".build/release/lcp"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if not arguments.json:
        print(f"{'network':22}{'lcp µs':>10}{'ONNX Runtime µs':>18}{'OpenVINO µs':>14}{'lcp / better':>14}")
    for name in arguments.networks:
        times = measured(name, arguments.lcp, arguments.rounds)
        ratio = times["lcp"] / min(times["ONNX Runtime"], times["OpenVINO"])
        if arguments.json:
            print(json.dumps({"network": name, "ratio": ratio} | {f"{key.lower().replace(' ', '_')}_us": value for key, value in times.items()}))
        else:
            print(f"{pathlib.Path(name).name:22}{times['lcp']:10.1f}{times['ONNX Runtime']:18.1f}{times['OpenVINO']:14.1f}{ratio:14.2f}", flush=True)


if __name__ == "__main__":
    main()
