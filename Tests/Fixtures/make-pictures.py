#!/usr/bin/env python3
"""Makes pictures as cameras, phones and people write them, and what has to be read from them. Needs Pillow and numpy.

For every picture NAME there is NAME.rgb: its pixels, upright, on white, height × width × 3 bytes, after the height and the width as
16-bit numbers. Names that begin with "bad" have none: they are refused.
"""
import io
import pathlib
import struct
import zlib

import numpy
from PIL import Image, ImageOps

here = pathlib.Path(__file__).resolve().parent / "pictures"
here.mkdir(exist_ok=True)
height, width = 16, 24
y, x = numpy.mgrid[0:height, 0:width]
colour = numpy.stack([x * 10, y * 15, (x + y) * 6], axis=-1).astype(numpy.uint8)
colour[4:9, 6:14] = (250, 20, 60)
grey = ((x * 7 + y * 3) % 256).astype(numpy.uint8)
opacity = ((x * 11) % 256).astype(numpy.uint8)


def write(name: str, data: bytes, pixels: numpy.ndarray | None = None) -> None:
    (here / name).write_bytes(data)
    if name.startswith("bad"):
        return
    if pixels is None:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image.convert("RGBA"))
        pixels = numpy.asarray(image.convert("RGB"))
    (here / f"{name}.rgb").write_bytes(struct.pack("<HH", *pixels.shape[:2]) + pixels.tobytes())


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def png(samples: numpy.ndarray, kind: int, depth: int, interlaced: bool = False, chunks: bytes = b"") -> bytes:
    """A PNG of [height, width, channels] samples, as Pillow writes none."""
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    def rows(part: numpy.ndarray) -> bytes:
        part = part.astype(">u2" if depth == 16 else "u1")
        return b"".join(b"\0" + row.tobytes() for row in part) if part.size else b""

    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [samples[top::down, left::across] for top, left, down, across in passes] if interlaced else [samples]
    high, wide = samples.shape[:2]
    header = struct.pack(">IIBBBBB", wide, high, depth, kind, 0, 0, interlaced)
    data = zlib.compress(b"".join(map(rows, parts)), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunks + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def on_white(pixels: numpy.ndarray, opacity: numpy.ndarray) -> numpy.ndarray:
    part = opacity[..., None] / 255
    return numpy.rint(pixels * part + 255 * (1 - part)).astype(numpy.uint8)


def three(pixels: numpy.ndarray) -> numpy.ndarray:
    return numpy.repeat(pixels[..., None], 3, axis=-1)


# 16 bits: 0x8000 is the middle of grey, and becomes 128.
wide = lambda values: values.astype(numpy.uint16) * 256 + 0x40
middle = numpy.full((height, width, 1), 0x8000)
write("depth16-middle.png", png(middle, 0, 16), numpy.full((height, width, 3), 128, numpy.uint8))
write("depth16-grey.png", png(wide(grey)[..., None], 0, 16), three(grey))
write("depth16-colour.png", png(wide(colour), 2, 16), colour)
both = numpy.concatenate([wide(grey)[..., None], opacity[..., None].astype(numpy.uint16) * 257], axis=-1)
write("depth16-grey-transparent.png", png(both, 4, 16), on_white(three(grey), opacity))
both = numpy.concatenate([wide(colour), opacity[..., None].astype(numpy.uint16) * 257], axis=-1)
write("depth16-colour-transparent.png", png(both, 6, 16), on_white(colour, opacity))
write("interlaced.png", png(colour, 2, 8, interlaced=True), colour)
write("gamma.png", png(colour, 2, 8, chunks=struct.pack(">I", 4) + b"gAMA" + struct.pack(">I", 100000)
      + struct.pack(">I", zlib.crc32(b"gAMA" + struct.pack(">I", 100000)))), colour)

# Transparency.
write("transparent-colour.png", saved(Image.fromarray(numpy.dstack([colour, opacity])), "PNG"))
write("transparent-grey.png", saved(Image.fromarray(numpy.dstack([grey, opacity]), "LA"), "PNG"))
palette = Image.fromarray(colour).quantize(16)
write("transparent-palette.png", saved(palette, "PNG", transparency=3))
write("transparent.gif", saved(palette, "GIF", transparency=3))

# Orientation.
for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = orientation
    write(f"orientation-{orientation}.jpg", saved(Image.fromarray(colour), "JPEG", quality=95, subsampling=0, exif=exif))
exif[0x0112] = 6
write("orientation-6.png", saved(Image.fromarray(colour), "PNG", exif=exif))

# Damage that leaves every pixel, and damage that does not.
whole = saved(Image.fromarray(colour), "JPEG", quality=95)
pixels = numpy.asarray(Image.open(io.BytesIO(whole)).convert("RGB"))
tables = whole.index(b"\xff\xc4")
write("no-end.jpg", whole[:-2], pixels)
write("extraneous-before-end.jpg", whole[:-2] + b"\0\x12\x34" * 20 + whole[-2:], pixels)
write("extraneous-before-tables.jpg", whole[:tables] + b"\0\0\0\0\0" + whole[tables:], pixels)
write("after-end.jpg", whole + b"camera" * 50, pixels)
write("bad-cut.jpg", whole[:-40])
progressive = saved(Image.fromarray(colour), "JPEG", quality=95, progressive=True)
write("progressive-no-end.jpg", progressive[:-2], numpy.asarray(Image.open(io.BytesIO(progressive)).convert("RGB")))
write("bad-progressive-cut.jpg", b"\xff\xda".join(progressive.split(b"\xff\xda")[:3]))
cut = saved(Image.fromarray(numpy.random.default_rng(1).integers(0, 256, colour.shape, numpy.uint8)), "PNG")
write("bad-cut.png", cut[:len(cut) // 2])
write("no-end.png", saved(Image.fromarray(colour), "PNG")[:-12], colour)

# Inks, bitmaps, GIF.
write("inks.jpg", saved(Image.fromarray(numpy.dstack([colour, grey // 2]), "CMYK"), "JPEG", quality=95))
write("one-bit.bmp", saved(Image.fromarray(grey > 100), "BMP"))
write("grey.bmp", saved(Image.fromarray(grey), "BMP"))
write("palette.bmp", saved(palette, "BMP"))
write("colour.bmp", saved(Image.fromarray(colour), "BMP"))
masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
rows = numpy.dstack([colour[..., ::-1], opacity])[::-1].tobytes()
header = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, len(rows), 0, 0, 0, 0) + masks + bytes(52)
write("transparent.bmp", b"BM" + struct.pack("<IHHI", 122 + len(rows), 0, 0, 122) + header + rows, on_white(colour, opacity))
five = (colour >> 3).astype(numpy.uint16)
rows = (five[..., 0] << 10 | five[..., 1] << 5 | five[..., 2]).astype("<u2").tobytes()
header = struct.pack("<IiiHHIIiiII", 40, width, -height, 1, 16, 0, len(rows), 0, 0, 0, 0)
write("from-top.bmp", b"BM" + struct.pack("<IHHI", 54 + len(rows), 0, 0, 54) + header + rows,
      numpy.rint((colour >> 3) * (255 / 31)).astype(numpy.uint8))
write("colour.gif", saved(palette, "GIF", interlace=0))
write("interlaced.gif", saved(palette, "GIF", interlace=1))
noise = Image.fromarray(numpy.random.default_rng(1).integers(0, 256, (96, 80), numpy.uint8))
write("noise.gif", saved(noise, "GIF"))
write("bad-cut.gif", saved(noise, "GIF")[:3000])
write("bad-cut.bmp", saved(Image.fromarray(colour), "BMP")[:-100])

write("lossy.webp", saved(Image.fromarray(colour), "WEBP", quality=95))
write("lossless.webp", saved(Image.fromarray(colour), "WEBP", lossless=True))
write("transparent.webp", saved(Image.fromarray(numpy.dstack([colour, opacity])), "WEBP", lossless=True, exact=True))
exif[0x0112] = 8
write("orientation-8.webp", saved(Image.fromarray(colour), "WEBP", lossless=True, exif=exif))
write("bad-cut.webp", saved(Image.fromarray(colour), "WEBP", lossless=True)[:-20])

# Fits: of a picture that is wider than high, and of one that is higher than wide.
large = numpy.random.default_rng(2).integers(0, 256, (9, 13, 3), numpy.uint8)
large = numpy.asarray(Image.fromarray(large).resize((201, 133), Image.Resampling.BICUBIC))
for name, picture in (("wide", large), ("tall", large.transpose(1, 0, 2))):
    image = Image.fromarray(picture)
    write(f"fit-{name}.png", saved(image, "PNG"))
    high, wide_ = picture.shape[:2]
    shorter = (40, 40 * wide_ // high) if high <= wide_ else (40 * high // wide_, 40)
    resized = image.resize((shorter[1], shorter[0]), Image.Resampling.BILINEAR)
    top, left = round((shorter[0] - 32) / 2), round((shorter[1] - 32) / 2)
    cropped = resized.crop((left, top, left + 32, top + 32))
    (here / f"fit-{name}.crop").write_bytes(numpy.asarray(cropped).tobytes())
    factor = min(32 / high, 32 / wide_)
    inside = (round(wide_ * factor), round(high * factor))
    boxed = Image.new("RGB", (32, 32), (114, 114, 114))
    boxed.paste(image.resize(inside, Image.Resampling.BILINEAR), ((32 - inside[0]) // 2, (32 - inside[1]) // 2))
    (here / f"fit-{name}.letterbox").write_bytes(numpy.asarray(boxed).tobytes())
    stretched = image.resize((32, 32), Image.Resampling.BILINEAR)
    (here / f"fit-{name}.stretch").write_bytes(numpy.asarray(stretched).tobytes())
