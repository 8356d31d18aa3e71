"""What is trained here runs in lcp.

python -m unittest, see test_lcp_torch.py. LCP_DATA/mnist in the environment has MNIST, where it is set.
"""

import contextlib
import dataclasses
import io
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

import numpy
import torch
from torch import nn

import lcp_muon
import lcp_torch
from lcp_data import (
    PICTURES,
    CompressedImages,
    Data,
    DataError,
    FolderImages,
    MemoryImages,
    Portions,
    Steps,
    divide,
    through_jpeg,
)
from lcp_recipe import PRESETS, Recipe, RecipeError, augment, preset
from test_lcp_torch import ROOT, lcp
from train import find_lcp, main

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = [sys.executable, str(HERE / "train.py")]
OPTIONS = ["--threads", "1", "--lcp", find_lcp(os.environ.get("LCP"))]
ENVIRONMENT = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}


def write_idx(path: pathlib.Path, values: numpy.ndarray) -> None:
    shape = numpy.array(values.shape, ">u4").tobytes()
    path.write_bytes(bytes((0, 0, 8, values.ndim)) + shape + values.astype(numpy.uint8).tobytes())


def write_patterns(folder: pathlib.Path, training: int = 4000, test: int = 500) -> None:
    """A data set in MNIST's files that is easy to learn: a pattern for each class, moved and noisy."""
    random = numpy.random.default_rng(1)
    patterns = random.integers(0, 2, (10, 7, 7)).repeat(4, 1).repeat(4, 2) * 200
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, count in (("train", training), ("t10k", test)):
        labels = random.integers(0, 10, count)
        images = numpy.stack([numpy.roll(patterns[label], random.integers(-1, 2, 2), (0, 1)) for label in labels])
        write_idx(folder / f"{prefix}-images-idx3-ubyte", images + random.integers(0, 56, images.shape))
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", labels)


def train(*words: str | pathlib.Path, program: list[str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*(program or PROGRAM), *OPTIONS, *map(str, words)], capture_output=True, text=True, env=ENVIRONMENT
    )


