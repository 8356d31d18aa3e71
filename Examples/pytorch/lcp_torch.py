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

FORMATS = (1, 2, 3, 4, 5, 6)
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
        match self.kind:
            case "output":
                return others[0]
            case "add":
                return values + others[0]
            case "multiply":
                return values * others[0]
        return torch.cat([values, *others], 1)

    def extra_repr(self) -> str:
        return f"{self.kind} {', '.join(map(str, self.layers))}"


class Windowed(nn.Module):
    """A convolution or pooling behind its padding, which may be another one on each side.

    Its parameters are called as the module's own, so that a file's names fit.
    """

    def __init__(self, module: nn.Module, padding: tuple[int, int, int, int], around: float = 0.0):
        super().__init__()
        self.module, self.padding, self.around = [module], padding, around
        for name, parameter in module.named_parameters():
            self.register_parameter(name, parameter)

    def forward(self, values: Tensor) -> Tensor:
        values = functional.pad(values, self.padding, value=self.around)
        module = self.module[0]
        if isinstance(module, nn.Conv2d):
            return functional.conv2d(
                values, self.weight, getattr(self, "bias", None), module.stride, 0, module.dilation, module.groups
            )
        return module(values)


class Mean(nn.Module):
    """The mean of what a window sees of the map, without what is beyond it."""

    def __init__(self, size: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int, int, int], ceil: bool):
        super().__init__()
        self.sums = nn.AvgPool2d(size, stride, 0, ceil, divisor_override=1)
        self.padding = padding

    def forward(self, values: Tensor) -> Tensor:
        there = torch.ones_like(values[:1, :1])
        return self.sums(functional.pad(values, self.padding)) / self.sums(functional.pad(there, self.padding))


class ChannelNorm(nn.Module):
    """A normalisation over the channels of every pixel."""

    def __init__(self, channels: int, epsilon: float):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.epsilon = epsilon

    def forward(self, values: Tensor) -> Tensor:
        values = values.permute(0, 2, 3, 1)
        values = functional.layer_norm(values, values.shape[-1:], self.weight, self.bias, self.epsilon)
        return values.permute(0, 3, 1, 2)


class Slice(nn.Module):
    """Some channels side by side."""

    def __init__(self, first: int, last: int):
        super().__init__()
        self.first, self.last = first, last

    def forward(self, values: Tensor) -> Tensor:
        return values[:, self.first : self.last]


class HardSigmoid(nn.Module):
    """min(max(α · x + β, 0), 1)."""

    def __init__(self, alpha: float, beta: float):
        super().__init__()
        self.alpha, self.beta = alpha, beta

    def forward(self, values: Tensor) -> Tensor:
        return torch.clamp(self.alpha * values + self.beta, 0, 1)


def _numbers(layer: Layer, key: str, count: int, missing: int) -> list[int]:
    """One number stands for as many as there are."""
    value = layer.get(key, missing)
    return list(value) if isinstance(value, list) else [value] * count


def _windowed(layer: Layer, shape: Shape) -> tuple[nn.Module, Shape]:
    """A convolution or pooling, and the shape of what it makes."""
    kind, channels = layer["type"], shape[0]
    is_convolution = "convolution" in kind
    size = tuple(_numbers(layer, "kernel" if is_convolution else "size", 2, 1))
    stride, dilation = tuple(_numbers(layer, "stride", 2, 1)), tuple(_numbers(layer, "dilation", 2, 1))
    top, left, bottom, right = _numbers(layer, "padding", 4, 0)
    ceil = layer.get("ceil", False)
    around = (left, right, top, bottom)
    outputs = channels
    if is_convolution:
        depthwise = kind == "depthwise_convolution"
        outputs = channels if depthwise else layer["outputs"]
        groups = channels if depthwise else layer.get("groups", 1)
        is_even = top == bottom and left == right
        module: nn.Module = nn.Conv2d(
            channels, outputs, size, stride, (top, left) if is_even else 0, dilation, groups, layer.get("bias", True)
        )
        if not is_even:
            module = Windowed(module, around)
    elif kind == "max_pool":
        module = Windowed(nn.MaxPool2d(size, stride, 0, dilation, ceil_mode=ceil), around, -torch.inf)
        if not any(around):
            module = module.module[0]
    elif not any(around) and not ceil:
        module = nn.AvgPool2d(size, stride)
    elif layer.get("count_padding"):
        module = Windowed(nn.AvgPool2d(size, stride), around)
    else:
        module = Mean(size, stride, around, ceil)
    with torch.no_grad():
        made = module(torch.zeros(1, *shape))
    return module, (outputs, made.shape[2], made.shape[3])


