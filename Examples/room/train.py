#!/usr/bin/env python3
"""Trains the classifier that room.onnx holds: python3 train.py room.csv. Needs scikit-learn, skl2onnx and pandas.

    awk -v seed=1 -v days=20 -f generate.awk > room.csv
"""
import sys

import numpy
import pandas
from skl2onnx import to_onnx
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

table = pandas.read_csv(sys.argv[1])
records = table[["temperature", "humidity", "co2", "light"]].to_numpy(numpy.float32)
known, tested, states, truths = train_test_split(records, table["state"], test_size=0.25, random_state=1)
model = make_pipeline(StandardScaler(), MLPClassifier((32, 16), max_iter=200, random_state=1)).fit(known, states)
print(f"{100 * model.score(tested, truths):.1f} % right")
with open("room.onnx", "wb") as file:
    file.write(to_onnx(model, records[:1]).SerializeToString())
