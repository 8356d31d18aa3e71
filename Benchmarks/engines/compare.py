#!/usr/bin/env python3
"""Times one branch of a bundle in ONNX Runtime and OpenVINO beside lcp: one thread, batch 1, the library and not Python.

    Benchmarks/engines/compare.py [--lcp .build/release/lcp] [--model Models/lenet-split4] [--branch 0] [--rounds 7]

Needs numpy, onnx, onnxruntime and openvino from PyPI. ONNX Runtime runs through IOBinding and OpenVINO on preallocated tensors,
as they are meant to run. Python's own share of a call is measured and taken off: the branch is put into a graph once and
several times over, one after the other, and the slope of the time over the copies is the library's time for one.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import time

os.environ["OMP_NUM_THREADS"] = "1"
import numpy
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper

parser = argparse.ArgumentParser()
root = pathlib.Path(__file__).resolve().parents[2]
parser.add_argument("--lcp", default=str(root / ".build/release/lcp"))
parser.add_argument("--model", default=str(root / "Models/lenet-split4"))
parser.add_argument("--branch", type=int, default=0)
parser.add_argument("--rounds", type=int, default=7)
arguments = parser.parse_args()


def read_safetensors(path):
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    return {name: numpy.frombuffer(data[8 + size + entry["data_offsets"][0]:8 + size + entry["data_offsets"][1]],
                                   dtype=numpy.float32).reshape(entry["shape"])
            for name, entry in header.items() if name != "__metadata__"}


folder = pathlib.Path(arguments.model)
manifest = json.loads((folder / "model.json").read_text())
network = manifest["network"]
shape = network["input"]
layers = network["branches"][arguments.branch]
weights = read_safetensors(folder / f"branch-{arguments.branch}.safetensors")
merge = read_safetensors(folder / "merge.safetensors")["weight"]
features = merge.shape[1] // len(network["branches"])
partial = manifest["outputs"][arguments.branch] == "partial_logits"
columns = merge[:, arguments.branch * features:(arguments.branch + 1) * features]


def graph(copies):
    """The branch `copies` times. Each copy reads the same image plus nothing of the last one's result, so that none is saved."""
    nodes, initializers = [], []

    def constant(name, value):
        initializers.append(helper.make_tensor(name, TensorProto.FLOAT, value.shape, numpy.ascontiguousarray(value).tobytes(), raw=True))
        return name

    for name, value in weights.items():
        constant(name, value)
    if partial:
        constant("columns", columns)
        constant("zero", numpy.zeros(columns.shape[0], numpy.float32))
    constant("nothing", numpy.zeros((1, 1), numpy.float32))
    source = "image"
    for copy in range(copies):
        current = source
        for index, layer in enumerate(layers):
            out = f"c{copy}_{index}"
            kind = layer["type"]
            if kind == "convolution":
                pad = layer.get("padding", 0)
                nodes.append(helper.make_node(
                    "Conv", [current, f"layers.{index}.weight", f"layers.{index}.bias"], [out],
                    kernel_shape=[layer["kernel"]] * 2, strides=[layer.get("stride", 1)] * 2, pads=[pad] * 4))
            elif kind == "max_pool":
                nodes.append(helper.make_node(
                    "MaxPool", [current], [out], kernel_shape=[layer["size"]] * 2, strides=[layer["stride"]] * 2))
            elif kind == "relu":
                nodes.append(helper.make_node("Relu", [current], [out]))
            else:
                nodes.append(helper.make_node("Flatten", [current], [out + "f"]))
                nodes.append(helper.make_node(
                    "Gemm", [out + "f", f"layers.{index}.weight", f"layers.{index}.bias"], [out], transB=1))
            current = out
        if partial:
            nodes.append(helper.make_node("Gemm", [current, "columns", "zero"], [f"r{copy}"], transB=1))
            current = f"r{copy}"
        if copy + 1 < copies:
            # The next copy's image is the same, but a library cannot know that: it waits for this one's first number.
            nodes.append(helper.make_node("ReduceMax", [current], [f"m{copy}"], keepdims=1))
            nodes.append(helper.make_node("Mul", [f"m{copy}", "nothing"], [f"z{copy}"]))
            nodes.append(helper.make_node("Add", ["image", f"z{copy}"], [f"i{copy}"]))
            source = f"i{copy}"
        last = current
    nodes.append(helper.make_node("Identity", [last], ["out"]))
    count = columns.shape[0] if partial else features
    return helper.make_model(
        helper.make_graph(
            nodes, "branch",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, shape["channels"], shape["height"], shape["width"]])],
            [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, count])], initializers),
        opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


image = numpy.random.default_rng(1).standard_normal(
    (1, shape["channels"], shape["height"], shape["width"])).astype(numpy.float32)


def per_call(call, seconds=0.15):
    for _ in range(50):
        call()
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for _ in range(20):
            call()
        count += 20
    return (time.perf_counter() - start) / count * 1e6


def with_onnxruntime(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    value = onnxruntime.OrtValue.ortvalue_from_numpy(image)
    binding.bind_ortvalue_input("image", value)
    result = onnxruntime.OrtValue.ortvalue_from_shape_and_type([1, session.get_outputs()[0].shape[1]], numpy.float32)
    binding.bind_ortvalue_output("out", result)
    return (lambda: session.run_with_iobinding(binding)), result.numpy


def with_openvino(model):
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU", {
        "INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    request.set_input_tensor(openvino.Tensor(image, shared_memory=True))
    result = numpy.zeros(compiled.output(0).shape, numpy.float32)
    request.set_output_tensor(openvino.Tensor(result, shared_memory=True))
    return request.infer, lambda: result


few, many = 1, 9
engines = {}
for name, make in [("ONNX Runtime " + onnxruntime.__version__, with_onnxruntime),
                   ("OpenVINO " + openvino.__version__.split("-")[0], with_openvino)]:
    one, value = make(graph(few))
    one()
    reference = value().copy()
    several, value = make(graph(many))
    several()
    assert numpy.allclose(value(), reference, atol=1e-4), "the copies do not compute the same"
    engines[name] = (one, several)

times = {name: [] for name in engines}
ours = []
for _ in range(arguments.rounds):
    report = json.loads(subprocess.run(
        [arguments.lcp, "bench", "branch", "--model", arguments.model, "--branch", str(arguments.branch), "--json"],
        capture_output=True, check=True, text=True).stdout)
    ours.append(report["median_us"])
    for name, (one, several) in engines.items():
        times[name].append((per_call(several) - per_call(one)) / (many - few))

mine = statistics.median(ours)
print(f"branch {arguments.branch} of {manifest['name']}, one thread, batch 1, median of {arguments.rounds} rounds in turns")
print(f"  {'lcp':24} {mine:8.1f} µs")
for name, values in times.items():
    print(f"  {name:24} {statistics.median(values):8.1f} µs   {statistics.median(values) / mine:5.2f} × lcp")
