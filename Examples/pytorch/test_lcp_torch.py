"""Bundles in PyTorch give what lcp gives.

python -m unittest, with the program in the path, named by LCP in the environment, or built in this checkout.
"""

import copy
import json
import os
import pathlib
import subprocess
import tempfile
import unittest
from collections.abc import Collection
from typing import Any

import numpy
import torch

import lcp_torch
from lcp_torch import BundleError, Model
from train import find_lcp

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT = 1e-4
torch.set_num_threads(1)


def lcp(*words: str | pathlib.Path) -> str:
    """What the program says."""
    result = subprocess.run([find_lcp(os.environ.get("LCP")), *map(str, words)], capture_output=True, text=True)
    if result.returncode:
        raise AssertionError(f"lcp {' '.join(map(str, words))}: {result.stderr}")
    return result.stdout


def lcp_logits(bundle: pathlib.Path, images: numpy.ndarray, missing: Collection[int] = ()) -> torch.Tensor:
    """The logits of raw pixels, as lcp computes them."""
    with tempfile.TemporaryDirectory() as folder:
        files = [pathlib.Path(folder) / f"{number}.raw" for number in range(len(images))]
        for file, image in zip(files, images, strict=True):
            image.tofile(file)
        options = ["--missing", ",".join(map(str, missing))] if missing else []
        lines = lcp("predict", bundle, *files, "--json", *options).splitlines()
    return torch.tensor([json.loads(line)["logits"] for line in lines])


