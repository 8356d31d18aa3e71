"""lcp's model bundles in PyTorch.

    import lcp_torch

    model = lcp_torch.load("Models/lenet-split4")
    logits = model(model.preprocess(images))        # images: uint8, [count, height, width, channels]
    logits = model(model.preprocess(images), missing={2})
    features = model.branches[2](model.preprocess(images))

A bundle is a folder: `model.json`, `branch-K.safetensors` for every branch, `merge.safetensors`. Needs torch, numpy and
safetensors.

A model that `lcp quantize` made computes with real numbers here, rounded to those that its numbers of eight bits stand for: nearly
what lcp computes. It cannot be saved; train and save the model that it was made of.
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Collection
from typing import Any

import numpy
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional

FORMATS = (1, 2, 3)
MAXIMUM_BRANCHES = 64

Layer = dict[str, Any]
Shape = tuple[int, int, int]
"""Channels, height, width."""


class BundleError(Exception):
    """Why a bundle cannot be read, written or used: one sentence."""


# MARK: Layers


class FullyConnected(nn.Linear):
    """Over the CHW-flattened input; the result is an image of one pixel, as every layer's may be."""

    def forward(self, values: Tensor) -> Tensor:
        return super().forward(values.flatten(1))[:, :, None, None]


class Reference(nn.Module):
    """A layer that reads what earlier ones made; `Branch.forward` gives it these."""

    def __init__(self, kind: str, layers: list[int]):
        super().__init__()
        self.kind, self.layers = kind, layers

    def forward(self, values: Tensor, others: list[Tensor]) -> Tensor:
        if self.kind == "output":
            return others[0]
        return values + others[0] if self.kind == "add" else torch.cat([values, *others], 1)

    def extra_repr(self) -> str:
        return f"{self.kind} {', '.join(map(str, self.layers))}"


