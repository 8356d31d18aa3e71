#!/usr/bin/env python3
"""Writes torch-training/*.json: the loss of a batch and its gradient by every parameter, from PyTorch in double precision.

    Tests/Fixtures/make-torch-training.py [--lcp .build/release/lcp]

Needs numpy and torch from PyPI. Weights, images and labels are not kept: they come from SplitMix64, see make-torch.py, so that a
seed stands for them. Of every gradient a file holds the norm and a few numbers at even distances.
"""
import argparse
import importlib
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import torch
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
golden = importlib.import_module("make-torch")

BATCH = 19


def convolution(outputs, kernel, stride=1, padding=0, groups=1, bias=True):
    return {"type": "convolution", "outputs": outputs, "kernel": kernel, "stride": stride, "padding": padding, "groups": groups,
            "bias": bias}


def depthwise(kernel, stride=1, padding=0):
    return {"type": "depthwise_convolution", "kernel": kernel, "stride": stride, "padding": padding}


def normalization(epsilon=1e-5):
    return {"type": "batch_normalization", "epsilon": epsilon}


def response(size, alpha, beta, k):
    return {"type": "local_response_normalization", "size": size, "alpha": alpha, "beta": beta, "k": k}


def max_pool(size, stride, padding=0):
    return {"type": "max_pool", "size": size, "stride": stride, "padding": padding}


def average_pool(size, stride):
    return {"type": "average_pool", "size": size, "stride": stride}


def full(outputs):
    return {"type": "fully_connected", "outputs": outputs}


def output(layer):
    return {"type": "output", "layer": layer}


def add(layer):
    return {"type": "add", "layer": layer}


def multiply(layer):
    return {"type": "multiply", "layer": layer}


relu, relu6, softmax, average = {"type": "relu"}, {"type": "relu6"}, {"type": "softmax"}, {"type": "global_average_pool"}
small = [convolution(3, 3, padding=1), relu, max_pool(2, 2), convolution(2, 3), full(5)]

