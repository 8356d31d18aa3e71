#!/usr/bin/env python3
"""Times branches in ONNX Runtime, OpenVINO and ncnn beside lcp: batch 1, the library and not Python.

    Benchmarks/engines/compare.py [--lcp .build/release/lcp] [--rounds 5] [--threads 1] [--json] [NETWORK:BRANCHES ...]

Needs numpy, onnx, onnxruntime, openvino and ncnn from PyPI. ONNX Runtime runs through IOBinding and OpenVINO on preallocated
tensors, as they are meant to run; ncnn gets a model with normalisations and ReLUs folded in, as its own optimiser makes them.
The weights are random, He's normal, of the shapes that lcp tells: they do not change the time. Before anything is timed, the
engines' results are compared with each other.

Where Python's own share of a call matters, it is measured and taken off: a small branch is put into a graph once and several
times over, and the slope of the time over the copies is the library's time for one.
"""
import argparse
import importlib.metadata
import json
import multiprocessing
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

# Every engine has a process of its own, which reads it here.
THREADS = int(os.environ.setdefault("OMP_NUM_THREADS", "1"))
import numpy
from onnx import TensorProto, helper

DEFAULT = ["lenet:4", "cifarnet:8", "alexnet:8", "vgg16:8", "resnet18:2", "mobilenet:8"]
SMALL = 200  # microseconds: below, copies are timed
COPIES = 9


def ask(lcp, case, quick=False):
    network, branches = case.split(":")
    command = [lcp, "bench", "branch", "--network", network, "--branches", branches, "--threads", os.environ["OMP_NUM_THREADS"],
               "--json"] + (["--runs", "1"] if quick else [])
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


