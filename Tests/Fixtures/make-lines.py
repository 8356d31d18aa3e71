"""Writes lines/*.onnx and lines/expected.json: networks whose inputs have three dimensions, as both of PyTorch's exporters write
them, and what ONNX Runtime makes of an input. Needs torch, onnx, onnxscript and onnxruntime.

python3 Tests/Fixtures/make-lines.py
"""
import json
import pathlib
import warnings

import numpy
import onnxruntime
import torch
from torch import nn

warnings.filterwarnings("ignore")
torch.manual_seed(1)
folder = pathlib.Path(__file__).resolve().parent / "lines"
folder.mkdir(exist_ok=True)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.second = nn.Conv1d(3, 8, 7, padding=3), nn.BatchNorm1d(8), nn.Conv1d(8, 8, 3, padding=1)
        self.last = nn.Linear(8, 5)

    def forward(self, values):
        values = torch.relu(self.norm(self.first(values)))
        return self.last((values + torch.relu(self.second(values))).mean(2))


class ChannelsLast(nn.Module):
    """Samples in front of channels, as Keras has them."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv1d(3, 6, 5, stride=2, padding=2), nn.Linear(6 * 10, 4)

    def forward(self, values):
        return self.last(torch.tanh(self.first(values.transpose(1, 2))).flatten(1))


class Cropped(nn.Module):
    """A maximum over zeros that a Pad makes, in front of which no ReLU stands."""

    def __init__(self):
        super().__init__()
        self.first, self.pad, self.pool = nn.Conv1d(3, 4, 3), nn.ZeroPad1d((1, 2)), nn.MaxPool1d(3, 2)
        self.last = nn.Linear(4 * 10, 3)

    def forward(self, values):
        return self.last(self.pool(self.pad(self.first(values) - 3)).flatten(1))


plain = nn.Sequential(
    nn.Conv1d(3, 8, 5, stride=2, padding=2), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(8, 8, 3, dilation=2, padding=2, groups=8),
    nn.BatchNorm1d(8), nn.SiLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 4))
grey = nn.Sequential(nn.Flatten(), nn.Linear(60, 6), nn.ReLU(), nn.Linear(6, 3))
expected = {}
for name, network, shape in [
        ("plain", plain, (3, 20)), ("residual", Residual(), (3, 20)), ("channels-last", ChannelsLast(), (20, 3)),
        ("cropped", Cropped(), (3, 20)), ("grey", grey, (12, 5))]:
    for part in network.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.running_mean.uniform_(-1, 1)
            part.running_var.uniform_(0.5, 2)
    values = torch.randn(1, *shape)
    # The older exporter computes the pads in the graph.
    for dynamo in (True,) if name == "cropped" else (False, True):
        path = folder / f"{name}{'-dynamo' if dynamo else ''}.onnx"
        torch.onnx.export(network.eval(), (values,), path, dynamo=dynamo, verbose=False, external_data=False)
        session = onnxruntime.InferenceSession(path)
        logits = session.run(None, {session.get_inputs()[0].name: values.numpy()})[0][0]
        # As it travels: samples, and the channels of each; rows of a grey image.
        order = values[0].T if shape[0] == 3 else values[0]
        expected[path.stem] = {"input": numpy.ravel(order.numpy()).tolist(), "logits": logits.tolist()}
(folder / "expected.json").write_text(json.dumps(expected) + "\n")