def _module(layer: Layer, shape: Shape, made: list[Shape]) -> tuple[nn.Module, Shape]:
    """A layer of model.json as a module, and the shape of what it makes."""
    kind, channels = layer["type"], shape[0]
    match kind:
        case "convolution" | "depthwise_convolution" | "max_pool" | "average_pool":
            return _windowed(layer, shape)
        case "fully_connected":
            return FullyConnected(channels * shape[1] * shape[2], layer["outputs"]), (layer["outputs"], 1, 1)
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
        case "sigmoid":
            return nn.Sigmoid(), shape
        case "tanh":
            return nn.Tanh(), shape
        case "silu":
            return nn.SiLU(), shape
        case "hard_sigmoid":
            return HardSigmoid(layer["alpha"], layer["beta"]), shape
        case "hard_swish":
            return nn.Hardswish(), shape
        case "leaky_relu":
            return nn.LeakyReLU(layer["slope"]), shape
        case "elu":
            return nn.ELU(layer["alpha"]), shape
        case "gelu" | "gelu_tanh":
            return nn.GELU("tanh" if kind == "gelu_tanh" else "none"), shape
        case "prelu":
            return nn.PReLU(channels), shape
        case "channel_normalization":
            return ChannelNorm(channels, layer["epsilon"]), shape
        case "slice":
            total = layer["total"]
            ends = layer["first"], layer["first"] + layer["count"]
            first, last = ((2 * end * channels + total) // (2 * total) for end in ends)
            return Slice(first, last), (last - first, *shape[1:])
        case "shuffle":
            return nn.ChannelShuffle(layer["groups"]), shape
        case "softmax":
            return nn.Softmax(1), shape
        case "dropout":
            return nn.Dropout(layer["rate"]), shape
        case "output" | "add":
            return Reference(kind, [layer["layer"]]), made[layer["layer"]] if kind == "output" else shape
        case "multiply":
            other = made[layer["layer"]]
            return Reference(kind, [layer["layer"]]), other if other[1] * other[2] > shape[1] * shape[2] else shape
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
            is_maximum = isinstance(layer, nn.MaxPool2d) or isinstance(getattr(layer, "module", [0])[0], nn.MaxPool2d)
            picks = is_maximum or isinstance(layer, nn.Dropout) or isinstance(layer, Reference) and layer.kind == "output"
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
        """Raw pixels, or a signal's numbers, as the network's input, [count, channels, height, width].

        They are uint8, or float32 of a signal, [height, width, channels], one image or many. Grey images may leave out their channel.
        """
        pixels = torch.as_tensor(images)
        is_signal = "signal" in self.manifest["preprocessing"]
        wanted = torch.float32 if is_signal else torch.uint8
        if pixels.dtype != wanted:
            raise BundleError(f"{self.name} takes {'numbers' if is_signal else 'pixels'} as {wanted}, not {pixels.dtype}")
        height, width, channels = self.input
        if channels == 1 and pixels.shape[-2:] == (height, width) and pixels.shape[-3:] != self.input:
            pixels = pixels[..., None]
        if pixels.shape[-3:] != self.input or pixels.dim() not in (3, 4):
            found = "×".join(map(str, pixels.shape))
            raise BundleError(f"{self.name} takes images of {height}×{width}×{channels}, not {found}")
        pixels = pixels.reshape(-1, height, width, channels).to(self.device, non_blocking=True)
        return self.normalize(pixels.permute(0, 3, 1, 2).float() / (1 if is_signal else 255))

    def normalize(self, images: Tensor) -> Tensor:
        """Pixels from 0 to 1, or a signal's numbers, [count, channels, height, width], as the network's input."""
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
    if manifest.get("network", {}).get("parity") is not None:
        raise BundleError(f"{path} has a parity branch: load the model that it was added to")
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
