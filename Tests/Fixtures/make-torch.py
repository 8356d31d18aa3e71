#!/usr/bin/env python3
"""Writes torch/*.json: what PyTorch, in double precision, makes of branches of the zoo's networks.

    Tests/Fixtures/make-torch.py [--lcp .build/release/lcp]

Needs numpy and torch from PyPI. The layers are the JSON of model.json, as `lcp bench branch --json` tells them. Weights and
input are not kept: they come from SplitMix64, as in Sources/Tensors/SeededGenerator.swift, so that a seed stands for them.
Of the output a file holds 64 numbers at even distances, the sum and the norm.
"""
import argparse
import json
import pathlib
import subprocess

import numpy
import torch
from torch.nn import functional

CASES = ["lenet-fc:1", "lenet:1", "lenet:4", "cifarnet:1", "cifarnet:8", "vgg-s:8", "vgg16:8", "alexnet:8", "resnet18:2",
         "resnet50:8", "mobilenet:8", "cifarnet-bn:8", "mlp:1", "conv1d:1", "conv1d:4", "dscnn:4"]


class Generator:
    """SplitMix64, many numbers at once."""

    def __init__(self, seed):
        self.state = seed

    def uniform(self, low, high, *shape):
        count = int(numpy.prod(shape))
        gamma = 0x9E3779B97F4A7C15
        with numpy.errstate(over="ignore"):
            value = numpy.uint64(self.state) + numpy.arange(1, count + 1, dtype=numpy.uint64) * numpy.uint64(gamma)
            self.state = (self.state + count * gamma) % 2 ** 64
            value = (value ^ (value >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
            value = (value ^ (value >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
            value ^= value >> numpy.uint64(31)
        unit = (value >> numpy.uint64(40)).astype(numpy.float32) * numpy.float32(2.0 ** -24)
        low, high = numpy.float32(low), numpy.float32(high)
        return torch.from_numpy((low + (high - low) * unit).reshape(shape)).double()


def limit(numerator, denominator):
    return numpy.sqrt(numpy.float32(numerator) / numpy.float32(denominator))


def numbers(layer, key, count, default):
    """One number stands for as many as there are."""
    value = layer.get(key, default)
    return list(value) if isinstance(value, list) else [value] * count


def padded(layer, values, around):
    top, left, bottom, right = numbers(layer, "padding", 4, 0)
    return functional.pad(values, (left, right, top, bottom), value=around)


def convolved(layer, values, weight, bias, groups):
    return functional.conv2d(
        padded(layer, values, 0.0), weight, bias, numbers(layer, "stride", 2, 1), 0, numbers(layer, "dilation", 2, 1), groups)


def pooled(layer, values):
    size, stride, dilation = numbers(layer, "size", 2, 1), numbers(layer, "stride", 2, 1), numbers(layer, "dilation", 2, 1)
    rounds_up = layer.get("ceil", False)
    if layer["type"] == "max_pool":
        return functional.max_pool2d(padded(layer, values, -torch.inf), size, stride, 0, dilation, rounds_up)
    if layer.get("count_padding"):
        return functional.avg_pool2d(padded(layer, values, 0.0), size, stride, 0, rounds_up)
    # The sum over what is there, and how much that is.
    sums = functional.avg_pool2d(padded(layer, values, 0.0), size, stride, 0, rounds_up, divisor_override=1)
    counts = functional.avg_pool2d(
        padded(layer, torch.ones_like(values), 0.0), size, stride, 0, rounds_up, divisor_override=1)
    return sums / counts


ACTIVATIONS = {
    "sigmoid": lambda x, _: torch.sigmoid(x),
    "tanh": lambda x, _: torch.tanh(x),
    "silu": lambda x, _: functional.silu(x),
    "hard_sigmoid": lambda x, layer: torch.clamp(layer["alpha"] * x + layer["beta"], 0, 1),
    "hard_swish": lambda x, _: functional.hardswish(x),
    "leaky_relu": lambda x, layer: functional.leaky_relu(x, layer["slope"]),
    "elu": lambda x, layer: functional.elu(x, layer["alpha"]),
    "gelu": lambda x, _: functional.gelu(x),
    "gelu_tanh": lambda x, _: functional.gelu(x, approximate="tanh"),
}


def plain(layer, values, made):
    """A layer without weights."""
    kind = layer["type"]
    if kind == "local_response_normalization":
        return functional.local_response_norm(values, layer["size"], layer["alpha"], layer["beta"], layer["k"])
    if kind in ("max_pool", "average_pool"):
        return pooled(layer, values)
    if kind == "global_average_pool":
        return values.mean((2, 3), keepdim=True)
    if kind == "relu":
        return functional.relu(values)
    if kind in ACTIVATIONS:
        return ACTIVATIONS[kind](values, layer)
    if kind == "slice":
        first, last = (
            (2 * place * values.shape[1] + layer["total"]) // (2 * layer["total"])
            for place in (layer["first"], layer["first"] + layer["count"])
        )
        return values[:, first:last]
    if kind == "shuffle":
        return functional.channel_shuffle(values, layer["groups"])
    if kind == "multiply":
        return values * made[layer["layer"]]
    if kind == "relu6":
        return functional.relu6(values)
    if kind == "softmax":
        return functional.softmax(values, 1)
    if kind == "output":
        return made[layer["layer"]]
    if kind == "add":
        return values + made[layer["layer"]]
    if kind == "concatenate":
        return torch.cat([values] + [made[index] for index in layer["layers"]], 1)
    assert kind == "dropout", kind
    return values


def evaluate(report, seed):
    shape = report["input"]
    channels, height, width = shape["channels"], shape["height"], shape["width"]
    image = Generator(seed + 1).uniform(-1, 1, height, width, channels)
    values = image.permute(2, 0, 1)[None]
    random = Generator(seed)
    made = []
    for layer in report["layers"]:
        kind = layer["type"]
        channels = values.shape[1]
        if kind in ("convolution", "depthwise_convolution"):
            groups = channels if kind == "depthwise_convolution" else layer.get("groups", 1)
            outputs, (down, across) = layer.get("outputs", channels), numbers(layer, "kernel", 2, 1)
            bound = limit(6, channels // groups * down * across)
            weight = random.uniform(-bound, bound, outputs, channels // groups, down, across)
            bias = random.uniform(-0.1, 0.1, outputs) if layer.get("bias", True) else None
            values = convolved(layer, values, weight, bias, groups)
        elif kind == "fully_connected":
            values = values.flatten(1)
            bound = limit(6, values.shape[1])
            weight = random.uniform(-bound, bound, layer["outputs"], values.shape[1])
            values = functional.linear(values, weight, random.uniform(-0.1, 0.1, layer["outputs"]))[:, :, None, None]
        elif kind == "batch_normalization":
            weight, bias = random.uniform(0.5, 1.5, channels), random.uniform(-0.1, 0.1, channels)
            mean, variance = random.uniform(-0.5, 0.5, channels), random.uniform(0.5, 2, channels)
            values = functional.batch_norm(values, mean, variance, weight, bias, eps=float(numpy.float32(layer["epsilon"])))
        else:
            values = plain(layer, values, made)
        made.append(values)
    values = values.flatten(1)
    if "classes" in report:
        bound = limit(6, values.shape[1] + report["classes"])
        values = functional.linear(values, random.uniform(-bound, bound, report["classes"], values.shape[1]))
    return values[0].numpy()


if __name__ == "__main__":
    root = pathlib.Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser()
    parser.add_argument("--lcp", default=str(root / ".build/release/lcp"))
    arguments = parser.parse_args()
    folder = root / "Tests/Fixtures/torch"
    folder.mkdir(exist_ok=True)
    for seed, case in enumerate(CASES):
        network, branches = case.split(":")
        report = json.loads(subprocess.run(
            [arguments.lcp, "bench", "branch", "--network", network, "--branches", branches, "--runs", "1", "--json"],
            capture_output=True, check=True, text=True).stdout)
        values = evaluate(report, seed)
        places = sorted({round(number) for number in numpy.linspace(0, len(values) - 1, 64)})
        golden = {"network": network, "branches": int(branches), "seed": seed, "count": len(values),
                  "sum": float(values.sum()), "norm": float(numpy.linalg.norm(values)),
                  "places": places, "values": [float(values[place]) for place in places]}
        (folder / f"{network}-split{branches}.json").write_text(json.dumps(golden) + "\n")
        print(f"{network}-split{branches}: {len(values)} numbers, norm {golden['norm']:.6g}")
