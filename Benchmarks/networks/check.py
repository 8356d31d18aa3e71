#!/usr/bin/env python3
"""Exports networks of other libraries with random weights as ONNX files, and compares what lcp makes of them with ONNX Runtime.

    Benchmarks/networks/check.py [--lcp .build/release/lcp] [--only torchvision,timm] [--json results.json]

Needs from PyPI: torch torchvision timm onnx onnxruntime onnxscript numpy; tensorflow and tf2onnx for Keras' networks; scikit-learn and
skl2onnx for the last ones. What is not installed is left out, and told. A network agrees where every logit is as near as 1e-4 of the
largest one; of probabilities their logarithms count. One whose answer is the same for another picture is blind: it cannot tell whether
lcp is right. networks.json beside this file is the list.
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
# By how much of the largest logit another picture has to change one.
TOLD_APART = 1e-2
BLIND = "another picture gets the same answer"


class Made:
    """An ONNX file, the height, width and channels of its picture, and how pixels become its input."""

    def __init__(self, path, picture, channels_last=True, scale=1 / 255, is_sigmoid=False):
        self.path, self.picture, self.channels_last = path, picture, channels_last
        self.scale, self.is_sigmoid = scale, is_sigmoid


def settled(model, side):
    """Normalisations with the statistics of pictures, so that these are told apart, and no offsets and factors that are 0 and 1."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 1
    with torch.no_grad():
        for weight in model.parameters():
            if weight.min() == weight.max():
                weight.add_(torch.randn_like(weight) * 0.05)
        model.train()(torch.rand(4, 3, side, side) * torch.rand(4, 3, 1, 1))
    return model.eval()


def torch_model(library, name):
    import torch

    torch.manual_seed(1)
    if library == "timm":
        import timm

        model = timm.create_model(name, pretrained=False)
        side = model.default_cfg["input_size"][1]
        return settled(model, side), side
    import torchvision

    side = {"inception_v3": 299}.get(name, 224)
    options = {"init_weights": True} if name in ("inception_v3", "googlenet") else {}
    return settled(torchvision.models.get_model(name, weights=None, **options), side), side


def from_torch(library, name, exporter, folder):
    import torch

    model, side = torch_model(library, name)
    path = folder / "net.onnx"
    example = torch.rand(1, 3, side, side)
    if exporter == "dynamo":
        torch.onnx.export(model, (example,), path, dynamo=True, verbose=False)
    else:
        torch.onnx.export(model, (example,), path, dynamo=False, opset_version=17)
    return Made(path, (side, side, 3), channels_last=False)


def keras_model(name):
    """One of Keras' own networks for small pictures, or of its and TensorFlow's tutorials."""
    import keras
    from keras import layers

    def sequence(*rest):
        return keras.Sequential(rest)

    def normalized(*rest):
        return [part for layer in rest for part in (layer, layers.BatchNormalization(), layers.ReLU())]

    if name == "quickstart":
        return sequence(keras.Input((28, 28)), layers.Flatten(), layers.Dense(128, "relu"), layers.Dropout(0.2), layers.Dense(10))
    if name == "mlp":
        return sequence(
            keras.Input((784,)), layers.Dense(512, "relu"), layers.Dropout(0.2), layers.Dense(512, "relu"), layers.Dropout(0.2),
            layers.Dense(10, "softmax"))
    if name == "mnist_convnet":
        return sequence(
            keras.Input((28, 28, 1)), layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(), layers.Dropout(0.5),
            layers.Dense(10, "softmax"))
    if name == "flowers":
        blocks = [part for width in (16, 32, 64)
                  for part in (layers.Conv2D(width, 3, padding="same", activation="relu"), layers.MaxPooling2D())]
        return sequence(
            keras.Input((180, 180, 3)), layers.Rescaling(1 / 255), *blocks, layers.Dropout(0.2), layers.Flatten(),
            layers.Dense(128, "relu"), layers.Dense(5))
    if name == "cats_and_dogs":
        blocks = [part for width in (32, 64, 128, 128) for part in (layers.Conv2D(width, 3, activation="relu"), layers.MaxPooling2D())]
        return sequence(
            keras.Input((150, 150, 3)), *blocks, layers.Flatten(), layers.Dropout(0.5), layers.Dense(512, "relu"),
            layers.Dense(1, "sigmoid"))
    if name == "transfer":
        inputs = keras.Input((160, 160, 3))
        base = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(160, 160, 3))
        values = base(layers.Rescaling(1 / 127.5, offset=-1)(inputs), training=False)
        values = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(values))
        return keras.Model(inputs, layers.Dense(1, "sigmoid")(values))
    if name == "timeseries":
        return sequence(
            keras.Input((500, 1)), *normalized(*(layers.Conv1D(64, 3, padding="same") for _ in range(3))),
            layers.GlobalAveragePooling1D(), layers.Dense(2, "softmax"))
    if name == "keyword_spotting":
        pairs = [layer for _ in range(4)
                 for layer in (layers.DepthwiseConv2D(3, padding="same"), layers.Conv2D(64, 1, padding="same"))]
        return sequence(
            keras.Input((49, 10, 1)), *normalized(layers.Conv2D(64, (10, 4), 2, padding="same")), layers.Dropout(0.2),
            *normalized(*pairs), layers.Dropout(0.4), layers.AveragePooling2D((25, 5)), layers.Flatten(), layers.Dense(12, "softmax"))
    return getattr(keras.applications, name)(weights=None, input_shape=(96, 96, 3))


