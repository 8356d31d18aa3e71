"""Runs what `lcp model export` wrote in ONNX Runtime: the branches and the merge have to come to what model.onnx does.

    lcp model export lenet-split4 --out lenet-onnx
    venv/bin/python Tests/Fixtures/onnx/check-export.py lenet-onnx

A second path is a JSON file that gets the logits of the first image, under the folder's name: Tests/ONNXTests compares those of
exports.json with what lcp itself computes.
"""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime

folder = pathlib.Path(sys.argv[1])
files = sorted(folder.glob("branch-*.onnx"), key=lambda path: int(path.stem.split("-")[1]))
for path in [*files, folder / "merge.onnx", folder / "model.onnx"]:
    onnx.checker.check_model(str(path), full_check=True)


def run(path, *inputs):
    session = onnxruntime.InferenceSession(str(path))
    return session.run(None, {value.name: array for value, array in zip(session.get_inputs(), inputs)})[0]


session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
value = session.get_inputs()[0]
index = np.arange(3 * int(np.prod(value.shape[1:])))
images = ((73 * index + 31 * (index // 7)) % 256).astype(np.float32).reshape(3, *value.shape[1:])
if value.name == "normalized":
    images = images / 127.5 - 1
whole = run(folder / "model.onnx", images)
parts = run(folder / "merge.onnx", *[run(path, images) for path in files])
difference = float(np.abs(whole - parts).max())
print(f"{folder}: {len(files)} branches and their merge differ from model.onnx by at most {difference:.2e}")
if len(sys.argv) > 2:
    record = pathlib.Path(sys.argv[2])
    known = json.loads(record.read_text()) if record.exists() else {}
    known[folder.name] = [float(value) for value in whole[0]]
    record.write_text(json.dumps(known, indent=1) + "\n")
sys.exit(difference > 1e-4)