# Every layer, and every way to put layers together.
NETWORKS = {
    "one-branch": [small],
    "two-branches": [small, [convolution(2, 4, 2, 1), relu]],
    "three-branches": [small, small, small],
    "strides": [[convolution(5, 3, 2, 1), convolution(4, 2, 3, 1), relu]],
    "stride-wider-than-kernel": [[convolution(6, 1), convolution(3, 1, 2)]],
    "groups": [[convolution(6, 3, padding=1), convolution(4, 3, 2, 2, groups=2), relu]],
    "depthwise": [[convolution(5, 1), depthwise(3, 2, 1), relu, convolution(3, 1, bias=False)]],
    "pooling": [[convolution(3, 3, padding=1), max_pool(3, 2, 1), average_pool(2, 1), convolution(4, 2), average]],
    "batch-normalization": [[convolution(4, 3, padding=1, bias=False), normalization(), relu, convolution(3, 3, bias=False),
                             normalization(1e-3), relu6]],
    "response-normalization": [[convolution(7, 3, padding=1), relu, response(5, 0.5, 0.75, 1), convolution(3, 3),
                                response(4, 0.3, 0.6, 2)]],
    "skip-connections": [[convolution(4, 3, padding=1), relu, convolution(4, 3, padding=1), normalization(), add(1), relu, output(1),
                          convolution(3, 1, 2), output(5), convolution(3, 3, 2, 1), add(7), relu]],
    "concatenation": [[convolution(3, 3, padding=1), relu, convolution(2, 1), relu, {"type": "concatenate", "layers": [1, 3]},
                       convolution(3, 5, padding=2), softmax, full(4)]],
    "clamps-that-copy": [[convolution(3, 3), relu6, add(0), relu, add(1)]],
    "pixels-as-they-are": [[relu, max_pool(2, 2), full(4)]],
    "wide": [[convolution(37, 3, padding=1), relu, convolution(21, 5, padding=2), relu, full(40), relu]],
    "activations": [
        [convolution(4, 3, padding=1), kind, convolution(3, 3), kind, full(4), kind]
        for kind in ({"type": "sigmoid"}, {"type": "tanh"}, {"type": "silu"}, {"type": "hard_sigmoid", "alpha": 0.2, "beta": 0.4},
                     {"type": "hard_swish"}, {"type": "leaky_relu", "slope": 0.1}, {"type": "elu", "alpha": 0.7}, {"type": "gelu"},
                     {"type": "gelu_tanh"}, {"type": "prelu"})
    ],
    "windows": [
        [convolution(4, [3, 2], [2, 1], [0, 1, 2, 0]), relu, convolution(3, [1, 3], 1, [0, 2, 0, 0]), full(4)],
        [convolution(4, 3, 1, [2, 2, 2, 2]) | {"dilation": [2, 2]}, relu, convolution(3, [2, 3], [1, 2]) | {"dilation": [3, 1]}, full(4)],
        [convolution(4, [4, 3], [3, 2], [1, 1, 3, 0]) | {"dilation": [2, 3]}, relu, full(4)],
        [convolution(6, 1), depthwise([3, 2], [1, 2], [1, 0, 1, 1]), relu, convolution(4, [2, 1], groups=2), full(4)],
        [convolution(3, 1), max_pool([3, 2], [2, 1], [1, 0, 0, 1]), convolution(3, 1), average_pool([2, 3], [1, 2]), full(4)],
        [convolution(3, 1), max_pool(2, 2) | {"ceil": True}, convolution(3, 1), average_pool(2, 2) | {"ceil": True}, full(4)],
        [convolution(3, 1), average_pool(3, 2) | {"padding": 1}, convolution(3, 1),
         average_pool(3, 1) | {"padding": [1, 0, 0, 1], "count_padding": True}, max_pool(2, 1) | {"dilation": [1, 2]}, full(4)],
    ],
    "kernels-as-large-as-maps": [[convolution(4, [9, 7]), relu, convolution(3, 3, padding=1), relu, full(4)],
                                 [convolution(4, [9, 7]), convolution(3, 1), convolution(2, 5, padding=2), convolution(3, 1)]],
    "products": [[convolution(4, 3, padding=1), {"type": "silu"}, convolution(4, 3, padding=1), {"type": "prelu"}, multiply(1),
                  # A gate for every channel, in either order.
                  average, convolution(2, 1), relu, convolution(4, 1), {"type": "sigmoid"}, multiply(4),
                  output(8), {"type": "tanh"}, output(10), multiply(12), multiply(0), convolution(3, 3)]],
    "channels": [[convolution(6, 3, padding=1), {"type": "channel_normalization", "epsilon": 1e-3}, relu,
                  {"type": "slice", "first": 0, "count": 2, "total": 6}, convolution(2, 3, padding=1), output(2),
                  {"type": "slice", "first": 2, "count": 4, "total": 6}, {"type": "concatenate", "layers": [4]},
                  {"type": "shuffle", "groups": 2}, {"type": "channel_normalization", "epsilon": 1e-5}, convolution(3, 3)]],
}
ZOO = [("lenet-fc", 4, "28x28x1", 10), ("lenet", 1, "28x28x1", 10), ("lenet", 8, "28x28x1", 10), ("cifarnet", 8, "32x32x3", 10),
       ("vgg-s", 8, "128x128x3", 5), ("vgg16", 8, "32x32x3", 10), ("alexnet", 8, "112x112x3", 5), ("resnet18", 8, "64x64x3", 10),
       ("resnet50", 8, "64x64x3", 10), ("mobilenet", 8, "64x64x3", 10), ("cifarnet-bn", 8, "32x32x3", 10),
       ("mlp", 2, "1x1x16", 4), ("conv1d", 4, "1x128x3", 6), ("dscnn", 4, "40x49x1", 12)]


