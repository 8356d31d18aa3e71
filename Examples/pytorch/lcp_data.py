"""Labelled images: MNIST, CIFAR and folders of pictures, as lcp reads them, and fast enough for a GPU.

Folders of pictures need Pillow.
"""

import dataclasses
import io
import math
import pathlib
import sys
from collections.abc import Iterator
from typing import Any, Protocol

import numpy
import torch
from torch import Tensor
from torch.utils.data import DataLoader

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck".split()
# The fine labels, as CIFAR-100's own fine_label_names.txt has them.
CIFAR100 = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
    castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
    elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
    man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
    pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
    skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
    tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
""".split()
FASHION = "T-shirt/top Trouser Pullover Dress Coat Sandal Shirt Sneaker Bag".split() + ["Ankle boot"]

Preprocessing = dict[str, Any]
"""What model.json says about how pictures become pixels, and pixels the network's input."""
Size = tuple[int, int, int]
"""Height, width, channels."""
Key = tuple[int, int]
"""An epoch and an image's number; epoch -1 is the image as it is."""


class DataError(Exception):
    """Why data cannot be read: one sentence with the file and the reason."""


class ImageSet(Protocol):
    labels: Tensor

    def __getitems__(self, keys: list[Key]) -> tuple[Tensor, Tensor]:
        """Images, uint8, [count, height, width, channels], and their labels."""


class MemoryImages:
    """Images that are in memory."""

    def __init__(self, pixels: Tensor, labels: Tensor):
        self.pixels, self.labels = pixels, labels

    def __getitems__(self, keys: list[Key]) -> tuple[Tensor, Tensor]:
        indices = torch.tensor([index for _, index in keys])
        return self.pixels[indices], self.labels[indices]


class FolderImages:
    """Pictures that are read when they are needed: a folder for each class, sorted, in a folder."""

    def __init__(
        self, folder: pathlib.Path, size: Size, crop: float, seed: int, preprocessing: Preprocessing | None = None
    ):
        """
        - crop: the smallest part of a picture, by its area, that is trained on.
        - preprocessing: a model's, which says how pictures get its size.
        """
        self.resize, self.background = (preprocessing or {}).get("resize"), (preprocessing or {}).get("background", 255)
        self.told: set[int] = set()
        self.classes = class_folders(folder)
        self.files: list[pathlib.Path] = []
        labels: list[int] = []
        for label, name in enumerate(self.classes):
            files = sorted(
                path
                for path in (folder / name).rglob("*")
                if path.suffix.lower() in PICTURES and not is_left_behind(path.relative_to(folder))
            )
            if not files:
                raise DataError(f"there is no {', '.join(PICTURES[:-1])} or {PICTURES[-1]} file in {folder / name}")
            self.files += files
            labels += [label] * len(files)
        self.labels = torch.tensor(labels)
        self.size, self.crop, self.seed = size, crop, seed

    def __getitems__(self, keys: list[Key]) -> tuple[Tensor, Tensor]:
        indices: list[int] = []
        pixels: list[numpy.ndarray] = []
        for epoch, index in keys:
            # In the place of one that cannot be read stands the next that can.
            for place in [*range(index, len(self.files)), *range(index)]:
                try:
                    pixels.append(self.read(epoch, place))
                except DataError as error:
                    if place not in self.told:
                        print(f"{error}: left out", file=sys.stderr, flush=True)
                    self.told.add(place)
                    continue
                indices.append(place)
                break
            else:
                raise DataError(f"not one of {len(self.files)} pictures can be read")
        return torch.from_numpy(numpy.stack(pixels)), self.labels[indices]

    def read(self, epoch: int, index: int) -> numpy.ndarray:
        """A picture at the wanted size: all of it, as lcp resizes it, or in training a part."""
        from PIL import Image

        height, width, channels = self.size
        mode = "L" if channels == 1 else "RGB"
        left, top, right, bottom = self.part(epoch, index)
        # A part of a picture is stretched, as torchvision's RandomResizedCrop does.
        resize = self.resize if (left, top, right, bottom) == (0, 0, 1, 1) else None
        try:
            with Image.open(self.files[index]) as file:
                orientation = file.getexif().get(0x0112, 1)
                # A large JPEG is decoded at a fraction of its size that is still much larger than what is wanted.
                turned = orientation in range(5, 9)
                whole = file.size[::-1] if turned else file.size
                scaled = scaled_size(*whole, width, height, resize)
                wanted = (math.ceil(3 * scaled[0] / (right - left)), math.ceil(3 * scaled[1] / (bottom - top)))
                drafted = file.draft(mode, wanted[::-1] if turned else wanted)
                # What it stands for: its size is rounded up, and its last pixel reaches beyond the edge.
                across, down = drafted[1][2:] if drafted else file.size
                image = upright(file, self.background)
                if turned:
                    across, down = down, across
                # Where the file begins at the other end, so does what is rounded.
                beside = image.width - across if orientation in (2, 3, 6, 7) else 0
                above = image.height - down if orientation in (3, 4, 7, 8) else 0
                box = (
                    beside + left * across,
                    above + top * down,
                    min(image.width, beside + right * across),
                    min(image.height, above + bottom * down),
                )
                image = image.convert(mode).resize(scaled, Image.Resampling.BILINEAR, box)
                image = fitted(image, width, height, resize)
        except (OSError, ValueError, SyntaxError) as error:
            raise DataError(f"cannot read {self.files[index]}: {error}") from None
        return numpy.asarray(image).reshape(height, width, channels)

    def part(self, epoch: int, index: int) -> tuple[float, float, float, float]:
        """Left, top, right and bottom, 0 to 1: `crop` of the area at least, in another shape (Szegedy et al., 2015)."""
        if epoch < 0 or self.crop >= 1:
            return 0, 0, 1, 1
        random = numpy.random.default_rng((self.seed, epoch, index))
        area, shape = random.uniform(self.crop, 1), math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        width, height = min(1, math.sqrt(area * shape)), min(1, math.sqrt(area / shape))
        left, top = random.uniform(0, 1 - width), random.uniform(0, 1 - height)
        return left, top, left + width, top + height


