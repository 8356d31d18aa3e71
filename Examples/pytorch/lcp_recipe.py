"""How a network is trained, as data: the entries of lcp's recipes under their names, and what a GPU needs besides."""

import dataclasses
import math
import re
import typing
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

import lcp_muon


class RecipeError(Exception):
    """Why a recipe is not possible: one sentence."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    name: str = "custom"
    epochs: int = 20
    batch_size: int = 64
    """Images per step, over all processes."""
    accumulation: int = 1
    """Parts that a process computes one after the other for a step, where memory is short."""
    optimizer: str = "adamw"
    """sgd with Nesterov's momentum, adam with L2, adamw, muon."""
    learning_rate: float = 3e-3
    schedule: str = "one-cycle"
    """constant, one-cycle (up for the first part, down as a cosine), cosine, exponential."""
    warmup: float = 0.1
    decay_factor: float = 0.94
    decay_epochs: int = 2
    momentum: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 1e-4
    label_smoothing: float = 0.0
    initialization: str = "he"
    """he, normal as in the paper, teacher: every branch begins as its share of the teacher. A bundle has weights already."""
    averaging: float = 0.0
    """The decay of a running average of the weights, which is what training gives in the end; 0 for none."""
    patience: int = 0
    """Epochs without a better validation accuracy after which training stops; 0 for never."""

    crop: float = 1.0
    """The smallest part of a picture, by its area, that is seen; pictures in folders only."""
    shift: int = 0
    flips: bool = False
    cutout: int = 0
    rotation: float = 0.0
    shear: float = 0.0
    scaling: float = 0.0
    jpeg: str = "none"
    """The qualities of JPEG that images go through, for example 60-95, as a sensor may send them; none for none."""

    branch_dropout: float = 0.0
    """The probability that a branch is missing for an image."""
    auxiliary_weight: float = 0.0
    """The weight of every branch's own classification layer in the loss."""
    auxiliary_until: float = 1.0
    """The fraction of training after which that has faded out; 1 for a weight that stays."""
    mutual: float = 0.0
    """The part of what the branches' own heads learn that is the answer of all branches together."""
    views: bool = False
    """Whether every branch sees its own augmentation of an image."""
    distillation: float = 0.0
    temperature: float = 4.0
    feature_distillation: float = 0.0

    def __post_init__(self) -> None:
        for entry, choices in (
            ("optimizer", ("sgd", "adam", "adamw", "muon")),
            ("schedule", ("constant", "one-cycle", "cosine", "exponential")),
            ("initialization", ("he", "normal", "teacher")),
        ):
            if getattr(self, entry) not in choices:
                raise RecipeError(f"{entry} is {', '.join(choices)}, not {getattr(self, entry)!r}")
        for least, most, entries in (
            (1, math.inf, "epochs batch_size accumulation decay_epochs"),
            (0, math.inf, "patience shift cutout rotation shear weight_decay auxiliary_weight feature_distillation"),
            (1e-12, math.inf, "learning_rate temperature"),
            (1e-3, 1, "crop"),
            (0, 0.9999999, "momentum beta2 averaging branch_dropout label_smoothing scaling"),
            (0, 1, "warmup decay_factor distillation auxiliary_until mutual"),
        ):
            for entry in entries.split():
                value = getattr(self, entry)
                if not least <= value <= most or math.isinf(value):
                    raise RecipeError(f"{entry} cannot be {value}")
        if self.jpeg != "none" and not self.jpeg_qualities:
            raise RecipeError(f"jpeg is none, a quality from 1 to 100 or two, as 60-95, not {self.jpeg!r}")
        if self.mutual and not self.auxiliary_weight:
            raise RecipeError("branches learn from each other by heads of their own: give auxiliary_weight, too")

    @property
    def jpeg_qualities(self) -> tuple[int, int] | None:
        """The lowest and the highest one."""
        numbers = re.fullmatch(r"(\d{1,3})(?:-(\d{1,3}))?", self.jpeg, re.ASCII)
        if not numbers:
            return None
        low, high = int(numbers[1]), int(numbers[2] or numbers[1])
        return (low, high) if 1 <= low <= high <= 100 else None

    def with_entries(self, entries: list[str]) -> "Recipe":
        """Changes as they are written on a command line: `entry=value`."""
        kinds = typing.get_type_hints(Recipe)
        changes: dict[str, Any] = {}
        for entry in entries:
            name, sign, value = entry.partition("=")
            if not sign:
                raise RecipeError(f"--set {entry}: write an entry and its value, for example branch_dropout=0.1")
            if name not in kinds or name == "name":
                raise RecipeError(f"a recipe has no {name}; it has {', '.join(sorted(set(kinds) - {'name'}))}")
            try:
                changes[name] = {"true": True, "false": False}[value] if kinds[name] is bool else kinds[name](value)
            except (KeyError, ValueError):
                raise RecipeError(f"{value!r} is no value for {name}") from None
        return dataclasses.replace(self, **changes)

    def taught(self, normalized: bool) -> "Recipe":
        """For branches that learn from the network in one piece, and begin as shares of it where batches are normalised."""
        return dataclasses.replace(
            self,
            name="taught" if self.name == "pictures" and normalized else f"{self.name} taught",
            initialization="teacher" if normalized else self.initialization,
            distillation=0.9,
            branch_dropout=0.2,
        )

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """The learning rate of a step, from 0."""
        total = steps_per_epoch * self.epochs
        if self.schedule == "constant":
            return self.learning_rate
        if self.schedule == "exponential":
            return self.learning_rate * self.decay_factor ** (step // (steps_per_epoch * self.decay_epochs))
        rise = max(1, int(total * self.warmup)) if self.schedule == "one-cycle" else 0
        if step < rise:
            return self.learning_rate * (step + 1) / rise
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))

    def auxiliary(self, fraction: float) -> float:
        """The weight of the branches' own heads after a fraction of training."""
        if fraction >= self.auxiliary_until:
            return 0.0
        return self.auxiliary_weight * (1 - fraction / self.auxiliary_until if self.auxiliary_until < 1 else 1)

    def build_optimizer(self, module: nn.Module, branches: nn.Module) -> torch.optim.Optimizer:
        """Weights of convolutions and fully connected layers decay; biases and normalisations do not.

        Muon steps those of the branches only.
        """
        weights = [value for value in module.parameters() if value.dim() > 1]
        others = [value for value in module.parameters() if value.dim() <= 1]
        groups: list[dict[str, Any]] = [
            {"params": weights, "weight_decay": self.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        if self.optimizer == "muon":
            mixing = lcp_muon.matrices(branches)
            return lcp_muon.Muon(
                mixing,
                [value for value in weights if value not in mixing],
                others,
                self.learning_rate,
                self.momentum,
                self.beta2,
                self.weight_decay,
            )
        if self.optimizer == "sgd":
            return torch.optim.SGD(groups, self.learning_rate, self.momentum, nesterov=self.momentum > 0)
        kind = torch.optim.Adam if self.optimizer == "adam" else torch.optim.AdamW
        return kind(groups, self.learning_rate, (self.momentum, self.beta2), fused=weights[0].is_cuda)


PICTURES = Recipe(
    "pictures",
    30,
    128,
    optimizer="muon",
    learning_rate=1.5e-2,
    momentum=0.95,
    weight_decay=5e-2,
    label_smoothing=0.05,
    averaging=0.999,
    shift=2,
    flips=True,
)

PRESETS = {
    recipe.name: recipe
    for recipe in (
        # lcp's own, see lcp train --help-recipe.
        Recipe(
            "paper",
            24,
            optimizer="adam",
            learning_rate=1e-2,
            schedule="exponential",
            weight_decay=5e-4,
            initialization="normal",
        ),
        Recipe(
            "digits",
            60,
            learning_rate=4e-3,
            averaging=0.999,
            shift=1,
            rotation=0.1,
            shear=0.08,
            scaling=0.08,
            branch_dropout=0.1,
        ),
        PICTURES,
        PICTURES.taught(normalized=True),
        # The usual one for a million photographs (Goyal et al., 2017; He et al., 2019).
        Recipe(
            "imagenet",
            90,
            1024,
            optimizer="sgd",
            learning_rate=0.4,
            schedule="one-cycle",
            warmup=0.05,
            weight_decay=5e-5,
            label_smoothing=0.1,
            averaging=0.9999,
            crop=0.25,
            flips=True,
        ),
    )
}


def preset(name: str | None, channels: int, normalized: bool) -> Recipe:
    """A preset by its name; none is the usual one for such images, and taught is that with a teacher."""
    usual = PRESETS["digits" if channels == 1 else "pictures"]
    if name == "taught":
        return usual.taught(normalized)
    return PRESETS[name] if name else usual


def augment(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Moves, mirrors, turns and blacks out, image by image. Pixels from 0 to 1, [count, channels, height, width]."""
    count, _, height, width = images.shape

    def random(limit: float) -> Tensor:
        return (2 * torch.rand(count, generator=generator) - 1) * limit

    if recipe.shift or recipe.flips or recipe.rotation or recipe.shear or recipe.scaling:
        angle, shear, scale = random(recipe.rotation), random(recipe.shear), 1 / (1 + random(recipe.scaling))
        across, down = (random(recipe.shift + 0.5).round().clamp(-recipe.shift, recipe.shift) for _ in range(2))
        mirror = (
            torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0) if recipe.flips else torch.ones(count)
        )
        cosine, sine, shape = angle.cos() * scale, angle.sin() * scale, height / width
        # From a pixel of the result to the one that it shows, in halves of the image.
        rows = torch.stack(
            [
                torch.stack([mirror * cosine, mirror * (shear * cosine - sine) * shape, across * 2 / width], 1),
                torch.stack([sine / shape, shear * sine + cosine, down * 2 / height], 1),
            ],
            1,
        ).to(images.device, images.dtype)
        grid = functional.affine_grid(rows, list(images.shape), align_corners=False)
        images = functional.grid_sample(images, grid, padding_mode="zeros", align_corners=False)
    if recipe.cutout:
        top, left = (
            torch.randint(side, (count, 1), generator=generator) - recipe.cutout // 2 for side in (height, width)
        )
        rows, columns = torch.arange(height)[None] - top, torch.arange(width)[None] - left
        inside = [(0 <= places) & (places < recipe.cutout) for places in (rows, columns)]
        images = images.masked_fill((inside[0][:, None, :, None] & inside[1][:, None, None, :]).to(images.device), 0)
    return images
