"""Writes the branch that is timed: branch.onnx, input.f32 (its input) and expected.json (what it computes from it).

    python make_model.py FOLDER

One branch of LeNet split in four, as the partial logits that it sends: conv 5x5 1->1, ReLU, max pool 2, conv 5x5 1->4, ReLU,
max pool 2, conv 5x5 4->30 down to one pixel, ReLU, fully connected 30->21, ReLU, 21->10 without bias. The weights are random
with a fixed seed: no kernel of any engine looks at them. `expected` is computed here with plain numpy, independently of any engine.
"""

import json
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CONVOLUTIONS = [  # name, outputs, inputs, padding, pooled after
    ("conv1", 1, 1, 2, True),
    ("conv2", 4, 1, 0, True),
    ("conv3", 30, 4, 0, False),
]
FULLY_CONNECTED = [("fc1", 21, 30, True), ("logits", 10, 21, False)]  # name, outputs, inputs, bias and ReLU


def make_weights(random):
    weights = {}
    for name, outputs, inputs, _, _ in CONVOLUTIONS:
        scale = (2 / (inputs * 25)) ** 0.5
        weights[f"{name}.weight"] = random.normal(0, scale, (outputs, inputs, 5, 5)).astype(np.float32)
        weights[f"{name}.bias"] = random.normal(0, 0.1, outputs).astype(np.float32)
    for name, outputs, inputs, bias in FULLY_CONNECTED:
        weights[f"{name}.weight"] = random.normal(0, (2 / inputs) ** 0.5, (outputs, inputs)).astype(np.float32)
        if bias:
            weights[f"{name}.bias"] = random.normal(0, 0.1, outputs).astype(np.float32)
    return weights


def make_onnx(weights):
    nodes, value = [], "input"

    def add(operator, inputs, **attributes):
        nonlocal value
        output = f"value{len(nodes)}"
        nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        value = output

    for name, _, _, padding, pooled in CONVOLUTIONS:
        add("Conv", [value, f"{name}.weight", f"{name}.bias"], kernel_shape=[5, 5], pads=[padding] * 4)
        add("Relu", [value])
        if pooled:
            add("MaxPool", [value], kernel_shape=[2, 2], strides=[2, 2])
    add("Flatten", [value])
    for name, _, _, bias in FULLY_CONNECTED:
        if bias:
            add("Gemm", [value, f"{name}.weight", f"{name}.bias"], transB=1)
            add("Relu", [value])
        else:
            add("Gemm", [value, f"{name}.weight"], transB=1)
    nodes[-1].output[0] = "output"
    graph = helper.make_graph(
        nodes,
        "lenet-quarter-branch",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 1, 28, 28])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 10])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    # An old operator set and format version: everything that reads ONNX reads these.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


def compute(weights, image):
    """The branch in float64, written to be seen to be right."""
    value = image.astype(np.float64)
    for name, _, _, padding, pooled in CONVOLUTIONS:
        padded = np.pad(value, ((0, 0), (padding, padding), (padding, padding)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), axis=(1, 2))
        value = np.einsum("chwij,ocij->ohw", windows, weights[f"{name}.weight"])
        value = np.maximum(value + weights[f"{name}.bias"][:, None, None], 0)
        if pooled:
            channels, height, width = value.shape
            value = value.reshape(channels, height // 2, 2, width // 2, 2).max(axis=(2, 4))
    value = value.reshape(-1)
    for name, _, _, bias in FULLY_CONNECTED:
        value = weights[f"{name}.weight"] @ value
        if bias:
            value = np.maximum(value + weights[f"{name}.bias"], 0)
    return value


def main():
    folder = pathlib.Path(sys.argv[1])
    random = np.random.default_rng(20240229)
    weights = make_weights(random)
    image = (random.integers(0, 256, (1, 28, 28)) / 255).astype(np.float32)
    onnx.save(make_onnx(weights), folder / "branch.onnx")
    image.tofile(folder / "input.f32")
    (folder / "expected.json").write_text(json.dumps(compute(weights, image).tolist()))


main()