class Branch:
    """The layers of a branch as a list of (kind, layer, inputs, weights), with shapes CHW; value 0 is the image."""

    def __init__(self, report):
        random = numpy.random.default_rng(1)
        shape = report["input"]
        self.input = (shape["channels"], shape["height"], shape["width"])
        self.image = random.standard_normal((1, *self.input)).astype(numpy.float32)
        self.steps = []
        shapes = [self.input]
        made, current = [], 0

        def add(kind, layer, inputs, shape, **weights):
            nonlocal current
            self.steps.append((kind, layer, inputs, {name: value.astype(numpy.float32) for name, value in weights.items()}))
            shapes.append(tuple(int(number) for number in shape))
            current = len(self.steps)

        layers = report["layers"]
        if report.get("classes"):
            layers = layers + [{"type": "fully_connected", "outputs": report["classes"]}]
        for layer in layers:
            kind = layer["type"]
            channels, height, width = shapes[current]

            def window(size):
                padding, stride = layer.get("padding", 0), layer["stride"]
                return (height + 2 * padding - size) // stride + 1, (width + 2 * padding - size) // stride + 1

            if kind in ("convolution", "depthwise_convolution"):
                kernel = layer["kernel"]
                groups = channels if kind == "depthwise_convolution" else layer.get("groups", 1)
                outputs = layer.get("outputs", channels)
                fan = channels // groups * kernel * kernel
                weight = random.standard_normal((outputs, channels // groups, kernel, kernel)) * (2 / fan) ** 0.5
                arrays = {"weight": weight, "bias": numpy.zeros(outputs)} if layer.get("bias", True) else {"weight": weight}
                add("convolution", {**layer, "groups": groups}, [current], (outputs, *window(kernel)), **arrays)
            elif kind == "fully_connected":
                fan = channels * height * width
                add(kind, layer, [current], (layer["outputs"], 1, 1), bias=numpy.zeros(layer["outputs"]),
                    weight=random.standard_normal((layer["outputs"], fan)) * (2 / fan) ** 0.5)
            elif kind == "batch_normalization":
                add(kind, layer, [current], shapes[current], weight=numpy.ones(channels), bias=numpy.zeros(channels),
                    mean=random.uniform(-0.1, 0.1, channels), variance=random.uniform(0.8, 1.2, channels))
            elif kind in ("max_pool", "average_pool"):
                add(kind, layer, [current], (channels, *window(layer["size"])))
            elif kind == "global_average_pool":
                add(kind, layer, [current], (channels, 1, 1))
            elif kind == "output":
                current = made[layer["layer"]]
            elif kind == "add":
                add(kind, layer, [current, made[layer["layer"]]], shapes[current])
            elif kind == "concatenate":
                inputs = [current] + [made[index] for index in layer["layers"]]
                add(kind, layer, inputs, (sum(shapes[value][0] for value in inputs), height, width))
            elif kind != "dropout":
                add(kind, layer, [current], shapes[current])
            made.append(current)
        self.shapes = shapes
        self.count = int(numpy.prod(shapes[-1]))

    def onnx(self, copies):
        """The branch `copies` times. Each copy reads the same image plus nothing of the last one's result, so that none is saved."""
        nodes, initializers = [], []

        def constant(name, value):
            value = numpy.ascontiguousarray(value)
            initializers.append(helper.make_tensor(name, TensorProto.FLOAT, value.shape, value.tobytes(), raw=True))

        for index, (_, _, _, weights) in enumerate(self.steps):
            for name, value in weights.items():
                constant(f"{name}{index}", value)
        if copies > 1:
            constant("nothing", numpy.zeros((1, 1), numpy.float32))
        source = "image"
        for copy in range(copies):
            names = [source]
            for index, (kind, layer, inputs, weights) in enumerate(self.steps):
                ins, out = [names[value] for value in inputs], f"c{copy}_{index}"

                def add(operation, *more, output=out, read=None, **attributes):
                    nodes.append(helper.make_node(operation, [*(read or ins), *more], [output], **attributes))

                if kind == "convolution":
                    add("Conv", f"weight{index}", *([f"bias{index}"] if "bias" in weights else []),
                        kernel_shape=[layer["kernel"]] * 2, strides=[layer["stride"]] * 2,
                        pads=[layer.get("padding", 0)] * 4, group=layer["groups"])
                elif kind == "fully_connected":
                    add("Flatten", output=out + "f")
                    add("Gemm", f"weight{index}", f"bias{index}", read=[out + "f"], transB=1)
                elif kind == "batch_normalization":
                    add("BatchNormalization", *[f"{name}{index}" for name in ("weight", "bias", "mean", "variance")],
                        epsilon=layer["epsilon"])
                elif kind == "max_pool":
                    add("MaxPool", kernel_shape=[layer["size"]] * 2, strides=[layer["stride"]] * 2,
                        pads=[layer.get("padding", 0)] * 4)
                elif kind == "average_pool":
                    add("AveragePool", kernel_shape=[layer["size"]] * 2, strides=[layer["stride"]] * 2)
                elif kind == "local_response_normalization":
                    add("LRN", size=layer["size"], alpha=float(layer["alpha"]), beta=float(layer["beta"]),
                        bias=float(layer["k"]))
                elif kind == "relu6":
                    if copy == 0 and "six" not in [tensor.name for tensor in initializers]:
                        initializers.append(helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]))
                        initializers.append(helper.make_tensor("six", TensorProto.FLOAT, [], [6.0]))
                    add("Clip", "zero", "six")
                elif kind == "softmax":
                    add("Softmax", axis=1)
                else:
                    add({"relu": "Relu", "add": "Add", "global_average_pool": "GlobalAveragePool"}.get(kind, "Concat"),
                        **({"axis": 1} if kind == "concatenate" else {}))
                names.append(out)
            nodes.append(helper.make_node("Flatten", [names[-1]], [f"flat{copy}"]))
            if copy + 1 < copies:
                # The next copy's image is the same, but a library cannot know that: it waits for this one's first number.
                nodes.append(helper.make_node("ReduceMax", [f"flat{copy}"], [f"m{copy}"], keepdims=1))
                nodes.append(helper.make_node("Mul", [f"m{copy}", "nothing"], [f"z{copy}"]))
                nodes.append(helper.make_node("Add", ["image", f"z{copy}"], [f"i{copy}"]))
                source = f"i{copy}"
        nodes.append(helper.make_node("Identity", [f"flat{copies - 1}"], ["out"]))
        return helper.make_model(
            helper.make_graph(
                nodes, "branch", [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, *self.input])],
                [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, self.count])], initializers),
            opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()

    def folded(self):
        """The steps with normalisations and ReLUs put into the convolutions before them, where nobody else reads those."""
        readers = [0] * (len(self.steps) + 1)
        for _, _, inputs, _ in self.steps:
            for value in inputs:
                readers[value] += 1
        result, place = [], [0]
        for kind, layer, inputs, weights in self.steps:
            inputs = [place[value] for value in inputs]
            before = result[inputs[0] - 1] if inputs[0] else None
            alone = before and inputs[0] == len(result) and readers[len(place) - 1] == 1 and "activation" not in before[1]
            takes = alone and before[0] in ("convolution", "fully_connected")
            if kind == "batch_normalization" and takes:
                factor = weights["weight"] / numpy.sqrt(weights["variance"] + layer["epsilon"])
                old = before[3]
                before[3]["bias"] = (old.get("bias", 0) - weights["mean"]) * factor + weights["bias"]
                before[3]["weight"] = old["weight"] * factor.reshape(-1, *[1] * (old["weight"].ndim - 1))
                place.append(inputs[0])
            elif kind in ("relu", "relu6") and takes:
                before[1]["activation"] = kind
                place.append(inputs[0])
            else:
                result.append((kind, dict(layer), inputs, dict(weights)))
                place.append(len(result))
        return result

    def ncnn(self, copies):
        """ncnn's text and weights. Copies read the same image: ncnn does not look for what is computed twice."""
        steps = self.folded()
        lines, blob = [], bytearray()
        reads = {}

        def activation(layer):
            return {"relu": " 9=1", "relu6": " 9=3 -23310=2,0.0,6.0"}.get(layer.get("activation"), "")

        def weight_bytes(weights):
            blob.extend(b"\0\0\0\0")
            blob.extend(numpy.ascontiguousarray(weights["weight"], numpy.float32).tobytes())
            if "bias" in weights:
                blob.extend(numpy.asarray(weights["bias"], numpy.float32).tobytes())

        uses = [0] * (len(steps) + 1)
        for _, _, inputs, _ in steps:
            for value in inputs:
                uses[value] += 1
        lines.append("Input image 0 1 image")
        blobs = 1

        def split(name, count):
            """A value that is read several times goes through a Split, as ncnn wants it."""
            nonlocal blobs
            if count <= 1:
                reads[name] = [name]
                return
            reads[name] = [f"{name}_{number}" for number in range(count)]
            lines.append(f"Split s{name} 1 {count} {name} {' '.join(reads[name])}")
            blobs += count

        split("image", uses[0] * copies)
        for copy in range(copies):
            names = ["image"]
            for index, (kind, layer, inputs, weights) in enumerate(steps):
                ins = [reads[names[value]].pop(0) for value in inputs]
                out = f"c{copy}_{index}"
                if kind == "convolution":
                    bias = int("bias" in weights)
                    common = (f"0={weights['weight'].shape[0]} 1={layer['kernel']} 3={layer['stride']} "
                              f"4={layer.get('padding', 0)} 5={bias} 6={weights['weight'].size}{activation(layer)}")
                    line = ("Convolution", common) if layer["groups"] == 1 else ("ConvolutionDepthWise", common + f" 7={layer['groups']}")
                    weight_bytes(weights)
                elif kind == "fully_connected":
                    line = "InnerProduct", f"0={layer['outputs']} 1=1 2={weights['weight'].size}{activation(layer)}"
                    weight_bytes(weights)
                elif kind == "max_pool":
                    line = "Pooling", f"0=0 1={layer['size']} 2={layer['stride']} 3={layer.get('padding', 0)} 5=1"
                elif kind == "average_pool":
                    line = "Pooling", f"0=1 1={layer['size']} 2={layer['stride']} 5=1"
                elif kind == "global_average_pool":
                    line = "Pooling", "0=1 4=1"
                elif kind == "local_response_normalization":
                    line = "LRN", f"0=0 1={layer['size']} 2={layer['alpha']} 3={layer['beta']} 4={layer['k']}"
                elif kind == "batch_normalization":
                    line = "BatchNorm", f"0={weights['weight'].size} 1={layer['epsilon']}"
                    for name in ("weight", "mean", "variance", "bias"):
                        blob.extend(weights[name].tobytes())
                else:
                    line = {"relu": ("ReLU", ""), "relu6": ("Clip", "0=0.0 1=6.0"), "add": ("BinaryOp", "0=0"),
                            "softmax": ("Softmax", "0=0 1=1"), "concatenate": ("Concat", "0=0")}[kind]
                lines.append(f"{line[0]} {out} {len(ins)} 1 {' '.join(ins)} {out} {line[1]}")
                blobs += 1
                split(out, uses[index + 1])
                names.append(out)
            lines.append(f"Flatten flat{copy} 1 1 {names[-1]} flat{copy}")
            blobs += 1
        lines.append(f"Concat out {copies} 1 {' '.join(f'flat{copy}' for copy in range(copies))} out 0=0")
        text = f"7767517\n{len(lines)} {blobs + 1}\n" + "\n".join(lines) + "\n"
        return text, bytes(blob)


