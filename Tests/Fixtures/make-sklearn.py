"""Writes sklearn/*.onnx and sklearn/expected.json: small classifiers of scikit-learn, as its exporter writes them, and what ONNX
Runtime makes of three records. Needs scikit-learn, skl2onnx and onnxruntime.

python3 Tests/Fixtures/make-sklearn.py
"""
import json
import pathlib
import warnings

import numpy
import onnxruntime
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression, Perceptron, RidgeClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

warnings.filterwarnings("ignore")
folder = pathlib.Path(__file__).resolve().parent / "sklearn"
folder.mkdir(exist_ok=True)
records, classes = load_iris(return_X_y=True)
names = numpy.array(["setosa", "versicolor", "virginica"])[classes]
tried = numpy.round(records[[3, 70, 120]], 3).astype(numpy.float32)
expected = {}
for name, model, only in [
        ("mlp", make_pipeline(StandardScaler(), MLPClassifier((8, 4), max_iter=300, random_state=1)), slice(None)),
        ("mlp-binary", make_pipeline(MinMaxScaler(), MLPClassifier((6,), activation="tanh", max_iter=300, random_state=1)),
         slice(50, None)),
        ("logistic", make_pipeline(StandardScaler(), LogisticRegression()), slice(None)),
        ("logistic-binary", LogisticRegression(), slice(50, None)), ("ridge", RidgeClassifier(), slice(None)),
        ("perceptron", Perceptron(), slice(None))]:
    model.fit(records[only], names[only])
    proto = to_onnx(model, records[:1].astype(numpy.float32))
    data = proto.SerializeToString()
    (folder / f"{name}.onnx").write_bytes(data)
    found, scores = onnxruntime.InferenceSession(data).run(None, {"X": tried})
    table = [list(row.values()) for row in scores] if isinstance(scores, list) else scores.tolist()
    expected[name] = {"labels": list(model.classes_), "classes": found.tolist(), "scores": table}
(folder / "expected.json").write_text(
    json.dumps({"records": [[float(number) for number in row] for row in tried], "models": expected}, indent=1) + "\n")