def settled_keras(model, scale):
    """Normalisations with the statistics of pictures, so that these are told apart, and no offsets and factors that are 0 and 1."""
    import keras

    random = numpy.random.default_rng(1)
    normalizations = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in normalizations:
        layer.momentum, layer.trainable = 0, True
    shape = model.input_shape[1:]
    pixels = random.integers(0, 256, (32, *shape)) * random.random((32, *(1 for _ in shape[:-1]), shape[-1]))
    model((pixels * scale).astype(numpy.float32), training=True)
    for weight in model.trainable_weights:
        values = numpy.array(weight)
        if values.ndim == 1:
            weight.assign(values + random.normal(0, 0.05, values.shape))
        elif not normalizations:
            # What Glorot's weights let fade behind ReLU.
            weight.assign(values * 2 ** 0.5)


def from_keras(name, exporter, folder):
    import logging

    import keras
    import tensorflow

    logging.disable(logging.ERROR)
    keras.utils.set_random_seed(1)
    model = keras_model(name)
    scale = 1 if any(isinstance(layer, keras.layers.Rescaling) for layer in model.layers) else 1 / 255
    settled_keras(model, scale)
    path = folder / "net.onnx"
    if exporter == "keras":
        model.export(path, format="onnx", verbose=False)
    else:
        import tf2onnx

        # Which a Sequential lacks.
        model.output_names = ["output"]
        signature = [tensorflow.TensorSpec(model.input_shape, tensorflow.float32, name="input")]
        tf2onnx.convert.from_keras(model, input_signature=signature, output_path=str(path))
    shape = model.input_shape[1:]
    picture = {1: (1, 1, *shape), 2: (1, *shape) if shape[-1] == 1 else (*shape, 1)}.get(len(shape), shape)
    return Made(path, picture, scale=scale, is_sigmoid=model.layers[-1].activation is keras.activations.sigmoid)


def from_sklearn(name, folder):
    from skl2onnx import to_onnx
    from sklearn import datasets, linear_model, neural_network, pipeline, preprocessing, svm

    def perceptrons(activation, *widths):
        return neural_network.MLPClassifier(widths, activation=activation, max_iter=30)

    # What scales the numbers, what classifies, the data, and up to what number these go.
    scaler, classifier, (values, classes), top = {
        "iris_mlp_relu": (preprocessing.StandardScaler(), perceptrons("relu", 20, 10), datasets.load_iris(return_X_y=True), 8),
        "digits_mlp_tanh": (preprocessing.MinMaxScaler(), perceptrons("tanh", 64), datasets.load_digits(return_X_y=True), 16),
        "yes_no_mlp_logistic": (None, perceptrons("logistic", 30), datasets.make_classification(random_state=1), 2),
        "digits_normalizer_mlp": (preprocessing.Normalizer(), perceptrons("relu", 50), datasets.load_digits(return_X_y=True), 16),
        "digits_logistic_regression": (
            preprocessing.StandardScaler(), linear_model.LogisticRegression(), datasets.load_digits(return_X_y=True), 16),
        "yes_no_logistic_regression": (
            preprocessing.StandardScaler(), linear_model.LogisticRegression(), datasets.make_classification(random_state=1), 2),
        "iris_linear_svc": (preprocessing.StandardScaler(), svm.LinearSVC(), datasets.load_iris(return_X_y=True), 8),
        "digits_sgd": (
            preprocessing.MinMaxScaler(), linear_model.SGDClassifier(loss="log_loss"), datasets.load_digits(return_X_y=True), 16),
        "iris_ridge": (preprocessing.MinMaxScaler(), linear_model.RidgeClassifier(), datasets.load_iris(return_X_y=True), 8),
        "digits_perceptron": (None, linear_model.Perceptron(), datasets.load_digits(return_X_y=True), 16),
    }[name]
    numpy.random.seed(1)
    values = values.astype(numpy.float32)
    model = pipeline.make_pipeline(*([scaler] if scaler else []), classifier).fit(values, classes)
    # Numbers instead of a list of dictionaries.
    options = {id(classifier): {"raw_scores": True} if isinstance(classifier, svm.LinearSVC) else {"zipmap": False}}
    path = folder / "net.onnx"
    path.write_bytes(to_onnx(model, values[:1], options=options).SerializeToString())
    return Made(path, (1, 1, values.shape[1]), scale=top / 255)