def with_onnxruntime(branch, copies):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
    session = onnxruntime.InferenceSession(branch.onnx(copies), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_ortvalue_input("image", onnxruntime.OrtValue.ortvalue_from_numpy(branch.image))
    result = onnxruntime.OrtValue.ortvalue_from_shape_and_type([1, branch.count], numpy.float32)
    binding.bind_ortvalue_output("out", result)
    return (lambda: session.run_with_iobinding(binding)), result.numpy


def with_openvino(branch, copies):
    import openvino
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(branch.onnx(copies)), "CPU", {
        "INFERENCE_NUM_THREADS": THREADS, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    request.set_input_tensor(openvino.Tensor(branch.image, shared_memory=True))
    result = numpy.zeros(compiled.output(0).shape, numpy.float32)
    request.set_output_tensor(openvino.Tensor(result, shared_memory=True))
    return request.infer, lambda: result


def with_ncnn(branch, copies):
    import ncnn
    net = ncnn.Net()
    net.opt.num_threads = THREADS
    for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage", "use_bf16_packed",
                 "use_vulkan_compute"):
        setattr(net.opt, name, False)
    text, weights = branch.ncnn(copies)
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "model.param").write_text(text)
        (pathlib.Path(folder) / "model.bin").write_bytes(weights)
        assert net.load_param(f"{folder}/model.param") == 0 and net.load_model(f"{folder}/model.bin") == 0
    image = ncnn.Mat(branch.image[0]).clone()
    last = None

    def call():
        nonlocal last
        extractor = net.create_extractor()
        extractor.input("image", image)
        last = extractor.extract("out")[1]

    return call, lambda: numpy.array(last).reshape(copies, -1)[:1]


