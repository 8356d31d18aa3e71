#!/usr/bin/env python3
"""Trains a model bundle for lcp: on a GPU, on several, on many machines, or on a processor.

    python train.py --network lenet --branches 4 --data mnist:FOLDER --out my-lenet
    python train.py --network resnet18 --branches 8 --data FOLDER --recipe imagenet --workers 16 --out my-resnet
    python train.py --bundle my-resnet --data FOLDER --epochs 5 --learning-rate 1e-3 --out tuned
    torchrun --nproc-per-node 8 train.py --network resnet18 --branches 8 --data FOLDER --recipe imagenet --out resnet

lcp splits the network (lcp model split) and runs what is written here (lcp evaluate, lcp model push). After every epoch
all that is needed to go on is kept in the folder: cut short, the same command with --resume goes on.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import torch

import lcp_torch
from lcp_data import Data, DataError, divide, size_words
from lcp_recipe import PRESETS, Recipe, RecipeError, preset
from lcp_torch import BundleError, Model
from lcp_trainer import Processes, Progress, Trainer, TrainingError
from missing_scale import fit_missing_scale

# What lcp model split is told.
SPLITTING = ("branches", "shares", "fatten", "classes", "input", "merge")


def find_lcp(given: str | None) -> str:
    """The program: as given, in the path, or built in this checkout."""
    built = pathlib.Path(__file__).resolve().parents[2] / ".build/release/lcp"
    program = given or shutil.which("lcp") or (str(built) if built.exists() else None)
    if program is None:
        raise TrainingError("lcp splits the network and is not there: install it, name it with --lcp, or give --bundle")
    return program


def split(arguments: argparse.Namespace, data: Data, initialization: str = "he") -> Model:
    """A new network, split by lcp and given random weights, or shares of the first teacher's."""
    words = [find_lcp(arguments.lcp), "model", "split", arguments.network, "--seed", str(arguments.seed)]
    words += ["--shares", arguments.shares] if arguments.shares else ["--branches", str(arguments.branches or 1)]
    size = arguments.input or ("x".join(map(str, data.size)) if data.size else None)
    options = {
        "--fatten": arguments.fatten,
        "--merge": arguments.merge,
        "--input": size,
        "--classes": arguments.classes or len(data.labels()),
        "--initialization": initialization if initialization != "teacher" else None,
        "--weights": arguments.teacher[0] if initialization == "teacher" else None,
    }
    for option, value in options.items():
        words += [option, str(value)] if value else []
    with tempfile.TemporaryDirectory() as folder:
        try:
            result = subprocess.run([*words, "--out", f"{folder}/bundle"], capture_output=True, text=True)
        except OSError as error:
            raise TrainingError(f"cannot start {words[0]}: {error.strerror}") from None
        if result.returncode:
            reason = result.stderr.strip().splitlines() or ["it ended without a word"]
            raise TrainingError(f"lcp model split: {reason[0].removeprefix('Error: ')}")
        return lcp_torch.load(f"{folder}/bundle")


def prepare(arguments: argparse.Namespace, data: Data) -> Model:
    """The model to begin with, which knows the classes and the pixels of the data where it has not learned others."""
    model = lcp_torch.load(arguments.bundle) if arguments.bundle else split(arguments, data)
    initialization = "he" if arguments.bundle else choose_recipe(arguments, model).initialization
    if initialization == "teacher" and not arguments.teacher:
        raise TrainingError("the recipe begins with shares of a teacher and needs a --teacher")
    if initialization != "he":
        model = split(arguments, data, initialization)
    names = data.labels()
    if len(names) != len(model.labels):
        advice = "another bundle" if arguments.bundle else f"--classes {len(names)}, or none"
        raise TrainingError(f"{data.kind} has {len(names)} classes and {model.name} {len(model.labels)}: give {advice}")
    manifest = {**model.manifest, "name": pathlib.Path(arguments.out).resolve().name}
    if not (manifest.get("training") or {}).get("epochs"):
        manifest["labels"] = names
        # Shares of a teacher expect what it saw.
        if initialization != "teacher":
            manifest["preprocessing"] = {**manifest["preprocessing"], **data.preprocessing(model.input[2])}
    elif model.labels == [str(label) for label in range(len(names))]:
        # It learned from data whose classes had no names.
        manifest["labels"] = names
    for ours, theirs in zip(manifest["labels"], names):
        if ours != theirs:
            raise TrainingError(
                f"where {model.name} has the class {ours}, {data.kind} has {theirs}: both need the same"
            )
    prepared = Model(manifest)
    prepared.load_state_dict(model.state_dict())
    return prepared