def logits(values, is_sigmoid):
    """A network's answer as logits, and whether only their differences are known. A probability of nearly nothing says none."""
    values = values.astype(numpy.float64).ravel()
    if is_sigmoid:
        values = numpy.array([1 - values[0], values[0]])
    elif len(values) == 1:
        values = numpy.array([0, values[0]])
    if abs(values.sum() - 1) < 1e-3 and (values >= 0).all():
        values[values < 1e-30] = numpy.nan
        return numpy.log(values), True
    return values, False


def check(lcp, made, folder):
    """The largest difference of a logit as a share of the largest, or the refusal's sentences."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(made.path, options)
    # scikit-learn's classifiers have the class first, and what it comes from last.
    output = session.get_outputs()[-1].name
    bundle = folder / "bundle"
    result = subprocess.run(
        [lcp, "model", "import", made.path, "--mean", "0", "--std", "1", "--scale", str(made.scale), "--out", bundle]
        + (["--input", "x".join(map(str, made.picture))] if made.channels_last and made.picture[:2] != (1, 1) else [])
        + (["--output", output] if len(session.get_outputs()) > 1 else []), capture_output=True, text=True)
    if result.returncode:
        return None, result.stderr.strip()
    pixels = numpy.random.default_rng(1).integers(0, 256, made.picture, dtype=numpy.uint8)
    (folder / "pixels").write_bytes(pixels.tobytes())
    result = subprocess.run([lcp, "predict", bundle, folder / "pixels", "--json"], capture_output=True, text=True)
    if result.returncode:
        return None, result.stderr.strip()
    ours = numpy.array(json.loads(result.stdout.splitlines()[0])["logits"])

    def run(pixels):
        values = pixels.astype(numpy.float32) * numpy.float32(made.scale)
        # Keras' EfficientNets have inputs that no node reads.
        first, *others = session.get_inputs()
        values = values.reshape([1, *first.shape[1:]]) if made.channels_last else values.transpose(2, 0, 1)[None]
        unread = {node.name: numpy.zeros(node.shape, numpy.float32) for node in others}
        return logits(session.run([output], {first.name: values, **unread})[0], made.is_sigmoid)

    (theirs, is_relative), (other, _) = run(pixels), run(pixels // 2)
    if len(ours) != len(theirs):
        return 1.0, f"{len(ours)} logits instead of {len(theirs)}"
    known = ~numpy.isnan(theirs + other)
    ours, theirs, other = (values[known] - values[known].mean() * is_relative for values in (ours, theirs, other))
    largest = abs(theirs).max()
    if abs(other - theirs).max() < TOLD_APART * largest:
        return None, BLIND
    return float(abs(ours - theirs).max() / largest), ""


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
                    elif library == "sklearn":
                        made = from_sklearn(name, folder)
                    else:
                        made = from_keras(name, exporter, folder)
                except ImportError as error:
                    print(f"left out: {key} {name} needs {error.name}", flush=True)
                    continue
                except Exception as error:
                    print(f"left out: {key} {name} cannot be exported: {str(error).splitlines()[0][:100]}", flush=True)
                    continue
                difference, reason = check(arguments.lcp, made, folder)
            agrees = difference is not None and difference <= TOLERANCE
            results.append({"exporter": key, "network": name, "agrees": agrees, "difference": difference, "reasons": reason})
            verdict = "agrees " if agrees else "WRONG  " if difference is not None else "blind  " if reason == BLIND else "refused"
            said = f"{difference:.1e}" if difference is not None else reason.replace(str(made.path), made.path.name)
            print(f"{verdict} {key} {name}: {said}", flush=True)
    count = sum(result["agrees"] for result in results)
    print(f"{count} of {len(results)} agree")
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(results, indent=1) + "\n")
    return 0 if results else 1


if __name__ == "__main__":
    sys.exit(main())
