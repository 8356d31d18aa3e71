#!/usr/bin/env python3
"""Exports networks of other libraries with random weights as ONNX files, and compares what lcp makes of them with ONNX Runtime.

    Benchmarks/networks/check.py [--lcp .build/release/lcp] [--only torchvision,timm] [--json results.json]

Needs from PyPI: torch torchvision timm onnx onnxruntime onnxscript numpy; tensorflow and tf2onnx for Keras' networks; scikit-learn and
skl2onnx for the last ones. What is not installed is left out, and told. A network agrees where every logit is as near as 1e-4 of the
largest one. networks.json beside this file is the list.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy

warnings.filterwarnings("ignore")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TOLERANCE = 1e-4


class Made:
    """An ONNX file, and how pixels become its input."""

    def __init__(self, path, side, channels_last=False):
        self.path, self.side, self.channels_last = path, side, channels_last


def settled(model):
    """Statistics of normalisations that are not the identity."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.8, 1.2)
    return model.eval()


def torch_model(library, name):
    import torch

    torch.manual_seed(1)
    if library == "timm":
        import timm

        model = timm.create_model(name, pretrained=False)
        return settled(model), model.default_cfg["input_size"][1]
    import torchvision

    side = {"inception_v3": 299}.get(name, 224)
    options = {"init_weights": True} if name in ("inception_v3", "googlenet") else {}
    return settled(torchvision.models.get_model(name, weights=None, **options)), side


def from_torch(library, name, exporter, folder):
    import torch

    model, side = torch_model(library, name)
    path = folder / "net.onnx"
    example = torch.rand(1, 3, side, side)
    if exporter == "dynamo":
        torch.onnx.export(model, (example,), path, dynamo=True, verbose=False)
    else:
        torch.onnx.export(model, (example,), path, dynamo=False, opset_version=17)
    return Made(path, side)


def from_keras(name, folder, exporter):
    import logging

    import keras
    import tensorflow

    logging.disable(logging.ERROR)
    keras.utils.set_random_seed(1)
    model = getattr(keras.applications, name)(weights=None)
    side = model.input_shape[1] or 224
    model(numpy.zeros((1, side, side, 3), numpy.float32))
    path = folder / "net.onnx"
    if exporter == "keras":
        model.export(path, format="onnx", verbose=False)
    else:
        import tf2onnx

        signature = [tensorflow.TensorSpec((1, side, side, 3), tensorflow.float32)]
        function = tensorflow.function(lambda values: model(values, training=False), input_signature=signature)
        tf2onnx.convert.from_function(function, input_signature=signature, output_path=str(path))
    return Made(path, side, channels_last=True)


def check(lcp, made, folder):
    """The largest difference of a logit as a share of the largest, or the refusal's sentences."""
    import onnxruntime

    bundle = folder / "bundle"
    result = subprocess.run(
        [lcp, "model", "import", made.path, "--mean", "0", "--std", "1", "--scale", str(1 / 255), "--out", bundle]
        + (["--input", f"{made.side}x{made.side}x3"] if made.channels_last else []), capture_output=True, text=True)
    if result.returncode:
        return None, result.stderr.strip()
    pixels = numpy.random.default_rng(1).integers(0, 256, (made.side, made.side, 3), dtype=numpy.uint8)
    (folder / "pixels").write_bytes(pixels.tobytes())
    result = subprocess.run([lcp, "predict", bundle, folder / "pixels", "--json"], capture_output=True, text=True)
    if result.returncode:
        return None, result.stderr.strip()
    ours = numpy.array(json.loads(result.stdout.splitlines()[0])["logits"])
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(made.path, options)
    values = pixels[None].astype(numpy.float32) / 255
    values = values if made.channels_last else values.transpose(0, 3, 1, 2)
    theirs = session.run(None, {session.get_inputs()[0].name: values})[0].ravel()
    if len(ours) == len(theirs) and abs(theirs.sum() - 1) < 1e-3 and (theirs >= 0).all():
        ours = numpy.exp(ours - ours.max())
        ours /= ours.sum()
    return float(abs(ours - theirs).max() / abs(theirs).max()), ""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lcp", default=str(ROOT / ".build/release/lcp"))
    parser.add_argument("--only", help="some of the list's keys, with commas")
    parser.add_argument("--names", help="some networks, with commas")
    parser.add_argument("--json", help="a file for the results")
    arguments = parser.parse_args()
    everything = json.loads((HERE / "networks.json").read_text())
    results = []
    for key, names in everything.items():
        if arguments.only and key not in arguments.only.split(","):
            continue
        library, exporter = key.split("/")
        for name in names:
            if arguments.names and name not in arguments.names.split(","):
                continue
            with tempfile.TemporaryDirectory() as folder:
                folder = pathlib.Path(folder)
                try:
                    if library in ("torchvision", "timm"):
                        made = from_torch(library, name, exporter, folder)
                    else:
                        made = from_keras(name, folder, exporter)
                except ImportError as error:
                    print(f"left out: {key} {name} needs {error.name}", flush=True)
                    continue
                except Exception as error:
                    print(f"left out: {key} {name} cannot be exported: {str(error).splitlines()[0][:100]}", flush=True)
                    continue
                difference, reason = check(arguments.lcp, made, folder)
            agrees = difference is not None and difference <= TOLERANCE
            results.append({"exporter": key, "network": name, "agrees": agrees, "difference": difference, "reasons": reason})
            said = f"{difference:.1e}" if difference is not None else reason.replace(str(made.path), "")
            print(f"{'agrees ' if agrees else 'WRONG  ' if difference is not None else 'refused'} {key} {name}: {said}", flush=True)
    count = sum(result["agrees"] for result in results)
    print(f"{count} of {len(results)} agree")
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(results, indent=1) + "\n")
    return 0 if results else 1


if __name__ == "__main__":
    sys.exit(main())