def _window(shape: Shape, size: int, stride: int, padding: int, channels: int | None = None) -> Shape:
    """What does not fill a window is left out."""
    height, width = ((side + 2 * padding - size) // stride + 1 for side in shape[1:])
    return (shape[0] if channels is None else channels, height, width)


def _module(layer: Layer, shape: Shape, made: list[Shape]) -> tuple[nn.Module, Shape]:
    """A layer of model.json as a module, and the shape of what it makes."""
    kind, channels = layer["type"], shape[0]
    match kind:
        case "convolution" | "depthwise_convolution":
            depthwise = kind == "depthwise_convolution"
            outputs = channels if depthwise else layer["outputs"]
            kernel, stride, padding = layer["kernel"], layer.get("stride", 1), layer.get("padding", 0)
            module = nn.Conv2d(
                channels,
                outputs,
                kernel,
                stride,
                padding,
                groups=channels if depthwise else layer.get("groups", 1),
                bias=layer.get("bias", True),
            )
            return module, _window(shape, kernel, stride, padding, outputs)
        case "fully_connected":
            return FullyConnected(channels * shape[1] * shape[2], layer["outputs"]), (layer["outputs"], 1, 1)
        case "max_pool":
            window = layer["size"], layer["stride"], layer.get("padding", 0)
            return nn.MaxPool2d(*window), _window(shape, *window)
        case "average_pool":
            return nn.AvgPool2d(layer["size"], layer["stride"]), _window(shape, layer["size"], layer["stride"], 0)
        case "global_average_pool":
            return nn.AdaptiveAvgPool2d(1), (channels, 1, 1)
        case "batch_normalization":
            return nn.BatchNorm2d(channels, layer["epsilon"]), shape
        case "local_response_normalization":
            return nn.LocalResponseNorm(layer["size"], layer["alpha"], layer["beta"], layer["k"]), shape
        case "relu":
            return nn.ReLU(), shape
        case "relu6":
            return nn.ReLU6(), shape
        case "softmax":
            return nn.Softmax(1), shape
        case "dropout":
            return nn.Dropout(layer["rate"]), shape
        case "output" | "add":
            return Reference(kind, [layer["layer"]]), made[layer["layer"]] if kind == "output" else shape
        case "concatenate":
            return Reference(kind, layer["layers"]), (
                channels + sum(made[index][0] for index in layer["layers"]),
                *shape[1:],
            )
    raise BundleError(f"there is no layer {kind!r}")


class Branch(nn.Module):
    """One branch: from images, [count, channels, height, width], to its pre-final activations, [count, features].

    Its parameters are called as in its file, `layers.I.weight` and so on.
    """

    def __init__(self, layers: list[Layer], shape: Shape):
        super().__init__()
        modules: list[nn.Module] = []
        made: list[Shape] = []
        for layer in layers:
            module, shape = _module(layer, shape, made)
            modules.append(module)
            made.append(shape)
        self.layers = nn.ModuleList(modules)
        self.features = shape[0] * shape[1] * shape[2]
        # In eight bits the scale and the zero of the input, and of what each layer makes.
        self.scales: list[tuple[float, int]] | None = None
        self.head: Tensor | None = None
        self.needed = {index for module in modules if isinstance(module, Reference) for index in module.layers}

    def forward(self, values: Tensor) -> Tensor:
        made: dict[int, Tensor] = {}
        values = self.rounded(values, 0)
        for index, layer in enumerate(self.layers):
            if isinstance(layer, Reference):
                values = layer(values, [made[other] for other in layer.layers])
            else:
                values = layer(values)
            # What only picks numbers rounds none.
            picks = isinstance(layer, (nn.MaxPool2d, nn.Dropout)) or isinstance(layer, Reference) and layer.kind == "output"
            if not picks:
                values = self.rounded(values, index + 1)
            if index in self.needed:
                made[index] = values
        return values.flatten(1)

    def rounded(self, values: Tensor, index: int) -> Tensor:
        """Real numbers as the nearest that eight bits stand for; as they are in a branch of single precision."""
        if self.scales is None:
            return values
        scale, zero = self.scales[index]
        return (torch.clamp(torch.round(values / scale) + zero, -128, 127) - zero) * scale

    def load_integers(self, tensors: dict[str, Tensor]) -> None:
        """Takes the weights of a branch in eight bits: see Documentation/integer-arithmetic.md."""
        scales, zeros = tensors["values.scale"].tolist(), tensors["values.zero"].tolist()
        state = {}
        for name, tensor in tensors.items():
            layer, _, part = name.rpartition(".")
            if not name.startswith("layers.") or part not in ("weight", "bias"):
                continue
            scale = tensors[f"{layer}.weight_scale"]
            if part == "bias":
                scale = scale * scales[int(layer.split(".")[1])]
            state[name] = tensor.float() * scale.reshape(-1, *[1] * (tensor.dim() - 1))
        self.load_state_dict(state)
        self.scales = list(zip(scales, zeros))
        if "head.weight" in tensors:
            self.head = tensors["head.weight"].float() * tensors["head.weight_scale"][:, None]


# MARK: The model


class Model(nn.Module):
    """A network of branches that never talk to each other, and the classification layer that joins them.

    - manifest: what stands in model.json.
    - branches: a `Branch` each.
    - merge: W, [classes, merged features], and b.
    """

    def __init__(self, manifest: dict[str, Any]):
        super().__init__()
        self.manifest = manifest
        network, preprocessing = manifest["network"], manifest["preprocessing"]
        shape = tuple(network["input"][side] for side in ("channels", "height", "width"))
        self.branches = nn.ModuleList(Branch(layers, shape) for layers in network["branches"])
        counts = [branch.features for branch in self.branches]
        self.sums = network["merge"] == "sum"
        if self.sums and len(set(counts)) > 1:
            raise BundleError("its branches are summed and have different numbers of features")
        self.merge = nn.Linear(counts[0] if self.sums else sum(counts), network["classes"])
        self.missing_scale: list[float] = manifest.get("missing_scale") or [1.0] * len(counts)
        for name in ("mean", "standard_deviation"):
            values = torch.tensor(preprocessing[name], dtype=torch.float32).reshape(1, -1, 1, 1)
            self.register_buffer(f"pixel_{name}", values, persistent=False)

    @property
    def name(self) -> str:
        return self.manifest["name"]

    @property
    def labels(self) -> list[str]:
        return self.manifest["labels"]

    @property
    def input(self) -> Shape:
        """Height, width and channels of an image, as it travels through a pipeline."""
        shape = self.manifest["network"]["input"]
        return shape["height"], shape["width"], shape["channels"]

    @property
    def device(self) -> torch.device:
        return self.merge.weight.device

    def preprocess(self, images: Tensor | numpy.ndarray) -> Tensor:
        """Raw pixels as the network's input, [count, channels, height, width].

        They are uint8, [height, width, channels], one image or many. Grey images may leave out their channel.
        """
        pixels = torch.as_tensor(images)
        if pixels.dtype != torch.uint8:
            raise BundleError(f"{self.name} takes pixels as uint8, not {pixels.dtype}")
        height, width, channels = self.input
        if channels == 1 and pixels.shape[-2:] == (height, width) and pixels.shape[-3:] != self.input:
            pixels = pixels[..., None]
        if pixels.shape[-3:] != self.input or pixels.dim() not in (3, 4):
            found = "×".join(map(str, pixels.shape))
            raise BundleError(f"{self.name} takes images of {height}×{width}×{channels}, not {found}")
        pixels = pixels.reshape(-1, height, width, channels).to(self.device, non_blocking=True)
        return self.normalize(pixels.permute(0, 3, 1, 2).float() / 255)

    def normalize(self, images: Tensor) -> Tensor:
        """Pixels from 0 to 1, [count, channels, height, width], as the network's input."""
        return (images - self.pixel_mean) / self.pixel_standard_deviation

    def forward(self, values: Tensor, missing: Collection[int] = ()) -> Tensor:
        """The logits, [count, classes], as an aggregator joins them when some branches are missing."""
        absent = set(missing)
        if not absent <= set(range(len(self.branches))):
            raise BundleError(
                f"{self.name} has branches 0 to {len(self.branches) - 1}, and not all of {sorted(absent)}"
            )
        if len(absent) == len(self.branches):
            raise BundleError(f"missing leaves no branch of {self.name}: leave out fewer")
        scale = self.missing_scale[len(absent)]
        if any(branch.scales is not None for branch in self.branches):
            shares = [self.share(k, branch(values)) for k, branch in enumerate(self.branches) if k not in absent]
            return scale * torch.stack(shares).sum(0) + self.merge.bias
        features = [
            values.new_zeros(len(values), branch.features) if k in absent else scale * branch(values)
            for k, branch in enumerate(self.branches)
        ]
        return self.merge(self.merged(features))

    def merged(self, features: list[Tensor]) -> Tensor:
        """What the classification layer reads: the features of all branches, one after the other or added up."""
        return torch.stack(features).sum(0) if self.sums else torch.cat(features, 1)

    def columns(self, branch: int) -> slice:
        """The columns of the classification layer's W that belong to a branch."""
        start = 0 if self.sums else sum(other.features for other in self.branches[:branch])
        return slice(start, start + self.branches[branch].features)

    def share(self, branch: int, features: Tensor) -> Tensor:
        """A branch's share of the logits, [count, classes]: all shares and the bias add up to the logits."""
        head = self.branches[branch].head
        weight = self.merge.weight[:, self.columns(branch)] if head is None else head.to(features.device)
        return functional.linear(features, weight)

    def message(self, branch: int, values: Tensor) -> Tensor:
        """What a worker publishes: the branch's features or, where that is shorter, its share of the logits."""
        features = self.branches[branch](values)
        partial = self.manifest["outputs"][branch] == "partial_logits"
        return self.share(branch, features) if partial else features


# MARK: Files


def _files(branches: int) -> list[str]:
    return [*(f"branch-{k}.safetensors" for k in range(branches)), "merge.safetensors"]


def read_manifest(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What stands in the model.json of a bundle."""
    path = pathlib.Path(folder) / "model.json"
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise BundleError(
            f"there is no model bundle at {folder}: a bundle is a folder with a model.json in it"
        ) from None
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise BundleError(f"{path} is not JSON: it may be truncated; copy the bundle again") from None
    if not isinstance(manifest, dict) or manifest.get("format") not in FORMATS:
        raise BundleError(f"{path} is no model bundle of format version {FORMATS[0]} to {FORMATS[-1]}")
    return manifest


def load(folder: str | os.PathLike[str], device: str | torch.device = "cpu") -> Model:
    """Reads a bundle, ready to run. Every file's SHA-256 is checked.

    Raises BundleError.
    """
    manifest = read_manifest(folder)
    try:
        model = Model(manifest)
        names, digests = _files(len(model.branches)), {file["name"]: file["sha256"] for file in manifest["files"]}
        if list(digests) != names:
            raise BundleError("its files are not one for each branch and merge.safetensors")
    except BundleError as error:
        raise BundleError(f"{folder}/model.json describes no usable model: {error}") from None
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError, AttributeError) as error:
        raise BundleError(f"{folder}/model.json describes no usable model: {error!r}") from None
    for name, module in zip(names, [*model.branches, model.merge]):
        path = pathlib.Path(folder) / name
        try:
            contents = path.read_bytes()
            if hashlib.sha256(contents).hexdigest() != digests[name]:
                raise BundleError(
                    f"{path} is not the file that model.json names (its SHA-256 differs): copy the bundle again"
                )
            tensors = safetensors.torch.load(contents)
            if manifest.get("arithmetic") == "int8" and isinstance(module, Branch):
                module.load_integers(tensors)
            else:
                module.load_state_dict(tensors)
        except OSError as error:
            raise BundleError(f"cannot read {path}: {error.strerror}") from None
        except (SafetensorError, RuntimeError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise BundleError(f"{path} does not fit {model.name}: {reason}") from None
    return model.eval().to(device)


def save(model: Model, folder: str | os.PathLike[str], training: dict[str, Any] | None = None) -> str:
    """Writes a bundle that lcp reads, and gives the model's hash.

    `model.json` comes last: what was cut short is no bundle.

    - training: the record of the training; none leaves the one that is there.
    """
    if model.manifest.get("arithmetic"):
        raise BundleError(f"{model.name} is in eight bits: save the model that it was made of, and give that to lcp quantize")
    folder = pathlib.Path(folder)
    manifest = {**model.manifest, "files": []}
    if len(model.branches) > 1:
        manifest["missing_scale"] = model.missing_scale
    if training is not None:
        manifest["training"] = training
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, module in zip(_files(len(model.branches)), [*model.branches, model.merge]):
            # PyTorch counts the batches that a normalisation has seen; nothing else needs to know.
            tensors = {
                key: value.detach().float().cpu().contiguous()
                for key, value in module.state_dict().items()
                if not key.endswith("num_batches_tracked")
            }
            contents = safetensors.torch.save(tensors)
            _write(folder / name, contents)
            manifest["files"].append({"name": name, "sha256": hashlib.sha256(contents).hexdigest()})
        contents = json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        _write(folder / "model.json", contents)
        # A bundle that was there may have had more branches.
        for branch in range(len(model.branches), MAXIMUM_BRANCHES):
            (folder / f"branch-{branch}.safetensors").unlink(missing_ok=True)
    except OSError as error:
        raise BundleError(f"the bundle {folder} could not be written: {error.strerror}") from None
    except ValueError:
        raise BundleError(f"the bundle {folder} could not be written: model.json takes finite numbers only") from None
    model.manifest = manifest
    return hashlib.sha256(contents).hexdigest()[:32]


def _write(path: pathlib.Path, contents: bytes) -> None:
    """Whole or not at all."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_bytes(contents)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
