"""Trains the branches of a model together, end to end, in one process or in many that share every batch."""

import contextlib
import copy
import dataclasses
import json
import os
import pathlib
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from lcp_data import ImageSet, Portions, Steps, loader
from lcp_recipe import Recipe, augment
from lcp_torch import Model


class TrainingError(Exception):
    """Why training cannot begin or go on: one sentence."""


# MARK: Processes


class Processes:
    """This process among all that train together: torchrun starts them and says so in the environment."""

    def __init__(self) -> None:
        self.world, self.rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
        self.device = torch.device("cpu")
        if torch.cuda.is_available():
            self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
            torch.cuda.set_device(self.device)
        if self.world > 1:
            distributed.init_process_group("nccl" if self.device.type == "cuda" else "gloo")

    def sum(self, values: Tensor) -> list[float]:
        """Sums over all processes."""
        if self.world > 1:
            distributed.all_reduce(values)
        return values.tolist()

    def share(self, value: Any) -> Any:
        """What the first process has, for all."""
        values = [value]
        if self.world > 1:
            distributed.broadcast_object_list(values, device=self.device)
        return values[0]

    def agree(self, tensors: Iterable[Tensor]) -> None:
        """Gives the first process's tensors to all."""
        if self.world > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def close(self) -> None:
        """Ends together with all others: none may miss one that was faster."""
        if self.world > 1:
            distributed.barrier()
            distributed.destroy_process_group()


class Progress:
    """A line on the terminal that is written over and over; nothing where there is none."""

    def __init__(self, recipe: Recipe, steps: int, first: int, live: bool):
        self.recipe, self.total, self.first, self.live = recipe, steps * recipe.epochs, first, live
        self.started = self.shown = time.perf_counter()

    @property
    def is_due(self) -> bool:
        return self.live and time.perf_counter() - self.shown > 0.5

    def show(self, epoch: int, step: int, loss: float, accuracy: float) -> None:
        self.shown = time.perf_counter()
        speed = (step - self.first) / (self.shown - self.started)
        left = (self.total - step) / speed
        bar = "█" * round(24 * step / self.total)
        print(
            f"\r\x1b[K{bar:·<24} epoch {epoch + 1}/{self.recipe.epochs}  "
            f"loss {loss:.4f}  accuracy {100 * accuracy:.2f} %  "
            f"{speed * self.recipe.batch_size:.0f} images/s  {duration(left)} left",
            end="",
            file=sys.stderr,
            flush=True,
        )

    def clear(self) -> None:
        if self.live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


# MARK: What is trained


class Trained(nn.Module):
    """A model, a head of its own for every branch where the recipe wants that, and branches that are left out."""

    def __init__(self, model: Model, recipe: Recipe):
        super().__init__()
        self.model = model
        self.heads = nn.ModuleList(
            nn.Linear(branch.features, model.merge.out_features)
            for branch in model.branches
            if recipe.auxiliary_weight > 0
        )

    def forward(self, views: list[Tensor], present: Tensor | None) -> tuple[Tensor, Tensor, list[Tensor]]:
        """The logits, the joined features, and the logits of the branches' own heads.

        - views: one batch for all branches, or one for each.
        - present: [count, branches], what each branch's features are multiplied by, image by image.
        """
        model = self.model
        features = [branch(views[k % len(views)]) for k, branch in enumerate(model.branches)]
        heads = [head(found) for head, found in zip(self.heads, features)]
        joined = model.merged(features)
        if present is None:
            return model.merge(joined), joined, heads
        features = [found * present[:, k : k + 1] for k, found in enumerate(features)]
        return model.merge(model.merged(features)), joined, heads