def command(arguments: argparse.Namespace, data: Data) -> str:
    """The command that does the same, for the bundle's record, without the paths of this machine."""
    words = ["python train.py"]
    for option in ("network", *SPLITTING, "recipe", "epochs", "batch", "learning_rate", "validation", "seed"):
        value = getattr(arguments, option)
        words += [f"--{option.replace('_', '-')} {value}"] if value not in (None, 0) else []
    for option, folders in (("bundle", [arguments.bundle] if arguments.bundle else []), ("teacher", arguments.teacher)):
        words += [f"--{option} {pathlib.Path(folder).resolve().name}" for folder in folders]
    words += [f"--data {data.form}"] + [f"--set {entry}" for entry in arguments.entries]
    return " ".join([*words, f"--out {pathlib.Path(arguments.out).resolve().name}"])


def prepare_folder(arguments: argparse.Namespace) -> pathlib.Path:
    """The folder of the bundle. Nothing that took hours is overwritten by a word too few."""
    folder = pathlib.Path(arguments.out)
    bundle, checkpoint = folder / "model.json", folder / "checkpoint.pt"
    if not arguments.force:
        if checkpoint.exists() and not arguments.resume:
            raise TrainingError(f"{folder} has an unfinished training: go on with --resume, or begin anew with --force")
        if bundle.exists() and not checkpoint.exists():
            raise TrainingError(f"{folder} has a bundle already: overwrite it with --force, or name another folder")
    try:
        if folder.exists() and any(folder.iterdir()) and not bundle.exists() and not checkpoint.exists():
            raise TrainingError(f"{folder} has other things in it: name a new folder for the bundle")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".writable").touch()
        (folder / ".writable").unlink()
    except OSError as error:
        raise TrainingError(f"{folder} cannot be written: {error.strerror}") from None
    return folder


def choose_recipe(arguments: argparse.Namespace, model: Model) -> Recipe:
    entries = [
        f"{entry}={value}"
        for entry, value in (
            ("epochs", arguments.epochs),
            ("batch_size", arguments.batch),
            ("learning_rate", arguments.learning_rate),
        )
        if value is not None
    ]
    normalized = any(isinstance(module, torch.nn.BatchNorm2d) for module in model.branches[0].modules())
    return preset(arguments.recipe, model.input[2], normalized).with_entries(arguments.entries + entries)


