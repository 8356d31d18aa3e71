"""Makes the ONNX files that Tests/ONNXTests reads, and what ONNX Runtime computes with them, in expected.json.

    python3 -m venv venv && venv/bin/pip install onnx onnxruntime onnxscript numpy torch
    venv/bin/python Tests/Fixtures/onnx/make-onnx.py

The image is a formula, `pixel(i) = (73 i + 31 (i div 7)) mod 256` over HWC, and goes in as pixel / 255 unless a network says otherwise.
The weights come from seeds; files differ between versions of PyTorch in names only.
"""

import json
import pathlib
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

warnings.filterwarnings("ignore")
folder = pathlib.Path(__file__).parent
expected = {}


def image(height, width, channels):
    index = np.arange(height * width * channels)
    pixels = ((73 * index + 31 * (index // 7)) % 256).astype(np.float32)
    return pixels.reshape(height, width, channels)


def record(name, shape, scale=1 / 255, channels_last=False, flat=False, options=()):
    """Runs a file and keeps its logits."""
    path = folder / f"{name}.onnx"
    onnx.checker.check_model(str(path))
    session = onnxruntime.InferenceSession(str(path))
    x = image(*shape) * np.float32(scale)
    x = x[None] if channels_last else x.transpose(2, 0, 1)[None]
    x = np.ascontiguousarray(x.reshape(1, -1) if flat else x)
    if session.get_inputs()[0].type == "tensor(float16)":
        x = x.astype(np.float16)
    if session.get_inputs()[0].type == "tensor(uint8)":
        x = x.astype(np.uint8)
    logits = session.run(None, {session.get_inputs()[0].name: x})[0].reshape(-1)
    expected[name] = {"input": list(shape), "logits": [float(v) for v in logits], "options": list(options)}
    print(f"{name}: {path.stat().st_size} bytes, {logits.min():.3f} to {logits.max():.3f}")


def randomise(net, seed):
    """Weights that keep activations alive, and statistics that are not those of a new normalisation."""
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            fan = module.weight[0].numel()
            module.weight.data = torch.randn(module.weight.shape, generator=generator) * (2 / fan) ** 0.5
            if module.bias is not None:
                module.bias.data = torch.randn(module.bias.shape, generator=generator) * 0.1
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data = torch.rand(module.weight.shape, generator=generator) + 0.5
            module.bias.data = torch.randn(module.bias.shape, generator=generator) * 0.1
            module.running_mean = torch.randn(module.running_mean.shape, generator=generator) * 0.2
            module.running_var = torch.rand(module.running_var.shape, generator=generator) + 0.5
    return net.eval()


def export(name, net, shape, seed, opset=17, dynamo=False, keep_normalisation=False, dynamic=True, **more):
    net = randomise(net, seed)
    x = torch.from_numpy(image(*shape).transpose(2, 0, 1)[None].copy()) / 255
    path = str(folder / f"{name}.onnx")
    if dynamo:
        torch.onnx.export(net, (x,), path, dynamo=True, opset_version=max(opset, 18), external_data=False, verbose=False,
                          dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=64)},) if dynamic else None)
    else:
        mode = torch.onnx.TrainingMode.PRESERVE if keep_normalisation else torch.onnx.TrainingMode.EVAL
        torch.onnx.export(net, (x,), path, dynamo=False, opset_version=opset, training=mode, input_names=["image"],
                          output_names=["scores"],
                          dynamic_axes={"image": {0: "batch"}, "scores": {0: "batch"}} if dynamic else None)
    model = onnx.load(path)
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    onnx.save(model, path)
    record(name, shape, **more)


class LeNet(nn.Module):
    def __init__(self, dynamic_view=False):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 3, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 5, 5), nn.ReLU(), nn.MaxPool2d(2))
        self.classifier = nn.Sequential(nn.Linear(125, 12), nn.ReLU(), nn.Linear(12, 10))
        self.dynamic_view = dynamic_view

    def forward(self, x):
        x = self.features(x)
        x = x.view(x.size(0), -1) if self.dynamic_view else torch.flatten(x, 1)
        return self.classifier(x)


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU()
        self.down = None
        if stride > 1 or inputs != outputs:
            self.down = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + (x if self.down is None else self.down(x)))