class Trainer:
    def __init__(
        self,
        model: Model,
        recipe: Recipe,
        images: ImageSet,
        indices: Tensor,
        processes: Processes,
        seed: int,
        teachers: Sequence[Model] = (),
        workers: int = 4,
        precision: str = "fp32",
        compiles: bool = False,
    ):
        self.recipe, self.processes, self.seed, self.teachers = recipe, processes, seed, teachers
        self.device = processes.device
        self.steps = Steps(indices, recipe.batch_size, recipe.accumulation, processes.rank, processes.world, seed)
        self.batches = loader(images, self.steps, workers, self.device.type == "cuda")
        torch.manual_seed(seed)
        layout = torch.channels_last if self.device.type == "cuda" else torch.contiguous_format
        self.trained = Trained(model, recipe).to(self.device, memory_format=layout)
        self.model = self.trained.model
        self.optimizer = recipe.build_optimizer(self.trained, self.model.branches)
        self.parameters = [value for group in self.optimizer.param_groups for value in group["params"]]
        self.type = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=precision == "fp16")
        network: nn.Module = torch.compile(self.trained) if compiles else self.trained
        self.network = (
            DistributedDataParallel(network, gradient_as_bucket_view=True) if processes.world > 1 else network
        )
        self.average = [value.detach().clone() for value in self.parameters] if recipe.averaging else []
        self.step = 0
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Any] | None = None

    # One epoch.

    def run_epoch(self, epoch: int, progress: Progress) -> dict[str, Any]:
        recipe, started = self.recipe, time.perf_counter()
        self.steps.epoch = epoch
        seed = (self.seed * 1_000_003 + epoch) * 4099 + self.processes.rank
        torch.manual_seed(seed)
        random = torch.Generator().manual_seed(seed + 1)
        self.trained.train()
        # Loss and right answers stay on the device: whoever reads them waits for it.
        sums, seen, rate = torch.zeros(2, dtype=torch.float64, device=self.device), 0, 0.0
        for part, (pixels, labels) in enumerate(self.batches):
            last = (part + 1) % recipe.accumulation == 0
            waits = contextlib.nullcontext() if last or self.processes.world == 1 else self.network.no_sync()
            with waits:
                loss, right = self.loss(pixels, labels.to(self.device, non_blocking=True), random)
                self.scaler.scale(loss / recipe.accumulation).backward()
            sums += torch.stack([loss.detach() * len(labels), right]).double()
            seen += len(labels)
            if not last:
                continue
            rate = recipe.rate(self.step, self.steps.count)
            self.update(rate)
            self.step += 1
            if progress.is_due:
                self.check(sums)
                progress.show(epoch, self.step, *(sums / seen).tolist())
        self.check(sums)
        total, correct, images = self.processes.sum(torch.cat([sums, sums.new_tensor([seen])]))
        # Every process has counted its own statistics of the normalisations.
        self.processes.agree(self.model.buffers())
        return {
            "epoch": epoch + 1,
            "loss": total / images,
            "accuracy": correct / images,
            "learning_rate": rate,
            "seconds": time.perf_counter() - started,
        }

    def loss(self, pixels: Tensor, labels: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """The loss of a part of a batch, and how many were right."""
        recipe, count = self.recipe, len(self.model.branches)
        images = pixels.to(self.device, non_blocking=True).permute(0, 3, 1, 2).float() / 255
        views = [augment(images, recipe, random) for _ in range(count if recipe.views else 1)]
        present = self.present(len(labels), random)
        with torch.autocast(self.device.type, self.type, enabled=self.type != torch.float32):
            logits, joined, heads = self.network([self.model.normalize(view) for view in views], present)
        logits, weight = logits.float(), recipe.auxiliary(self.step / (self.steps.count * recipe.epochs))
        taught = None
        if self.teachers:
            with torch.no_grad():
                wanted = [
                    teacher.merged([branch(teacher.normalize(views[0])) for branch in teacher.branches])
                    for teacher in self.teachers
                ]
                answers = [teacher.merge(features) for teacher, features in zip(self.teachers, wanted, strict=True)]
                taught = torch.stack(answers).mean(0)
        loss = self.compare(logits, labels, taught, recipe.distillation)
        others, part = (logits.detach(), recipe.mutual) if recipe.mutual else (taught, recipe.distillation)
        for head in heads:
            loss = loss + weight * self.compare(head.float(), labels, others, part)
        if taught is not None and recipe.feature_distillation:
            loss = loss + recipe.feature_distillation * functional.mse_loss(joined.float(), wanted[0])
        return loss, (logits.argmax(1) == labels).sum()

    def compare(self, logits: Tensor, labels: Tensor, taught: Tensor | None, part: float) -> Tensor:
        """Cross-entropy, mixed with the divergence from the teacher's softened probabilities times T².

        Hinton et al., 2015.
        """
        recipe = self.recipe
        loss = functional.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
        if taught is None or not part:
            return loss
        soft, wanted = (functional.log_softmax(values / recipe.temperature, 1) for values in (logits, taught))
        divergence = functional.kl_div(soft, wanted, reduction="batchmean", log_target=True)
        return (1 - part) * loss + part * recipe.temperature**2 * divergence

    def present(self, images: int, random: torch.Generator) -> Tensor | None:
        """Draws which branches are missing for which image; those that are there speak for the others."""
        count = len(self.model.branches)
        if not self.recipe.branch_dropout or count == 1:
            return None
        present = torch.rand(images, count, generator=random) >= self.recipe.branch_dropout
        # An answer from nothing teaches nothing.
        spared = torch.randint(count, (images,), generator=random)
        present[torch.arange(images), spared] |= ~present.any(1)
        return (present * count / present.sum(1, keepdim=True)).to(self.device)

    def update(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average:
            # At first the average is young and must not remember the random weights.
            decay = min(self.recipe.averaging, (self.step + 1) / (self.step + 11))
            torch._foreach_lerp_(self.average, [value.detach() for value in self.parameters], 1 - decay)

    def check(self, sums: Tensor) -> None:
        if not sums.isfinite().all():
            raise TrainingError(
                f"the loss is no longer a number: try a lower learning rate than {self.recipe.learning_rate}"
            )

    # The weights that training gives.

    @contextlib.contextmanager
    def averaged(self) -> Iterator[Model]:
        """The running average in place of the weights, where there is one."""
        present = [value.detach().clone() for value in self.parameters] if self.average else []
        with torch.no_grad():
            if present:
                torch._foreach_copy_(self.parameters, self.average)
            try:
                yield self.model.eval()
            finally:
                if present:
                    torch._foreach_copy_(self.parameters, present)

    def evaluate(self, images: ImageSet, indices: Tensor, workers: int) -> tuple[float, float]:
        """Loss and accuracy on images as they are, with all branches; every process does its portion."""
        portions = Portions(
            indices, max(1, min(256, self.recipe.batch_size)), self.processes.rank, self.processes.world
        )
        sums = torch.zeros(3, dtype=torch.float64, device=self.device)
        self.model.eval()
        with torch.no_grad():
            for pixels, labels in loader(images, portions, workers, self.device.type == "cuda"):
                labels = labels.to(self.device)
                logits = self.model(self.model.preprocess(pixels))
                loss = functional.cross_entropy(logits, labels, reduction="sum")
                sums += torch.stack([loss, (logits.argmax(1) == labels).sum(), loss.new_tensor(len(labels))]).double()
        total, correct, count = self.processes.sum(sums)
        return total / count, correct / count

    def finish_epoch(self, record: dict[str, Any], images: ImageSet, chosen: Tensor, workers: int) -> dict[str, Any]:
        """Validates, and remembers the weights where they are the best so far."""
        if len(chosen):
            with self.averaged() as model:
                record["validation_loss"], accuracy = self.evaluate(images, chosen, workers)
                record["validation_accuracy"] = accuracy
                if self.best is None or accuracy > self.best["accuracy"]:
                    self.best = {
                        "epoch": record["epoch"],
                        "accuracy": accuracy,
                        "model": copy.deepcopy(model.state_dict()),
                    }
        self.history.append(record)
        return record

    def finish(self) -> Model:
        """The model with the weights of the best epoch, or with the last ones."""
        if self.best is not None:
            self.model.load_state_dict(self.best["model"])
        elif self.average:
            with torch.no_grad():
                torch._foreach_copy_(self.parameters, self.average)
        return self.model.eval()

    # Checkpoints.

    def state(self) -> dict[str, Any]:
        return {
            "same": self.identity(),
            "trained": self.trained.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average,
            "step": self.step,
            "history": self.history,
            "best": self.best,
        }

    def identity(self) -> str:
        """What has to be the same to go on."""
        parts = [self.model.manifest["network"], dataclasses.asdict(self.recipe), self.seed, len(self.steps.indices)]
        return json.dumps(parts, sort_keys=True)

    def save(self, path: pathlib.Path) -> None:
        temporary = path.with_suffix(".new")
        try:
            torch.save(self.state(), temporary)
            os.replace(temporary, path)
        except (OSError, RuntimeError) as error:
            raise TrainingError(f"{path} could not be written, the one before it is kept: {error}") from None

    def resume(self, path: pathlib.Path) -> bool:
        """Goes on from a checkpoint, where the first process has one."""
        state = None
        if self.processes.rank == 0 and path.exists():
            try:
                state = torch.load(path, map_location="cpu", weights_only=True)
            except Exception as error:
                raise TrainingError(f"cannot go on from {path}: {str(error).splitlines()[0]}") from None
        state = self.processes.share(state)
        if state is None:
            return False
        if not isinstance(state, dict) or state.get("same") != self.identity():
            raise TrainingError(f"{path} is of another training: network, recipe, seed and data must be the same")
        self.trained.load_state_dict(state["trained"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.average = [value.to(self.device) for value in state["average"]]
        self.step, self.history, self.best = state["step"], state["history"], state["best"]
        return True