def scaled_size(across: int, down: int, width: int, height: int, resize: dict[str, Any] | None) -> tuple[int, int]:
    """What the sides of a picture are scaled to before the model's size is cut out of them, or put around them."""
    match resize:
        case {"mode": "crop", "shorter": shorter}:
            return (shorter * across // down, shorter) if down <= across else (shorter, shorter * down // across)
        case {"mode": "letterbox"}:
            factor = min(width / across, height / down)
            return tuple(max(1, min(most, int(side * factor + 0.5))) for side, most in ((across, width), (down, height)))
        case None:
            return width, height
    raise DataError(f"the model has pictures resized in a way that is not known: {resize}")


def fitted(image: "Image.Image", width: int, height: int, resize: dict[str, Any] | None) -> "Image.Image":
    """The middle of a picture that is larger, or one that is smaller in the middle of a grey."""
    from PIL import Image

    if image.size == (width, height):
        return image
    if resize and resize["mode"] == "crop":
        # Halves go to the even number.
        left, top = round((image.width - width) / 2), round((image.height - height) / 2)
        return image.crop((left, top, left + width, top + height))
    grey = (resize or {}).get("grey", 0)
    result = Image.new(image.mode, (width, height), grey if image.mode == "L" else (grey,) * 3)
    result.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return result


def upright(file: "Image.Image", background: int = 255) -> "Image.Image":
    """A picture as lcp looks at it: 8 bits, on a grey, which is white, turned as its EXIF says."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(file)
    if image.mode.startswith("I;16"):
        # Pillow cuts off what is above 255.
        image = Image.fromarray(numpy.rint(numpy.asarray(image).astype(numpy.float64) / 257).astype(numpy.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        ground = Image.new("RGBA", image.size, (background, background, background, 255))
        image = Image.alpha_composite(ground, image.convert("RGBA"))
    return image


class CompressedImages:
    """Images as they come out of a JPEG, as lcp's sensors send them: of a quality that is another one in every epoch."""

    def __init__(self, images: ImageSet, qualities: tuple[int, int], seed: int):
        self.images, self.labels = images, images.labels
        self.qualities, self.seed = qualities, seed

    def __getitems__(self, keys: list[Key]) -> tuple[Tensor, Tensor]:
        pixels, labels = self.images.__getitems__(keys)
        for place, (epoch, index) in enumerate(keys):
            # Images to validate with stay as they are.
            if epoch >= 0:
                random = numpy.random.default_rng((self.seed, epoch, index, 1))
                quality = int(random.integers(self.qualities[0], self.qualities[1] + 1))
                pixels[place] = torch.from_numpy(through_jpeg(pixels[place].numpy(), quality))
        return pixels, labels


def through_jpeg(pixels: numpy.ndarray, quality: int) -> numpy.ndarray:
    """An image, uint8, [height, width, 1 or 3], in a JPEG with half the resolution of colours, and out of it."""
    from PIL import Image

    file = io.BytesIO()
    grey = pixels.shape[2] == 1
    Image.fromarray(pixels[:, :, 0] if grey else pixels).save(file, "JPEG", quality=quality, subsampling=2)
    with Image.open(file) as image:
        return numpy.array(image).reshape(pixels.shape)


def is_left_behind(path: pathlib.Path) -> bool:
    """What a Mac leaves beside pictures: hidden files, and a folder with their shadows."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def class_folders(folder: pathlib.Path) -> list[str]:
    try:
        names = sorted(
            path.name for path in folder.iterdir() if path.is_dir() and not is_left_behind(path.relative_to(folder))
        )
    except OSError as error:
        raise DataError(f"cannot read the folder {folder}: {error.strerror}") from None
    if len(names) < 2:
        raise DataError(f"{folder} needs a folder for each class, with its images, and has {len(names)}")
    return names


def require_pillow(purpose: str) -> None:
    try:
        import PIL  # noqa: F401
    except ImportError:
        raise DataError(f"{purpose} with Pillow, which is not there: pip install pillow") from None


# MARK: Files


def read_bytes(path: pathlib.Path) -> numpy.ndarray:
    try:
        return numpy.fromfile(path, numpy.uint8)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None


def read_idx(path: pathlib.Path, rank: int) -> numpy.ndarray:
    """MNIST's format: two zeros, 8 for bytes, the rank, the dimensions as big-endian u32, the data."""
    data = read_bytes(path)
    if len(data) < 4 + 4 * rank or bytes(data[:4]) != bytes((0, 0, 8, rank)):
        raise DataError(f"{path} is not an IDX file of {rank} dimensions: unpack it with gunzip")
    shape = data[4 : 4 + 4 * rank].view(">u4").astype(int)
    if len(data) - 4 - 4 * rank != shape.prod():
        raise DataError(
            f"{path} announces {shape.prod()} bytes of data and has {len(data) - 4 - 4 * rank}: it may be truncated"
        )
    return data[4 + 4 * rank :].reshape(shape)


def read_mnist(folder: pathlib.Path, training: bool) -> MemoryImages:
    prefix = "train" if training else "t10k"
    dot = "-" if (folder / f"{prefix}-images-idx3-ubyte").exists() else "."
    images = read_idx(folder / f"{prefix}-images{dot}idx3-ubyte", 3)
    labels = read_idx(folder / f"{prefix}-labels{dot}idx1-ubyte", 1)
    if len(images) != len(labels):
        raise DataError(
            f"{folder} has {len(images)} images and {len(labels)} labels for {prefix}: they do not belong together"
        )
    return MemoryImages(torch.from_numpy(images[..., None]), torch.from_numpy(labels).long())


def read_cifar(folder: pathlib.Path, files: list[str], label_bytes: int) -> MemoryImages:
    """Records of labels, the last of which counts, and 32 × 32 pixels, plane by plane."""
    pixels, labels = [], []
    for file in files:
        data = read_bytes(folder / file)
        if not len(data) or len(data) % (label_bytes + 3072):
            raise DataError(f"{folder / file} has {len(data)} bytes, which is no number of images: it may be truncated")
        records = data.reshape(-1, label_bytes + 3072)
        labels.append(records[:, label_bytes - 1])
        pixels.append(records[:, label_bytes:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return MemoryImages(torch.from_numpy(numpy.concatenate(pixels)), torch.from_numpy(numpy.concatenate(labels)).long())


# MARK: Data sets


@dataclasses.dataclass(frozen=True)
class Data:
    """A data set as it is named on the command line: `mnist:FOLDER` as for lcp, or the folder alone."""

    kind: str
    folder: pathlib.Path

    KINDS = ("mnist", "fashion-mnist", "cifar10", "cifar100", "folder")

    @classmethod
    def parse(cls, text: str) -> "Data":
        kind, _, rest = text.partition(":")
        if kind in cls.KINDS and rest:
            return cls(kind, pathlib.Path(rest))
        folder = pathlib.Path(text)
        if not folder.is_dir():
            raise DataError(
                f"{text!r} is no data: name a folder, or write {', '.join(f'{kind}:FOLDER' for kind in cls.KINDS)}"
            )
        for kind, file in (
            ("mnist", "train-images-idx3-ubyte"),
            ("mnist", "train-images.idx3-ubyte"),
            ("cifar10", "data_batch_1.bin"),
            ("cifar100", "train.bin"),
        ):
            if (folder / file).exists():
                return cls(kind, folder)
        return cls("folder", folder)

    @property
    def form(self) -> str:
        """How it is written, without the paths of this machine."""
        return f"{self.kind}:FOLDER"

    @property
    def size(self) -> Size | None:
        """The size of its images; none where pictures have many."""
        return {"mnist": (28, 28, 1), "fashion-mnist": (28, 28, 1), "folder": None}.get(self.kind, (32, 32, 3))

    def labels(self) -> list[str]:
        """The name of each class, by label."""
        if self.kind == "folder":
            return class_folders(self._classes)
        return {"mnist": list("0123456789"), "fashion-mnist": FASHION, "cifar10": CIFAR10, "cifar100": CIFAR100}[
            self.kind
        ]

    def preprocessing(self, channels: int) -> dict[str, list[float]]:
        """What its pixels are usually normalised with."""
        mean, deviation = {
            "mnist": ([0.1307], [0.3081]),
            "fashion-mnist": ([0.2860], [0.3530]),
            "cifar10": ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
            "cifar100": ([0.5071, 0.4865, 0.4409], [0.2673, 0.2564, 0.2762]),
            "folder": ([0.449], [0.226]) if channels == 1 else ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        }[self.kind]
        return {"mean": mean, "standard_deviation": deviation}

    @property
    def _classes(self) -> pathlib.Path:
        """The folder with a folder for each class to train on."""
        divided = self.folder / "train"
        return divided if divided.is_dir() and any(path.is_dir() for path in divided.iterdir()) else self.folder

    def training(
        self,
        size: Size,
        crop: float,
        seed: int,
        jpeg: tuple[int, int] | None = None,
        preprocessing: Preprocessing | None = None,
    ) -> ImageSet:
        """The images to train on.

        - crop: the smallest part of a picture, by its area, that is trained on; the seed says which.
        - jpeg: the lowest and the highest quality of JPEG that they go through; the seed says which.
        - preprocessing: a model's, which says how pictures get its size.
        """
        if jpeg:
            require_pillow("images go through JPEG")
            if size[2] not in (1, 3):
                raise DataError(f"images of {size[2]} channels cannot go through JPEG: leave jpeg out of the recipe")
        images: ImageSet = (
            self._pictures(self._classes, size, crop, seed, preprocessing)
            if self.kind == "folder"
            else self._fixed(True, size)
        )
        return CompressedImages(images, jpeg, seed) if jpeg else images

    def test(self, size: Size, preprocessing: Preprocessing | None = None) -> ImageSet | None:
        """The test set, where there is one."""
        if self.kind != "folder":
            return self._fixed(False, size)
        if self._classes == self.folder:
            return None
        tests = (self.folder / name for name in ("test", "val"))
        found = (folder for folder in tests if folder.is_dir())
        return next((self._pictures(folder, size, 1, 0, preprocessing) for folder in found), None)

    def _pictures(
        self, folder: pathlib.Path, size: Size, crop: float, seed: int, preprocessing: Preprocessing | None
    ) -> FolderImages:
        require_pillow("pictures are read")
        images = FolderImages(folder, size, crop, seed, preprocessing)
        if images.classes != self.labels():
            raise DataError(f"{folder} has other classes than {self._classes}: both need the same folders")
        return images

    def _fixed(self, training: bool, size: Size) -> MemoryImages:
        if self.size and self.size != size:
            raise DataError(
                f"the images of {self.kind} are {size_words(self.size)}, and the network takes {size_words(size)}"
            )
        folder = self.folder
        for inside in ("cifar-10-batches-bin", "cifar-100-binary"):
            folder = folder / inside if (folder / inside).is_dir() else folder
        match self.kind:
            case "cifar10":
                files = [f"data_batch_{batch}.bin" for batch in range(1, 6)] if training else ["test_batch.bin"]
                images = read_cifar(folder, files, 1)
            case "cifar100":
                images = read_cifar(folder, ["train.bin" if training else "test.bin"], 2)
            case _:
                images = read_mnist(folder, training)
        if images.labels.max() >= len(self.labels()):
            raise DataError(
                f"{folder} has the label {images.labels.max()}, and {self.kind} no such class: a file is damaged"
            )
        return images


def size_words(size: Size) -> str:
    return "×".join(map(str, size))


# MARK: Batches


def divide(labels: Tensor, validation: float) -> tuple[Tensor, Tensor]:
    """The numbers of the images to train on, and of those to choose by: as many of every class, always the same."""
    if not validation:
        return torch.arange(len(labels)), torch.arange(0)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))
    order = order[labels[order].argsort(stable=True)]
    places = (torch.arange(int(len(order) * validation)) / validation).long()
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    chosen[order[places]] = True
    return torch.nonzero(~chosen).flatten(), torch.nonzero(chosen).flatten()


class Steps:
    """Which images make which batch: the same for any number of processes, each of which takes its part of it."""

    def __init__(self, indices: Tensor, batch: int, accumulation: int, rank: int, world: int, seed: int):
        if batch % (accumulation * world):
            raise DataError(
                f"a batch of {batch} cannot be shared out among {world} processes times {accumulation} parts"
            )
        self.indices, self.batch, self.parts = indices, batch, accumulation * world
        self.rank, self.world, self.seed, self.epoch = rank, world, seed, 0
        self.count = len(indices) // batch
        if not self.count:
            raise DataError(f"{len(indices)} images are fewer than a batch of {batch}")

    def __len__(self) -> int:
        return self.count * self.parts // self.world

    def __iter__(self) -> Iterator[list[Key]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = self.indices[torch.randperm(len(self.indices), generator=generator)]
        for step in range(self.count):
            images = order[step * self.batch : (step + 1) * self.batch]
            for part in range(self.rank, self.parts, self.world):
                yield [(self.epoch, index) for index in images[part :: self.parts].tolist()]


class Portions:
    """Images as they are, once; each process has its portion."""

    def __init__(self, indices: Tensor, batch: int, rank: int, world: int):
        self.portions = indices[rank::world].split(batch) if len(indices) > rank else ()

    def __len__(self) -> int:
        return len(self.portions)

    def __iter__(self) -> Iterator[list[Key]]:
        for portion in self.portions:
            yield [(-1, index) for index in portion.tolist()]


def loader(images: ImageSet, batches: Steps | Portions, workers: int, pinned: bool) -> DataLoader[Any]:
    # What is in memory already needs no help.
    workers = 0 if isinstance(images, MemoryImages) else workers
    return DataLoader(
        images,
        batch_sampler=batches,
        collate_fn=_as_it_is,
        num_workers=workers,
        pin_memory=pinned,
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
    )


def _as_it_is(batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return batch