def calibrate(model: Model, images: torch.Tensor) -> None:
    """Gives normalisations the statistics of some images, as training would: without them random networks explode."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    model.train()
    with torch.no_grad():
        for branch in model.branches:
            branch(images)
    model.eval()


def manifest(network: dict[str, Any]) -> dict[str, Any]:
    """A model.json for a network."""
    channels = network["input"]["channels"]
    # Those of format 1 are in the networks that lcp knows.
    first = {"convolution", "depthwise_convolution", "max_pool", "average_pool", "global_average_pool", "fully_connected"}
    first |= {"batch_normalization", "local_response_normalization", "relu", "relu6", "dropout", "softmax"}
    first |= {"output", "add", "concatenate"}
    layers = [layer for branch in network["branches"] for layer in branch]
    windows = any(isinstance(entry, list) for layer in layers for key, entry in layer.items() if key != "layers")
    later = windows or any({"ceil", "dilation"} & set(layer) or layer["type"] not in first for layer in layers)
    result = {
        "format": 5 if later else 1,
        "name": "test",
        "network": network,
        "labels": [str(label) for label in range(network["classes"])],
        "preprocessing": {"mean": [0.4] * channels, "standard_deviation": [0.2] * channels},
        "missing_scale": [1 + k / 4 for k in range(len(network["branches"]))],
    }
    features = [branch.features for branch in Model(result).branches]
    return {**result, "outputs": ["partial_logits" if network["classes"] < f else "features" for f in features]}


class BundleTests(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.random = numpy.random.default_rng(1)

    def images(self, model: Model, count: int) -> numpy.ndarray:
        """Noise, coarse and fine."""
        height, width, channels = model.input
        coarse = self.random.integers(0, 256, (count, height // 4 + 1, width // 4 + 1, channels))
        images = coarse.repeat(4, 1).repeat(4, 2)[:, :height, :width]
        return (images // 2 + self.random.integers(0, 128, images.shape)).astype(numpy.uint8)

    def compare(
        self, bundle: pathlib.Path, model: Model, count: int, missing: Collection[int] = (), exactly: bool = False
    ) -> float:
        """How far lcp's logits are from PyTorch's at most.

        - exactly: from those in double precision, because fifty random layers differ in two single ones by themselves.
        """
        images = self.images(model, count)
        values = model.preprocess(images)
        with torch.no_grad():
            found = copy.deepcopy(model).double()(values.double(), missing) if exactly else model(values, missing)
        difference = (found - lcp_logits(bundle, images, missing)).abs().max().item()
        # Eight bits are rounded at other places here.
        limit = 0.05 * found.abs().max().item() if model.manifest.get("arithmetic") else LIMIT
        self.assertLess(difference, limit, f"{bundle.name}, missing {missing}, logits to {found.abs().max():.1f}")
        return difference

    def test_a_model_in_eight_bits_is_not_saved(self) -> None:
        model = lcp_torch.load(ROOT / "Models/lenet-split4-int8")
        with self.assertRaisesRegex(BundleError, "eight bits"):
            lcp_torch.save(model, self.folder / "copy")

    def test_shipped_bundles(self) -> None:
        bundles = sorted(path.parent for path in (ROOT / "Models").glob("*/model.json"))
        self.assertTrue(bundles)
        for bundle in bundles:
            with self.subTest(bundle.name):
                model, count = lcp_torch.load(bundle), 8
                differences = [self.compare(bundle, model, count)]
                if len(model.branches) > 1:
                    differences.append(self.compare(bundle, model, count, {1}))
                    differences.append(self.compare(bundle, model, count, set(range(1, len(model.branches)))))
                print(f"{bundle.name}: logits differ by {max(differences):.1e} at most")

    def test_networks(self) -> None:
        """Every network that lcp knows, with random weights, as lcp split it and as PyTorch wrote it."""
        cases = [("lenet-fc", 1), ("lenet-fc", 4), ("lenet", 3), ("cifarnet", 1), ("cifarnet", 8), ("cifarnet-bn", 4)]
        cases += [(name, 8) for name in ("vgg-s", "vgg16", "alexnet", "resnet18", "resnet50", "mobilenet")]
        cases += [("mlp", 1), ("conv1d", 4), ("dscnn", 4)]
        known = {network["name"] for network in json.loads(lcp("model", "list", "--json"))["networks"]}
        self.assertEqual(known, {name for name, _ in cases})
        for name, branches in cases:
            with self.subTest(f"{name} in {branches}"):
                bundle = self.folder / f"{name}-split{branches}"
                lcp("model", "split", name, "--branches", branches, "--out", bundle)
                model = lcp_torch.load(bundle)
                if any(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules()):
                    calibrate(model, model.preprocess(self.images(model, 4)))
                    lcp_torch.save(model, bundle)
                difference = self.compare(bundle, model, 2, exactly=True)
                if branches > 1:
                    difference = max(difference, self.compare(bundle, model, 1, {0, branches - 1}, exactly=True))
                print(f"{bundle.name}: logits differ by {difference:.1e} at most")

    def test_a_model_for_records(self) -> None:
        """One that lcp trained: numbers as they are, normalised by both."""
        records = self.random.normal(50, 3, (200, 2)).astype(numpy.float32)
        rows = [f"{a:.6f},{b:.6f},{'low' if a < b else 'high'}" for a, b in records]
        (self.folder / "records.csv").write_text("a,b,label\n" + "\n".join(rows) + "\n")
        bundle = self.folder / "records"
        lcp("train", "mlp", "--branches", 2, "--data", f"csv:{self.folder / 'records.csv'}", "--epochs", 2, "--out", bundle)
        model = lcp_torch.load(bundle)
        lines = lcp("predict", bundle, f"csv:{self.folder / 'records.csv'}", "--json").splitlines()
        expected = torch.tensor([json.loads(line)["logits"] for line in lines])
        written = numpy.array([row.split(",")[:2] for row in rows], numpy.float32)
        with torch.no_grad():
            found = model(model.preprocess(written[:, None, None, :]))
        self.assertLess((found - expected).abs().max().item(), LIMIT)

    def test_every_layer(self) -> None:
        """Every way to put layers together, with weights that PyTorch wrote."""
        files = sorted((ROOT / "Tests/Fixtures/torch-training").glob("*.json"))
        networks = {path.stem: json.loads(path.read_text())["network"] for path in files}
        networks["every-layer"] = json.loads((ROOT / "Tests/Fixtures/manifests/every-layer.json").read_text())[
            "network"
        ]
        for name, network in networks.items():
            if network["base"] not in ("test", "lenet"):
                continue  # One of the zoo, which has a test of its own.
            with self.subTest(name):
                torch.manual_seed(1)
                model = Model(manifest(network))
                calibrate(model, model.preprocess(self.images(model, 8)))
                lcp_torch.save(model, self.folder / name)
                self.compare(self.folder / name, lcp_torch.load(self.folder / name), 3)
                if len(model.branches) > 1:
                    self.compare(self.folder / name, model, 2, {0})

    def test_branches_send_what_the_logits_are_made_of(self) -> None:
        for name in ("lenet-split4", "lenet-split8"):
            model = lcp_torch.load(ROOT / "Models" / name)
            values = model.preprocess(self.images(model, 2))
            with torch.no_grad():
                logits = model(values)
                features = [branch(values) for branch in model.branches]
                shares = [model.share(k, found) for k, found in enumerate(features)]
                messages = [model.message(k, values) for k in range(len(features))]
            torch.testing.assert_close(sum(shares) + model.merge.bias, logits)
            torch.testing.assert_close(messages, shares if name == "lenet-split4" else features)
            self.assertEqual([found.shape[1] for found in messages], [10] * len(features))

    def test_pixels(self) -> None:
        model = lcp_torch.load(ROOT / "Models/lenet-split1")
        images = self.images(model, 3)
        values = model.preprocess(images)
        self.assertEqual(values.shape, (3, 1, 28, 28))
        torch.testing.assert_close(model.preprocess(torch.from_numpy(images)[..., 0]), values)
        torch.testing.assert_close(model.preprocess(images[0]), values[:1])
        with self.assertRaisesRegex(BundleError, "branches 0 to 0"):
            model(values, missing={1})
        with self.assertRaisesRegex(BundleError, "leaves no branch"):
            model(values, missing={0})
        with self.assertRaisesRegex(BundleError, "uint8"):
            model.preprocess(images.astype(numpy.float32))
        with self.assertRaisesRegex(BundleError, "takes images of 28×28×1, not 3×28×28×3"):
            model.preprocess(images.repeat(3, 3))

    def test_a_bundle_that_was_written_is_the_same(self) -> None:
        model = lcp_torch.load(ROOT / "Models/lenet-split2")
        lcp_torch.save(lcp_torch.load(ROOT / "Models/lenet-split4"), self.folder / "copy")
        digest = lcp_torch.save(model, self.folder / "copy")
        names = ["branch-0.safetensors", "branch-1.safetensors", "merge.safetensors", "model.json"]
        self.assertEqual(sorted(path.name for path in (self.folder / "copy").iterdir()), names)
        report = json.loads(lcp("model", "show", self.folder / "copy", "--json"))
        self.assertEqual(report["model_hash"], digest)
        again = lcp_torch.load(self.folder / "copy")
        self.assertEqual(again.manifest, model.manifest)
        for name, value in model.state_dict().items():
            self.assertTrue(torch.equal(value, again.state_dict()[name]), name)

    def test_every_mistake_is_one_sentence(self) -> None:
        source = ROOT / "Models/lenet-split2"
        text = (source / "model.json").read_text()
        weights = (source / "merge.safetensors").read_bytes()
        cases = [
            ("model.json", None, "there is no model bundle"),
            ("model.json", text[:-99].encode(), "is not JSON"),
            ("model.json", text.replace('"format" : 1', '"format" : 9').encode(), "format version 1"),
            ("model.json", text.replace('"max_pool"', '"min_pool"').encode(), "there is no layer 'min_pool'"),
            ("model.json", text.replace('"outputs"', '"width"').encode(), "describes no usable model"),
            ("merge.safetensors", None, "cannot read .*merge.safetensors"),
            ("merge.safetensors", weights[:-1] + b"x", "SHA-256 differs"),
            ("model.json", text.replace('"classes" : 10', '"classes" : 9').encode(), "does not fit"),
        ]
        for number, (name, contents, sentence) in enumerate(cases):
            folder = self.folder / str(number)
            folder.mkdir()
            for path in source.iterdir():
                (folder / path.name).write_bytes(path.read_bytes())
            if contents is None:
                (folder / name).unlink()
            else:
                (folder / name).write_bytes(contents)
            with self.subTest(sentence), self.assertRaisesRegex(BundleError, sentence) as caught:
                lcp_torch.load(folder)
            self.assertNotIn("\n", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