def per_call(call, seconds=0.25):
    call()
    start = time.perf_counter()
    call()
    batch = max(1, min(20, int(0.01 / (time.perf_counter() - start + 1e-9))))
    for _ in range(batch):
        call()
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds or count < 3:
        for _ in range(batch):
            call()
        count += batch
    return (time.perf_counter() - start) / count * 1e6


ENGINES = {"ONNX Runtime": with_onnxruntime, "OpenVINO": with_openvino, "ncnn": with_ncnn}


def serve(name, report, pipe):
    """A process for each engine, because their thread libraries do not bear each other: it measures when it is told to."""
    branch = Branch(report)
    one, value = ENGINES[name](branch, 1)
    one()
    first = value().copy()
    several = None
    if per_call(one, 0.05) < SMALL:
        several, value = ENGINES[name](branch, COPIES)
        several()
        assert numpy.allclose(value(), first, atol=1e-3 * numpy.abs(first).max()), f"the copies in {name} do not compute the same"
    pipe.send(first)
    while pipe.recv():
        pipe.send(per_call(one) if several is None else (per_call(several) - per_call(one)) / (COPIES - 1))


def compare(lcp, case, rounds, as_json=False):
    report = ask(lcp, case, quick=True)
    context = multiprocessing.get_context("spawn")
    pipes, first = {}, None
    for name in ENGINES:
        pipes[name], theirs = context.Pipe()
        context.Process(target=serve, args=(name, report, theirs), daemon=True).start()
        found = pipes[name].recv()
        first = found if first is None else first
        assert numpy.allclose(found, first, atol=1e-3 * numpy.abs(first).max()), f"{name} computes something else on {case}"
    times = {name: [] for name in ["lcp", *ENGINES]}
    for _ in range(rounds):
        times["lcp"].append(ask(lcp, case)["median_us"])
        for name, pipe in pipes.items():
            pipe.send(True)
            times[name].append(pipe.recv())
    for pipe in pipes.values():
        pipe.send(False)
    ratios = [mine / min(ort, vino) for mine, ort, vino in zip(times["lcp"], times["ONNX Runtime"], times["OpenVINO"])]
    row = [statistics.median(times[name]) for name in times]
    if as_json:
        return {"model": report["model"], "us": dict(zip(times, row))}
    print(f"{report['model']:18}" + "".join(f"{value:14.1f}" for value in row)
          + f"{statistics.median(ratios):12.2f}{min(ratios):8.2f}–{max(ratios):.2f}", flush=True)


if __name__ == "__main__":
    root = pathlib.Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser()
    parser.add_argument("--lcp", default=str(root / ".build/release/lcp"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print a JSON array of medians, for lcp experiment --engines")
    parser.add_argument("cases", nargs="*", default=DEFAULT, metavar="NETWORK:BRANCHES")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    if arguments.json:
        print(json.dumps([compare(arguments.lcp, case, arguments.rounds, as_json=True) for case in arguments.cases]))
        raise SystemExit
    print(f"branch 0, {arguments.threads} thread{'s' * (arguments.threads > 1)}, batch 1, µs, median of {arguments.rounds} rounds in turns; "
          + ", ".join(f"{name} {importlib.metadata.version(package)}" for name, package in
                      [("ONNX Runtime", "onnxruntime"), ("OpenVINO", "openvino"), ("ncnn", "ncnn")]))
    print(f"{'':18}{'lcp':>14}" + "".join(f"{name:>14}" for name in ENGINES) + f"{'lcp / best':>12}{'rounds':>13}")
    for case in arguments.cases:
        compare(arguments.lcp, case, arguments.rounds)