class ResNet(nn.Module):
    """ResNet-18's layers, 4 to 10 channels wide."""

    def __init__(self):
        super().__init__()
        widths = [4, 6, 8, 10]
        self.stem = nn.Sequential(
            nn.Conv2d(3, 4, 7, 2, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        blocks, inputs = [], 4
        for index, width in enumerate(widths):
            blocks += [Block(inputs, width, 1 if index == 0 else 2), Block(width, width, 1)]
            inputs = width
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(10, 7)

    def forward(self, x):
        return self.fc(torch.flatten(self.pool(self.blocks(self.stem(x))), 1))


class Inverted(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        hidden = 2 * inputs
        self.body = nn.Sequential(
            nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6(),
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6(),
            nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.body(x) if self.skip else self.body(x)


class MobileNet(nn.Module):
    """MobileNetV2's blocks; the mean over height and width stands for the pooling."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),
            Inverted(8, 8, 1), Inverted(8, 12, 2), Inverted(12, 12, 1),
            nn.Conv2d(12, 16, 1, groups=4), nn.ReLU6())
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(16, 6))

    def forward(self, x):
        return self.classifier(self.features(x).mean([2, 3]))


class Inception(nn.Module):
    """Parallel paths, one of which begins at the input again."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(3, 4, 1)
        self.three = nn.Conv2d(3, 5, 3, padding=1)
        self.pool = nn.MaxPool2d(3, 1, 1)
        self.last = nn.Conv2d(12, 6, 3)
        self.fc = nn.Linear(6, 5)

    def forward(self, x):
        y = torch.cat([torch.relu(self.one(x)), torch.relu(self.three(x)), self.pool(x)], 1)
        return self.fc(torch.relu(self.last(y)).mean([2, 3]))


rng = np.random.default_rng(7)


def tensor(name, shape, scale=None):
    fan = int(np.prod(shape[1:])) if len(shape) > 1 else 100
    return numpy_helper.from_array(
        (rng.standard_normal(shape) * (scale or (2 / fan) ** 0.5)).astype(np.float32), name)


def build(name, nodes, tensors, shape, opset=17, input_type=TensorProto.FLOAT, ir=8, batch="N", flat=False,
          channels_last=False, output="y", **more):
    h, w, c = shape
    dims = [batch, h * w * c] if flat else [batch, h, w, c] if channels_last else [batch, c, h, w]
    output_type = TensorProto.FLOAT16 if input_type == TensorProto.FLOAT16 else TensorProto.FLOAT
    graph = helper.make_graph(
        nodes, name, [helper.make_tensor_value_info("x", input_type, dims)],
        [helper.make_tensor_value_info(output, output_type, ["N", "C"])], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir, producer_name="make-onnx")
    path = folder / f"{name}.onnx"
    if more.pop("external", False):
        # It would be added to.
        (folder / f"{name}.bin").unlink(missing_ok=True)
        onnx.save(model, path, save_as_external_data=True, location=f"{name}.bin", size_threshold=0)
    else:
        onnx.save(model, path)
    record(name, shape, flat=flat, channels_last=channels_last, **more)


node = helper.make_node
export("lenet", LeNet(), (28, 28, 1), 1)
export("lenet-view", LeNet(dynamic_view=True), (28, 28, 1), 2, opset=11)
export("lenet-dynamo", LeNet(), (28, 28, 1), 3, dynamo=True)
export("resnet", ResNet(), (64, 64, 3), 4, keep_normalisation=True)
export("resnet-folded", ResNet(), (64, 64, 3), 4)
export("mobilenet", MobileNet(), (32, 32, 3), 5, opset=13, keep_normalisation=False)
export("mobilenet-dynamo", MobileNet(), (32, 32, 3), 6, dynamo=True, dynamic=False)
export("inception", Inception(), (12, 12, 3), 7)

# CifarNet's kinds of layers, dropout and softmax as they are written for training, the tensors as typed data.
cifarnet = [
    tensor("w1", (6, 3, 5, 5)), tensor("b1", (6,)), tensor("w2", (8, 6, 5, 5)),
    tensor("scale", (8,), 1), tensor("shift", (8,)), tensor("mean", (8,)),
    numpy_helper.from_array((rng.random(8) + 0.5).astype(np.float32), "var"),
    tensor("w3", (16, 200)), tensor("b3", (16,)), tensor("w4", (10, 16)), tensor("b4", (10,)),
    numpy_helper.from_array(np.float32(0.4), "rate"),
]
for entry in cifarnet:
    values = numpy_helper.to_array(entry)
    entry.ClearField("raw_data")
    entry.float_data.extend(float(v) for v in values.reshape(-1))
build("cifarnet", [
    node("Conv", ["x", "w1", "b1"], ["c1"], name="conv1", kernel_shape=[5, 5]),
    node("Relu", ["c1"], ["r1"]),
    node("MaxPool", ["r1"], ["p1"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    node("LRN", ["p1"], ["n1"], size=5, alpha=1e-2, beta=0.75, bias=2.0),
    node("Conv", ["n1", "w2"], ["c2"], name="conv2", auto_pad="VALID"),
    node("BatchNormalization", ["c2", "scale", "shift", "mean", "var"], ["bn"], epsilon=1e-3),
    node("Relu", ["bn"], ["r2"]),
    node("AveragePool", ["r2"], ["p2"], kernel_shape=[2, 2], strides=[2, 2]),
    node("Flatten", ["p2"], ["f"]),
    node("Gemm", ["f", "w3", "b3"], ["g3"], transB=1),
    node("Relu", ["g3"], ["r3"]),
    node("Dropout", ["r3", "rate"], ["d3"]),
    node("Gemm", ["d3", "w4", "b4"], ["g4"], transB=1),
    node("Identity", ["g4"], ["y"]),
], cifarnet, (32, 32, 3))

# What trainers and converters write besides: MatMul and Add, both ways of Gemm, factors, biases in nodes of their own.
build("matmul", [
    node("Conv", ["x", "w1"], ["c1"], pads=[0, 0, 1, 1], strides=[2, 2], kernel_shape=[2, 2]),
    node("Add", ["c1", "b1"], ["a1"]),
    node("Relu", ["a1"], ["r1"]),
    node("Constant", [], ["shape"], value_ints=[-1, 64]),
    node("Reshape", ["r1", "shape"], ["f"]),
    node("MatMul", ["f", "w2"], ["m2"]),
    node("Add", ["b2", "m2"], ["a2"]),
    node("Relu", ["a2"], ["r2"]),
    node("Gemm", ["r2", "w3", "b3"], ["g3"], transB=0, alpha=0.5, beta=2.0),
    node("Relu", ["g3"], ["r3"]),
    node("Transpose", ["w4"], ["w4t"], perm=[1, 0]),
    node("MatMul", ["r3", "w4t"], ["y"]),
], [
    tensor("w1", (4, 1, 2, 2)), tensor("b1", (1, 4, 1, 1)), tensor("w2", (64, 9)), tensor("b2", (9,)),
    tensor("w3", (9, 7)), tensor("b3", (1, 7)), tensor("w4", (5, 7)),
], (8, 8, 1))

# An old operator set: Clip and Dropout with attributes, weights among the inputs, a fixed batch, a softmax.
build("old", [
    node("Conv", ["x", "w1", "b1"], ["c1"], auto_pad="SAME_UPPER", kernel_shape=[3, 3]),
    node("Clip", ["c1"], ["r1"], min=0.0, max=6.0),
    node("Dropout", ["r1"], ["d1"], ratio=0.25),
    node("GlobalAveragePool", ["d1"], ["p1"]),
    node("Squeeze", ["p1"], ["f1"], axes=[2, 3]),
    node("Gemm", ["f1", "w2", "b2"], ["g2"], transB=1),
    node("Softmax", ["g2"], ["y"]),
], [tensor("w1", (6, 3, 3, 3)), tensor("b1", (6,)), tensor("w2", (4, 6)), tensor("b2", (4,))],
    (10, 10, 3), opset=9, ir=4, batch=1, options=["softmax"])

# A normalisation within the graph, for pixels from 0 to 255 as bytes, and a convolution that classifies.
build("pixels", [
    node("Cast", ["x"], ["xf"], to=1),
    node("Sub", ["xf", "mean"], ["centred"]),
    node("Div", ["centred", "std"], ["scaled"]),
    node("Conv", ["scaled", "w1", "b1"], ["c1"], strides=[2, 2]),
    node("Relu", ["c1"], ["r1"]),
    node("Conv", ["r1", "w2", "b2"], ["c2"]),
    node("GlobalAveragePool", ["c2"], ["p2"]),
    node("Flatten", ["p2"], ["y"]),
], [
    numpy_helper.from_array(np.float32([123.7, 116.3, 103.5]).reshape(1, 3, 1, 1), "mean"),
    numpy_helper.from_array(np.float32([58.4, 57.1, 57.4]).reshape(3, 1, 1), "std"),
    tensor("w1", (6, 3, 3, 3)), tensor("b1", (6,)), tensor("w2", (5, 6, 1, 1)), tensor("b2", (5,)),
], (15, 15, 3), scale=1, input_type=TensorProto.UINT8)

# Channels last at the input, as converters from TensorFlow write it.
build("channels-last", [
    node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
    node("Conv", ["t", "w1", "b1"], ["c1"], strides=[2, 2], kernel_shape=[3, 3], auto_pad="SAME_UPPER"),
    node("Relu", ["c1"], ["r1"]),
    node("GlobalAveragePool", ["r1"], ["p1"]),
    node("Transpose", ["p1"], ["l1"], perm=[0, 2, 3, 1]),
    node("Constant", [], ["shape"], value_ints=[0, -1]),
    node("Reshape", ["l1", "shape"], ["f1"]),
    node("MatMul", ["f1", "w2"], ["m2"]),
    node("Add", ["m2", "b2"], ["y"]),
], [tensor("w1", (6, 3, 3, 3)), tensor("b1", (6,)), tensor("w2", (6, 4)), tensor("b2", (4,))],
    (9, 9, 3), channels_last=True)

# A vector as input, which only --input makes an image of.
build("vector", [
    node("MatMul", ["x", "w1"], ["m1"]), node("Add", ["m1", "b1"], ["a1"]), node("Relu", ["a1"], ["r1"]),
    node("Gemm", ["r1", "w2", "b2"], ["y"], transB=1),
], [tensor("w1", (48, 6)), tensor("b1", (6,)), tensor("w2", (3, 6)), tensor("b2", (3,))],
    (4, 4, 3), flat=True, options=["input"])

# Half precision, and weights in a file beside the model.
half = [tensor("w1", (4, 3, 3, 3)), tensor("b1", (4,)), tensor("w2", (5, 4)), tensor("b2", (5,))]
layers = [
    node("Conv", ["x", "w1", "b1"], ["c1"]), node("Relu", ["c1"], ["r1"]),
    node("GlobalAveragePool", ["r1"], ["p1"]), node("Flatten", ["p1"], ["f1"]),
    node("Gemm", ["f1", "w2", "b2"], ["y"], transB=1)]
build("external", layers, half, (8, 8, 3), external=True)
build("half", layers, [numpy_helper.from_array(numpy_helper.to_array(t).astype(np.float16), t.name) for t in half],
      (8, 8, 3), input_type=TensorProto.FLOAT16)

# A map that is flattened with its channels last, which orders the weights behind it, both ways of laying them.
build("channels-last-flat", [
    node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
    node("Conv", ["t", "w1", "b1"], ["c1"], strides=[2, 2]),
    node("Transpose", ["c1"], ["l1"], perm=[0, 2, 3, 1]),
    node("Relu", ["l1"], ["r1"]),
    node("Constant", [], ["shape"], value_ints=[-1, 80]),
    node("Reshape", ["r1", "shape"], ["f1"]),
    node("MatMul", ["f1", "w2"], ["m2"]),
    node("Add", ["m2", "b2"], ["y"]),
], [tensor("w1", (5, 3, 3, 3)), tensor("b1", (5,)), tensor("w2", (80, 4)), tensor("b2", (4,))],
    (9, 10, 3), channels_last=True)
build("channels-last-gemm", [
    node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
    node("MaxPool", ["t"], ["p1"], kernel_shape=[3, 3], strides=[3, 3]),
    node("Transpose", ["p1"], ["l1"], perm=[0, 2, 3, 1]),
    node("Flatten", ["l1"], ["f1"]),
    node("Gemm", ["f1", "w2", "b2"], ["y"], transB=1),
], [tensor("w2", (4, 27)), tensor("b2", (4,))], (9, 10, 3), channels_last=True)

# Flattened with its channels last, with nothing but its size to tell; grey, where both orders are one; and normalised before it is
# turned.
build("channels-last-dense", [
    node("Flatten", ["x"], ["f"]),
    node("MatMul", ["f", "w1"], ["m1"]),
    node("Add", ["m1", "b1"], ["y"]),
], [tensor("w1", (126, 4)), tensor("b1", (4,))], (6, 7, 3), channels_last=True)
build("channels-last-grey", [
    node("Constant", [], ["shape"], value_ints=[-1, 1, 6, 7]),
    node("Reshape", ["x", "shape"], ["i"]),
    node("Conv", ["i", "w1", "b1"], ["c1"]),
    node("Flatten", ["c1"], ["f"]),
    node("Gemm", ["f", "w2", "b2"], ["y"], transB=1),
], [tensor("w1", (5, 1, 3, 3)), tensor("b1", (5,)), tensor("w2", (4, 100)), tensor("b2", (4,))],
    (6, 7, 1), channels_last=True)
build("channels-last-scaled", [
    node("Div", ["x", "deviation"], ["d"]),
    node("Sub", ["d", "mean"], ["s"]),
    node("Transpose", ["s"], ["t"], perm=[0, 3, 1, 2]),
    node("Conv", ["t", "w1", "b1"], ["c1"], strides=[2, 2]),
    node("GlobalAveragePool", ["c1"], ["p1"]),
    node("Flatten", ["p1"], ["f"]),
    node("Gemm", ["f", "w2", "b2"], ["y"], transB=1),
], [numpy_helper.from_array(np.float32([58.4, 57.1, 57.4]), "deviation"),
    numpy_helper.from_array(np.float32([2.1, 2.0, 1.8]), "mean"), tensor("w1", (6, 3, 3, 3)), tensor("b1", (6,)),
    tensor("w2", (4, 6)), tensor("b2", (4,))], (9, 9, 3), channels_last=True, scale=1)

# One output: the probability of yes.
build("yes-no", [
    node("Conv", ["x", "w1", "b1"], ["c1"], strides=[2, 2]),
    node("Relu", ["c1"], ["r1"]),
    node("Flatten", ["r1"], ["f"]),
    node("MatMul", ["f", "w2"], ["m2"]),
    node("Add", ["m2", "b2"], ["z"]),
    node("Sigmoid", ["z"], ["y"]),
], [tensor("w1", (4, 3, 3, 3)), tensor("b1", (4,)), tensor("w2", (64, 1), 0.1), tensor("b2", (1,))], (9, 9, 3),
    options=["yes-no"])

(folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