class TrainingTests(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.data = self.folder / "patterns"
        write_patterns(self.data)

    def train(self, *words: str | pathlib.Path, program: list[str] | None = None) -> dict[str, float]:
        """Trains, and gives the accuracies that the bundle's record tells, which lcp measures, too."""
        result = train("--json", *words, program=program)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout.splitlines()[-1])

    def lcp_accuracy(self, bundle: pathlib.Path, data: str) -> list[float]:
        """With all branches, and with one missing where there are several."""
        words = ["--missing", "1"] if len(lcp_torch.read_manifest(bundle)["outputs"]) > 1 else []
        report = json.loads(lcp("evaluate", bundle, "--data", data, "--json", *words))
        return [missing["mean"] for missing in report["results"][0]["by_missing"]]

    def test_many_processes_train_what_lcp_runs(self) -> None:
        """torchrun with two processes on this machine, on MNIST where it is there."""
        real = pathlib.Path(os.environ.get("LCP_DATA", "/nowhere")) / "mnist"
        data = real if real.is_dir() else self.data
        bundle = self.folder / "lenet-split4"
        words = ["--network", "lenet", "--branches", "4", "--data", f"mnist:{data}", "--epochs", "2", "--out", bundle]
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
        report = self.train(*words, "--batch", "128", program=[*torchrun, PROGRAM[1]])
        ours, theirs = report["accuracy"]["mnist"], self.lcp_accuracy(bundle, f"mnist:{data}")
        print(f"two processes, {data.name}: {ours:.4f} in PyTorch, {theirs[0]:.4f} in lcp, {theirs[1]:.4f} without one")
        self.assertGreater(theirs[0], 0.95)
        self.assertGreater(theirs[1], 0.85)
        self.assertAlmostEqual(ours, theirs[0], delta=1e-3)
        if shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin"):
            words = ["--source", f"mnist:{data}", "--frames", "50", "--deadline", "5000", "--json"]
            summary = json.loads(lcp("demo", "--model", bundle, *words).splitlines()[-1])
            self.assertEqual((summary["predictions"], summary["branches"]), (50, 4))
            self.assertGreater(summary["accuracy"], 0.9)
        shown = json.loads(lcp("model", "show", bundle, "--json"))
        self.assertEqual(shown["model_hash"], report["model_hash"])
        self.assertEqual(len(shown["training"]["history"]), 2)
        self.assertNotIn(str(self.folder), json.dumps(shown["training"]))
        scale = lcp_torch.read_manifest(bundle)["missing_scale"]
        self.assertEqual(scale[0], 1)
        self.assertTrue(all(0.5 < factor < 8 for factor in scale[1:]), scale)

    def test_everything_that_helps_branches(self) -> None:
        teacher, bundle = self.folder / "teacher", self.folder / "taught"
        common = ["--data", self.data, "--network", "lenet"]
        self.train(*common, "--epochs", "2", "--out", teacher, "--set", "schedule=cosine", "--set", "optimizer=sgd")
        entries = ["branch_dropout=0.2", "auxiliary_weight=0.3", "auxiliary_until=0.8", "views=true", "cutout=6"]
        entries += ["distillation=0.5", "label_smoothing=0.1", "accumulation=2", "flips=false", "patience=5"]
        entries += ["optimizer=muon", "momentum=0.95", "mutual=0.5"]
        options = [word for entry in entries for word in ("--set", entry)]
        options += ["--teacher", teacher, "--teacher", ROOT / "Models/lenet-split4", "--validation", "0.1"]
        options += ["--shares", "2,1,1", "--precision", "bf16"]
        report = self.train(*common, *options, "--epochs", "4", "--out", bundle)
        theirs = self.lcp_accuracy(bundle, f"mnist:{self.data}")
        self.assertAlmostEqual(report["accuracy"]["mnist"], theirs[0], delta=2e-3)
        self.assertGreater(theirs[0], 0.9)
        record = lcp_torch.read_manifest(bundle)["training"]
        self.assertTrue(all("validation_accuracy" in epoch for epoch in record["history"]))
        self.assertEqual(record["recipe"]["distillation"], 0.5)

        # Gone on with from its weights: already good after one epoch.
        tuned = self.folder / "tuned"
        words = ["--bundle", bundle, "--data", self.data, "--epochs", "1", "--learning-rate", "1e-4", "--out", tuned]
        report = self.train(*words, "--set", "averaging=0")
        self.assertGreater(report["accuracy"]["mnist"], 0.9)

    def test_normalisations_and_sums(self) -> None:
        for network, size in (("resnet18", "32x32x3"), ("cifarnet", None)):
            data, bundle = self.folder / f"{network}-data", self.folder / network
            self.write_cifar(data, 20)
            words = ["--network", network, "--branches", "8", "--data", f"cifar10:{data}", "--epochs", "2"]
            report = self.train(*words, *(["--input", size] if size else []), "--batch", "10", "--out", bundle)
            theirs = self.lcp_accuracy(bundle, f"cifar10:{data}")
            self.assertAlmostEqual(report["accuracy"]["cifar10"], theirs[0], delta=0.0501)
            self.assertEqual(json.loads(lcp("model", "show", bundle, "--json"))["labels"][9], "truck")

    def test_branches_begin_as_shares_of_a_teacher(self) -> None:
        """With steps of next to nothing they stay so, and expect the pixels that the teacher expects."""
        data, whole, bundle = self.folder / "data", self.folder / "whole", self.folder / "taught"
        self.write_cifar(data, 20)
        common = ["--network", "cifarnet-bn", "--data", f"cifar10:{data}", "--epochs", "1", "--batch", "20"]
        self.train(*common, "--out", whole)
        manifest = lcp_torch.read_manifest(whole)
        manifest["preprocessing"] = {"mean": [0.5] * 3, "standard_deviation": [0.2] * 3}
        (whole / "model.json").write_text(json.dumps(manifest))
        words = [*common, "--branches", "2", "--recipe", "taught", "--learning-rate", "1e-9", "--out", bundle]
        self.assertIn("needs a --teacher", train(*words).stderr)
        self.train(*words, "--teacher", whole)
        teacher, taught = lcp_torch.load(whole), lcp_torch.load(bundle)
        self.assertEqual(taught.manifest["preprocessing"], manifest["preprocessing"])
        wide = teacher.branches[0].layers[0].weight
        for k, branch in enumerate(taught.branches):
            narrow = branch.layers[0].weight
            torch.testing.assert_close(narrow, wide[k * len(narrow) : (k + 1) * len(narrow)], rtol=0, atol=1e-5)

    def write_cifar(self, folder: pathlib.Path, count: int) -> None:
        random = numpy.random.default_rng(2)
        folder.mkdir()
        for name in [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]:
            records = random.integers(0, 256, (count, 3073))
            records[:, 0] = numpy.arange(count) % 10
            (folder / f"{name}.bin").write_bytes(records.astype(numpy.uint8).tobytes())

    def test_pictures_in_folders(self) -> None:
        try:
            from PIL import Image
        except ImportError:
            self.skipTest("Pillow is not there: pip install pillow")
        random = numpy.random.default_rng(3)
        folder, bundle = self.folder / "pictures", self.folder / "bundle"
        for part, count in (("train", 60), ("val", 20)):
            for name, colour in (("blue", (40, 40, 220)), ("red", (220, 40, 40)), ("yellow", (210, 210, 30))):
                (folder / part / name).mkdir(parents=True)
                for number in range(count):
                    noise = random.integers(-30, 30, (60, 80, 3))
                    pixels = (numpy.array(colour) + noise).clip(0, 255).astype(numpy.uint8)
                    kind = "png" if number % 3 else "jpg"
                    Image.fromarray(pixels).save(folder / part / name / f"{number}.{kind}")
        words = ["--network", "cifarnet", "--branches", "2", "--data", folder, "--epochs", "4", "--batch", "30"]
        report = self.train(*words, "--set", "crop=0.3", "--workers", "1", "--out", bundle)
        theirs = self.lcp_accuracy(bundle, f"folder:{folder}")
        self.assertGreater(theirs[0], 0.9)
        self.assertAlmostEqual(report["accuracy"]["folder"], theirs[0], delta=0.02)
        self.assertEqual(lcp_torch.read_manifest(bundle)["labels"], ["blue", "red", "yellow"])

        (folder / "train/red/0.png").write_bytes(b"no picture")
        (folder / "train/red/1.png").unlink()
        refused = train(*words, "--workers", "1", "--out", self.folder / "refused")
        self.assertEqual(refused.returncode, 1)
        self.assertRegex(refused.stderr, r"^Error: cannot read .*red/0\.png: [^\n]*\n$")

    def test_a_killed_training_goes_on_bit_for_bit(self) -> None:
        words = ["--network", "lenet", "--branches", "2", "--data", self.data, "--epochs", "3", "--validation", "0.1"]
        words += ["--set", "branch_dropout=0.1", "--set", "auxiliary_weight=0.1"]
        whole, cut = self.folder / "whole/lenet", self.folder / "cut/lenet"
        self.train(*words, "--out", whole)
        command = [*PROGRAM, *OPTIONS, *map(str, words), "--out", str(cut)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
            assert process.stdout
            for line in process.stdout:
                if line.startswith("epoch 1/3"):
                    process.send_signal(signal.SIGKILL)
        self.assertTrue((cut / "checkpoint.pt").exists())
        self.assertIn("unfinished training", train(*words, "--out", cut).stderr)
        other = train(*words, "--out", cut, "--resume", "--seed", "2")
        self.assertIn("of another training", other.stderr)
        resumed = train(*words, "--out", cut, "--resume")
        self.assertEqual(resumed.returncode, 0, resumed.stderr)
        self.assertIn("going on after epoch", resumed.stdout)
        self.assertFalse((cut / "checkpoint.pt").exists())
        for name in ("branch-0.safetensors", "branch-1.safetensors", "merge.safetensors"):
            self.assertEqual((cut / name).read_bytes(), (whole / name).read_bytes(), name)
        self.assertIn("has a bundle already", train(*words, "--out", cut).stderr)

    def test_every_mistake_is_one_sentence(self) -> None:
        data, new = ["--data", self.data], ["--out", self.folder / "new"]
        lenet = ["--network", "lenet", *data, *new]
        (self.folder / "full").mkdir()
        (self.folder / "full/file").touch()
        broken = self.folder / "broken"
        shutil.copytree(self.data, broken)
        (broken / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03")
        other = self.folder / "other"
        shutil.copytree(ROOT / "Models/lenet-split1", other)
        (other / "model.json").write_text((other / "model.json").read_text().replace('"3"', '"three"'))
        for words, sentence in (
            (["--network", "lenett", *data, *new], "there is no network or model lenett"),
            ([*lenet, "--branches", "65"], "1 to 64 branches"),
            ([*lenet, "--lcp", "/nowhere/lcp"], "cannot start /nowhere/lcp"),
            ([*lenet, "--set", "colour=red"], "a recipe has no colour"),
            ([*lenet, "--epochs", "0"], "epochs cannot be 0"),
            ([*lenet, "--set", "schedule=fast"], "schedule is constant"),
            ([*lenet, "--set", "distillation=0.5"], "needs a --teacher"),
            ([*lenet, "--set", "distillation=0.5", "--teacher", "/nowhere"], "no model bundle at /nowhere"),
            ([*lenet, "--batch", "5000"], "fewer than a batch"),
            ([*lenet, "--set", "accumulation=3"], "cannot be shared out"),
            (["--bundle", "/nowhere", *data, *new], "no model bundle at /nowhere"),
            (
                ["--bundle", ROOT / "Models/lenet-split1", "--branches", "2", *data, *new],
                "--branches is for a --network",
            ),
            (["--bundle", other, *data, *new], "where lenet-split1 has the class three, mnist has 3"),
            ([*lenet, "--classes", "9"], "give --classes 10"),
            (["--network", "lenet", "--data", "/nowhere", *new], "is no data"),
            (["--network", "lenet", "--data", "mnist:/nowhere", *new], "cannot read /nowhere/"),
            (["--network", "lenet", "--data", broken, *new], "ends in its header|is not an IDX file|announces"),
            (["--network", "lenet", *data, "--out", self.folder / "full"], "has other things in it"),
            (["--network", "lenet", *data, "--out", broken / "train-images-idx3-ubyte/x"], "cannot be written"),
        ):
            with self.subTest(sentence), contextlib.redirect_stderr(io.StringIO()) as errors:
                try:
                    status = main([*OPTIONS, *map(str, words)])
                except SystemExit as error:
                    status = error.code
                self.assertIn(status, (1, 2))
                self.assertRegex(errors.getvalue(), sentence)
                self.assertIn(f"{'E' if status == 1 else 'e'}rror: ", errors.getvalue().splitlines()[-1])


class DataTests(unittest.TestCase):
    def test_a_step_has_the_same_images_in_any_number_of_processes(self) -> None:
        def images(world: int, accumulation: int) -> list[set[int]]:
            parts = [list(Steps(torch.arange(50), 12, accumulation, rank, world, 1)) for rank in range(world)]
            steps = [[] for _ in range(4)]
            for process in parts:
                for number, part in enumerate(process):
                    steps[number // accumulation] += [index for _, index in part]
            self.assertTrue(all(len(step) == 12 for step in steps))
            return [set(step) for step in steps]

        self.assertEqual(images(1, 1), images(2, 1))
        self.assertEqual(images(1, 1), images(3, 2))
        with self.assertRaises(DataError):
            Steps(torch.arange(50), 12, 1, 0, 5, 1)

    def test_portions_are_everything_once(self) -> None:
        seen = [index for rank in range(3) for part in Portions(torch.arange(11), 2, rank, 3) for _, index in part]
        self.assertEqual(sorted(seen), list(range(11)))
        self.assertEqual(list(Portions(torch.arange(1), 2, 1, 3)), [])

    def test_validation_has_its_part_of_every_class(self) -> None:
        labels = torch.tensor([0] * 50 + [1] * 30 + [2] * 20)
        training, chosen = divide(labels, 0.2)
        self.assertEqual(labels[chosen].bincount().tolist(), [10, 6, 4])
        self.assertEqual(sorted(training.tolist() + chosen.tolist()), list(range(100)))

    def test_images_go_through_jpeg_of_another_quality_in_every_epoch(self) -> None:
        generator = torch.Generator().manual_seed(1)
        images = MemoryImages(
            torch.randint(0, 256, (2, 16, 24, 3), generator=generator, dtype=torch.uint8), torch.tensor([1, 0])
        )
        compressed = CompressedImages(images, (30, 95), 7)
        first, labels = compressed.__getitems__([(0, 1), (0, 0)])
        self.assertEqual(labels.tolist(), [0, 1])
        self.assertEqual(tuple(first.shape), (2, 16, 24, 3))
        again, _ = compressed.__getitems__([(0, 1), (0, 0)])
        later, _ = compressed.__getitems__([(1, 1), (1, 0)])
        self.assertTrue(torch.equal(first, again) and not torch.equal(first, later))
        unchanged, _ = compressed.__getitems__([(-1, 1), (-1, 0)])
        self.assertTrue(torch.equal(unchanged, images.pixels[[1, 0]]))
        # What a JPEG changes: a grey ramp hardly, and less with more quality.
        ramp = numpy.arange(16 * 16, dtype=numpy.uint8).reshape(16, 16, 1)
        errors = [numpy.abs(through_jpeg(ramp, quality).astype(int) - ramp).mean() for quality in (20, 95)]
        self.assertTrue(0 < errors[1] < errors[0] < 8, f"{errors}")

    def test_pictures_become_what_lcp_makes_of_them(self) -> None:
        """`Tests/Fixtures/make-pictures.py` says what that is."""
        fixtures = ROOT / "Tests/Fixtures/pictures"
        names = [path.name for path in fixtures.iterdir() if path.suffix in PICTURES and not path.name.startswith("bad")]
        # Pillow refuses bytes between parts and a file without an end.
        names = [name for name in names if not name.startswith(("no-end", "extraneous", "progressive-no-end", "fit"))]
        self.assertGreater(len(names), 30)
        for name in sorted(names):
            expected = (fixtures / f"{name}.rgb").read_bytes()
            height, width = int.from_bytes(expected[:2], "little"), int.from_bytes(expected[2:4], "little")
            with tempfile.TemporaryDirectory() as folder:
                for place in ("a", "b"):
                    (pathlib.Path(folder) / place).mkdir()
                    shutil.copy(fixtures / name, pathlib.Path(folder) / place / name)
                (pathlib.Path(folder) / "a" / f"._{name}").write_bytes(b"what a Mac leaves behind")
                images = FolderImages(pathlib.Path(folder), (height, width, 3), 1, 0)
                self.assertEqual(len(images.files), 2)
                pixels = images.read(-1, 0).astype(int)
            wanted = numpy.frombuffer(expected[4:], numpy.uint8).reshape(height, width, 3)
            self.assertLessEqual(numpy.abs(pixels - wanted).max(), 2, name)

    def test_pictures_are_cut_or_put_into_a_box_as_the_model_says(self) -> None:
        fixtures = ROOT / "Tests/Fixtures/pictures"
        for name in ("fit-tall", "fit-wide"):
            for ending, resize in (
                ("crop", {"mode": "crop", "shorter": 40}),
                ("letterbox", {"mode": "letterbox", "grey": 114}),
                ("stretch", None),
            ):
                expected = (fixtures / f"{name}.{ending}").read_bytes()
                wanted = numpy.frombuffer(expected, numpy.uint8).reshape(32, 32, 3)
                with tempfile.TemporaryDirectory() as folder:
                    for place in ("a", "b"):
                        (pathlib.Path(folder) / place).mkdir()
                        shutil.copy(fixtures / f"{name}.png", pathlib.Path(folder) / place)
                    images = FolderImages(pathlib.Path(folder), (32, 32, 3), 1, 0, {"resize": resize})
                    pixels = images.read(-1, 0).astype(int)
                self.assertLessEqual(numpy.abs(pixels - wanted).max(), 2, f"{name}.{ending}")

    def test_a_picture_that_cannot_be_read_ends_no_training(self) -> None:
        fixtures = ROOT / "Tests/Fixtures/pictures"
        with tempfile.TemporaryDirectory() as folder:
            for place in ("a", "b"):
                (pathlib.Path(folder) / place / "deeper").mkdir(parents=True)
                shutil.copy(fixtures / "fit-tall.png", pathlib.Path(folder) / place / "deeper" / "2.png")
            (pathlib.Path(folder) / "a" / "1.png").write_bytes(b"damaged")
            (pathlib.Path(folder) / "__MACOSX").mkdir()
            images = FolderImages(pathlib.Path(folder), (8, 8, 3), 1, 0)
            self.assertEqual((images.classes, len(images.files)), (["a", "b"], 3))
            with contextlib.redirect_stderr(io.StringIO()) as said:
                for _ in range(2):
                    pixels, labels = images.__getitems__([(-1, 0), (-1, 2)])
            self.assertEqual(said.getvalue().count("left out"), 1)
            self.assertEqual((labels.tolist(), tuple(pixels.shape)), ([0, 1], (2, 8, 8, 3)))
            for path in pathlib.Path(folder).rglob("2.png"):
                path.write_bytes(b"damaged, too")
            with self.assertRaises(DataError), contextlib.redirect_stderr(io.StringIO()):
                images.__getitems__([(-1, 0)])

    def test_data_is_recognised(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder)
            self.assertEqual(Data.parse(folder).kind, "folder")
            (path / "data_batch_1.bin").touch()
            self.assertEqual(Data.parse(folder), Data("cifar10", path))
            self.assertEqual(Data.parse(f"fashion-mnist:{folder}").kind, "fashion-mnist")


class MuonTests(unittest.TestCase):
    def test_steps_are_those_of_the_definition(self) -> None:
        """Against singular values: the rounds change these and nothing else."""
        torch.manual_seed(1)
        depthwise, row = nn.Conv2d(4, 4, 3, groups=4), nn.Linear(9, 1)
        layers = nn.Sequential(nn.Conv2d(6, 8, 3, groups=2), nn.Linear(5, 7), depthwise, row).double()
        mixing = lcp_muon.matrices(layers)
        self.assertEqual(list(mixing.items()), [(layers[0].weight, 2), (layers[1].weight, 1)])
        others = [value for value in layers.parameters() if value not in mixing]
        optimizer = lcp_muon.Muon(mixing, [], others, learning_rate=0.1, momentum=0.9, weight_decay=0.5)
        for value in layers.parameters():
            value.grad = torch.randn_like(value)
        before = [value.detach().clone() for value in mixing]
        first = layers[1].bias.detach().clone()
        optimizer.step()
        for (value, groups), old in zip(mixing.items(), before, strict=True):
            rows = len(value) // groups
            for group in range(groups):
                part = slice(group * rows, (group + 1) * rows)
                gradient = value.grad[part].reshape(rows, -1)
                left, strengths, right = torch.linalg.svd(gradient, full_matrices=False)
                strengths = strengths / gradient.norm()
                for _ in range(5):
                    strengths = 3.4445 * strengths - 4.775 * strengths**3 + 2.0315 * strengths**5
                length = 0.1 * 0.2 * max(gradient.shape) ** 0.5
                wanted = 0.95 * old[part].reshape(rows, -1) - length * left @ torch.diag(strengths) @ right
                torch.testing.assert_close(value[part].reshape(rows, -1), wanted)
        # Adam's first step goes by the learning rate, whatever the gradient.
        torch.testing.assert_close(layers[1].bias, first - 0.1 * layers[1].bias.grad.sign(), rtol=1e-6, atol=1e-6)


class RecipeTests(unittest.TestCase):
    def test_presets_are_those_of_lcp(self) -> None:
        """Every entry that both know has the same value."""
        rows = [re.split(r"  +", line.strip()) for line in lcp("train", "lenet", "--help-recipe").splitlines()]
        start = next(index for index, row in enumerate(rows) if row[0] == "entry")
        names = rows[start][2:-1]
        self.assertEqual(names, ["paper", "digits", "pictures", "taught"])
        entries = {field.name for field in dataclasses.fields(Recipe)} - {"name", "accumulation", "crop"}
        self.assertEqual({row[0] for row in rows[start + 1 :]}, entries)
        for entry, default, *values, _ in rows[start + 1 :]:
            for recipe, value in zip([Recipe(), *(PRESETS[name] for name in names)], [default, *values], strict=True):
                wanted = recipe.with_entries([f"{entry}={value}"])
                self.assertAlmostEqual(getattr(wanted, entry), getattr(recipe, entry), 6, f"{recipe.name} {entry}")

    def test_qualities_of_jpeg_are_read_as_lcp_reads_them(self) -> None:
        for text, qualities in (("none", None), ("80", (80, 80)), ("60-95", (60, 95)), ("1-100", (1, 100))):
            self.assertEqual(Recipe(jpeg=text).jpeg_qualities, qualities)
        for wrong in ("", "0", "101", "95-60", "60-", "-60", "60-95-99", "60–95", "٦٠", "good"):
            with self.assertRaises(RecipeError):
                Recipe(jpeg=wrong)

    def test_schedules(self) -> None:
        rates = [Recipe(epochs=2, learning_rate=1, warmup=0.2).rate(step, 10) for step in range(20)]
        self.assertEqual(rates[:4], [0.25, 0.5, 0.75, 1])
        self.assertTrue(all(left > right for left, right in zip(rates[4:], rates[5:], strict=False)))
        recipe = Recipe(learning_rate=1, schedule="exponential", decay_factor=0.5, decay_epochs=1)
        self.assertEqual([recipe.rate(step, 2) for step in (0, 1, 2, 5)], [1, 1, 0.5, 0.25])
        self.assertEqual(
            [Recipe(auxiliary_weight=2, auxiliary_until=0.5).auxiliary(f) for f in (0, 0.25, 0.5)], [2, 1, 0]
        )
        for wrong in ("views=maybe", "mutual=0.5", "initialization=zero", "colour=red", "epochs"):
            with self.assertRaises(RecipeError):
                Recipe().with_entries([wrong])

    def test_the_taught_recipe_is_that_of_the_images(self) -> None:
        self.assertEqual(preset("taught", 3, True), PRESETS["taught"])
        digits = preset("taught", 1, False)
        self.assertEqual((digits.name, digits.initialization, digits.flips), ("digits taught", "he", False))
        self.assertEqual(preset(None, 1, False), PRESETS["digits"])

    def test_images_are_moved_and_mirrored(self) -> None:
        images = torch.rand(64, 1, 6, 9)
        self.assertIs(augment(images, Recipe(), torch.Generator()), images)
        mirrored = augment(images, Recipe(flips=True), torch.Generator().manual_seed(1))
        same = (mirrored - images).abs().amax((1, 2, 3)) < 1e-5
        flipped = (mirrored - images.flip(3)).abs().amax((1, 2, 3)) < 1e-5
        self.assertTrue((same ^ flipped).all() and same.any() and flipped.any())
        moved = augment(images, Recipe(shift=1), torch.Generator().manual_seed(1))
        padded = torch.nn.functional.pad(images, (1, 1, 1, 1))
        shifts = torch.stack([padded[:, :, y : y + 6, x : x + 9] for y in range(3) for x in range(3)])
        self.assertTrue(((moved - shifts).abs().amax((2, 3, 4)) < 1e-4).any(0).all())
        cut = augment(torch.ones(64, 1, 6, 9), Recipe(cutout=3), torch.Generator().manual_seed(1))
        holes = (cut == 0).sum((1, 2, 3))
        self.assertTrue((holes <= 9).all() and (holes >= 2).all() and (holes == 9).any())


if __name__ == "__main__":
    unittest.main()