def train(arguments: argparse.Namespace, processes: Processes) -> None:
    chief = processes.rank == 0
    data = Data.parse(arguments.data)
    folder = pathlib.Path(arguments.out)
    if chief:
        prepare_folder(arguments)
    begun = prepare(arguments, data) if chief else None
    manifest = processes.share(begun.manifest if begun else None)
    model = begun or Model(manifest)
    recipe = choose_recipe(arguments, model)
    teachers = []
    if recipe.distillation or recipe.feature_distillation:
        if not arguments.teacher:
            raise TrainingError("the recipe distils and needs a --teacher")
        teachers = [lcp_torch.load(folder, processes.device) for folder in arguments.teacher]
        for teacher in teachers:
            if (teacher.input, len(teacher.labels)) != (model.input, len(model.labels)):
                raise TrainingError(
                    f"the teacher takes {size_words(teacher.input)} and knows {len(teacher.labels)} classes, the "
                    f"network {size_words(model.input)} and {len(model.labels)}"
                )
        features = sum(teacher.merge.in_features for teacher in teachers)
        if recipe.feature_distillation and (len(teachers) > 1 or features != model.merge.in_features):
            raise TrainingError(
                f"the teachers have {features} pre-final activations, the branches together "
                f"{model.merge.in_features}: features are only distilled from one teacher and where they are as many"
            )
    preprocessing = model.manifest["preprocessing"]
    images = data.training(model.input, recipe.crop, arguments.seed, recipe.jpeg_qualities, preprocessing)
    test = data.test(model.input, preprocessing)
    indices, chosen = divide(images.labels, arguments.validation)
    trainer = Trainer(
        model,
        recipe,
        images,
        indices,
        processes,
        arguments.seed,
        teachers,
        arguments.workers,
        arguments.precision or default_precision(processes.device),
        arguments.compile,
    )
    checkpoint = folder / "checkpoint.pt"
    resumed = arguments.resume and trainer.resume(checkpoint)

    def tell(words: str) -> None:
        if chief and not arguments.json:
            print(words, flush=True)

    count = sum(value.numel() for value in model.parameters())
    tell(
        f"{manifest['network']['base']} in {len(model.branches)} branches: {count} parameters, recipe {recipe.name}, "
        f"{recipe.epochs} epoch{'s' * (recipe.epochs != 1)} of {len(indices)} images on {processes.world} × {processes.device.type}"
    )
    if resumed:
        tell(f"going on after epoch {len(trainer.history)}")
    progress = Progress(recipe, trainer.steps.count, trainer.step, chief and sys.stderr.isatty())
    for epoch in range(len(trainer.history), recipe.epochs):
        if trainer.best and recipe.patience and epoch - trainer.best["epoch"] >= recipe.patience:
            break
        record = trainer.finish_epoch(trainer.run_epoch(epoch, progress), images, chosen, arguments.workers)
        progress.clear()
        if chief:
            trainer.save(checkpoint)
            if arguments.json:
                print(json.dumps(record), flush=True)
        validation = f"  validation {100 * record['validation_accuracy']:.2f} %" if len(chosen) else ""
        tell(
            f"epoch {epoch + 1}/{recipe.epochs}  loss {record['loss']:.4f}  accuracy {100 * record['accuracy']:.2f} %"
            f"{validation}  {trainer.steps.count * recipe.batch_size / record['seconds']:.0f} images/s"
        )

    model, accuracy = trainer.finish(), {}
    if len(model.branches) > 1 and chief:
        # From images set aside or, where there are none, from those that were trained on; never from a test set.
        model.missing_scale = fit_missing_scale(model, images, chosen if len(chosen) else indices, arguments.workers)
    if test is not None:
        accuracy[data.kind] = trainer.evaluate(test, torch.arange(len(test.labels)), arguments.workers)[1]
        tell(
            f"{100 * accuracy[data.kind]:.2f} % right on {len(test.labels)} images of {data.kind} "
            f"that training never saw"
        )
    if not chief:
        return
    record = {
        "command": command(arguments, data),
        "data": data.form,
        "epochs": len(trainer.history),
        "seed": arguments.seed,
        "accuracy": accuracy,
        "recipe": dataclasses.asdict(recipe),
        "history": trainer.history,
        "best_epoch": trainer.best["epoch"] if trainer.best else len(trainer.history),
    }
    digest = lcp_torch.save(model, folder, record)
    checkpoint.unlink(missing_ok=True)
    tell(f"wrote {folder}, model {digest}")
    if arguments.json:
        print(json.dumps({"bundle": str(folder), "model_hash": digest, "accuracy": accuracy}), flush=True)


def default_precision(device: torch.device) -> str:
    if device.type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported() else "fp16"


def parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    start = parser.add_mutually_exclusive_group(required=True)
    start.add_argument("--network", help="a network that lcp knows (lcp model list), to begin with random weights")
    start.add_argument("--bundle", help="a model bundle, to go on from its weights")
    parser.add_argument("--branches", type=int, help="into how many branches lcp splits the network")
    parser.add_argument("--shares", help="branches of different widths, as for lcp model split: 2,1,1")
    parser.add_argument(
        "--fatten",
        help="per cent by which branches are made wider, or two: 50,0 for convolutions and fully connected layers",
    )
    parser.add_argument("--classes", type=int, help="the number of classes; the data's by default")
    parser.add_argument(
        "--input", help="the shape of the images, for example 224x224x3; the data's or the network's by default"
    )
    parser.add_argument(
        "--merge", choices=["concat", "sum"], help="how branches are joined; by default as in the paper"
    )
    parser.add_argument(
        "--data",
        required=True,
        help="mnist:FOLDER, fashion-mnist:FOLDER, cifar10:FOLDER, cifar100:FOLDER, "
        "folder:FOLDER with a folder for each class (in train and test or val), or the folder alone",
    )
    parser.add_argument(
        "--validation", type=float, default=0.0, help="the part of the images that chooses the best epoch"
    )
    parser.add_argument(
        "--teacher",
        action="append",
        default=[],
        help="the bundle that a recipe with distillation learns from; of several, the mean of their answers",
    )
    parser.add_argument(
        "--recipe", choices=PRESETS, help="by default digits for grey images, pictures for coloured ones"
    )
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch", type=int, help="images per step, over all processes")
    parser.add_argument("--learning-rate", type=float, help="the highest")
    parser.add_argument(
        "--set",
        dest="entries",
        action="append",
        default=[],
        metavar="ENTRY=VALUE",
        help="another entry of the recipe, for example branch_dropout=0.1 or schedule=cosine; lcp_recipe.py has all",
    )
    parser.add_argument("--seed", type=int, default=1, help="everything random comes from it")
    parser.add_argument("--out", required=True, help="the folder of the bundle")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the training that was cut short in the folder"
    )
    parser.add_argument("--force", action="store_true", help="begin anew, over what is in the folder")
    parser.add_argument(
        "--workers",
        type=int,
        default=min(8, os.cpu_count() or 1),
        help="processes that read pictures, for each that trains",
    )
    parser.add_argument("--threads", type=int, help="threads of a process that trains on a processor")
    parser.add_argument(
        "--precision", choices=["fp32", "bf16", "fp16"], help="bf16 on a GPU that has it, fp16 on others"
    )
    parser.add_argument("--compile", action="store_true", help="let torch.compile make it faster")
    parser.add_argument(
        "--json", action="store_true", help="print a JSON object for every epoch, and one for the bundle"
    )
    parser.add_argument("--lcp", help="the program; in the path or built in this checkout by default")
    arguments = parser.parse_args(words)
    if arguments.resume and arguments.force:
        parser.error("--resume goes on and --force begins anew: give one")
    splitting = [f"--{name}" for name in SPLITTING if getattr(arguments, name)]
    if arguments.bundle and splitting:
        parser.error(f"{splitting[0]} is for a --network that is split, and a --bundle is taken as it is")
    if not 0 <= arguments.validation < 1 or arguments.workers < 0 or not 0 <= arguments.seed < 2**32:
        parser.error("--validation is 0 to below 1, --workers 0 or more, --seed 0 to below 2³²")
    return arguments


def main(words: list[str] | None = None) -> int:
    arguments = parse(words)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.set_float32_matmul_precision("high")
    processes = Processes()
    try:
        try:
            train(arguments, processes)
        finally:
            # A training that could not begin leaves nothing behind.
            with contextlib.suppress(OSError):
                pathlib.Path(arguments.out).rmdir()
        processes.close()
    except (TrainingError, BundleError, DataError, RecipeError) as error:
        # A loader's process sends its whole trace, with the sentence last.
        print(f"Error: {str(error).strip().splitlines()[-1].split('DataError: ')[-1]}", file=sys.stderr)
        return 1
    except torch.OutOfMemoryError:
        print(
            "Error: the device has too little memory: take a smaller --batch, or --set accumulation=2", file=sys.stderr
        )
        return 1
    except KeyboardInterrupt:
        print("\nstopped: the same command with --resume goes on after the last whole epoch", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