def run(network, seed, batch):
    shape = network["input"]
    channels, height, width = shape["channels"], shape["height"], shape["width"]
    images = golden.Generator(seed + 1).uniform(-1, 1, batch, height, width, channels).permute(0, 3, 1, 2)
    labels = torch.arange(batch) % network["classes"]
    random = golden.Generator(seed)
    parameters = []

    def parameter(name, low, high, *shape):
        value = random.uniform(low, high, *shape).requires_grad_(True)
        parameters.append((name, value))
        return value

    features = []
    for branch, layers in enumerate(network["branches"]):
        values, made = images, []
        for index, layer in enumerate(layers):
            kind, channels, name = layer["type"], values.shape[1], f"{branch}.{index}"
            if kind in ("convolution", "depthwise_convolution"):
                groups = channels if kind == "depthwise_convolution" else layer.get("groups", 1)
                outputs, (height, width) = layer.get("outputs", channels), golden.numbers(layer, "kernel", 2, 1)
                bound = golden.limit(6, channels // groups * height * width)
                weight = parameter(name + ".weight", -bound, bound, outputs, channels // groups, height, width)
                bias = parameter(name + ".bias", -0.1, 0.1, outputs) if layer.get("bias", True) else None
                values = golden.convolved(layer, values, weight, bias, groups)
            elif kind == "fully_connected":
                values = values.flatten(1)
                bound = golden.limit(6, values.shape[1])
                weight = parameter(name + ".weight", -bound, bound, layer["outputs"], values.shape[1])
                bias = parameter(name + ".bias", -0.1, 0.1, layer["outputs"])
                values = functional.linear(values, weight, bias)[:, :, None, None]
            elif kind == "channel_normalization":
                bound = golden.limit(6, 1)
                weight, bias = (parameter(f"{name}.{part}", *around, channels) for part, around in (
                    ("weight", (-bound, bound)), ("bias", (-0.1, 0.1))))
                values = functional.layer_norm(
                    values.permute(0, 2, 3, 1), (channels,), weight, bias, float(numpy.float32(layer["epsilon"]))
                ).permute(0, 3, 1, 2)
            elif kind == "prelu":
                weight = parameter(name + ".weight", -golden.limit(6, 1), golden.limit(6, 1), channels)
                values = functional.prelu(values, weight)
            elif kind == "batch_normalization":
                weight = parameter(name + ".weight", 0.5, 1.5, channels)
                bias = parameter(name + ".bias", -0.1, 0.1, channels)
                values = functional.batch_norm(
                    values, None, None, weight, bias, training=True, eps=float(numpy.float32(layer["epsilon"])))
            else:
                values = golden.plain(layer, values, made)
            made.append(values)
        features.append(values.flatten(1))
    joined = sum(features) if network["merge"] == "sum" else torch.cat(features, 1)
    bound = golden.limit(6, joined.shape[1] + network["classes"])
    weight = parameter("merge.weight", -bound, bound, network["classes"], joined.shape[1])
    logits = functional.linear(joined, weight, parameter("merge.bias", -0.1, 0.1, network["classes"]))
    loss = functional.cross_entropy(logits, labels, label_smoothing=0.1)
    loss.backward()
    return loss.item(), [(name, value.grad.numpy().ravel()) for name, value in parameters]


def write(folder, name, network, seed, batch, samples):
    for layers in network["branches"]:
        for layer in layers:
            # What is random cannot be compared.
            if layer["type"] == "dropout":
                layer["rate"] = 0
    loss, gradients = run(network, seed, batch)
    entries = []
    for parameter, values in gradients:
        places = sorted({round(number) for number in numpy.linspace(0, len(values) - 1, samples)})
        entries.append({"name": parameter, "count": len(values), "norm": float(numpy.linalg.norm(values)), "places": places,
                        "values": [float(f"{values[place]:.7g}") for place in places]})
    file = {"network": network, "seed": seed, "batch": batch, "loss": loss, "gradients": entries}
    (folder / f"{name}.json").write_text(json.dumps(file, separators=(",", ":")) + "\n")
    print(f"{name}: loss {loss:.6f}, {len(entries)} parameters")


root = pathlib.Path(__file__).resolve().parents[2]
parser = argparse.ArgumentParser()
parser.add_argument("--lcp", default=str(root / ".build/release/lcp"))
arguments = parser.parse_args()
folder = root / "Tests/Fixtures/torch-training"
folder.mkdir(exist_ok=True)
for seed, (name, branches) in enumerate(NETWORKS.items()):
    merge = "sum" if name == "three-branches" else "concat"
    network = {"base": "test", "input": {"height": 9, "width": 7, "channels": 2}, "branches": branches, "classes": 3, "merge": merge}
    write(folder, name, json.loads(json.dumps(network)), 100 + seed, BATCH, 12)
for seed, (name, branches, shape, classes) in enumerate(ZOO):
    with tempfile.TemporaryDirectory() as bundle:
        subprocess.run(
            [arguments.lcp, "model", "split", name, "--branches", str(branches), "--input", shape, "--classes", str(classes), "--out",
             bundle], check=True, capture_output=True)
        network = json.loads((pathlib.Path(bundle) / "model.json").read_text())["network"]
    # Two branches show all that eight do.
    network["branches"] = network["branches"][:2]
    write(folder, f"{name}-split{branches}", network, 200 + seed, 5, 4)
