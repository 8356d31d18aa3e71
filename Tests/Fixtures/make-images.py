#!/usr/bin/env python3
"""Makes the images that the tests decode, and what Pillow makes of them. Needs Pillow and numpy.

For every image NAME there is NAME.grey28: 28 × 28 bytes, grey by Rec. 601, resized by Pillow's bilinear filter.
"""
import pathlib

import numpy
from PIL import Image

here = pathlib.Path(__file__).resolve().parent / "images"
here.mkdir(exist_ok=True)
height, width = 90, 120
y, x = numpy.mgrid[0:height, 0:width]
colour = numpy.stack([x * 2, y * 2, (x + y)], axis=-1).astype(numpy.uint8)
colour[30:60, 40:80] = (250, 20, 60)
grey = ((x * 3 + y) % 256).astype(numpy.uint8)
palette = Image.fromarray(colour).quantize(16)
alpha = numpy.concatenate([colour, numpy.full((height, width, 1), 255, numpy.uint8)], axis=-1)

images = {
    "colour.png": Image.fromarray(colour),
    "grey.png": Image.fromarray(grey),
    "palette.png": palette,
    "alpha.png": Image.fromarray(alpha, "RGBA"),
    "colour.jpg": Image.fromarray(colour),
    "grey.jpg": Image.fromarray(grey),
    "progressive.jpg": Image.fromarray(colour),
}
for name, image in images.items():
    options = {"quality": 95, "subsampling": 0, "progressive": name.startswith("progressive")} if name.endswith("jpg") else {}
    image.save(here / name, **options)
    rgb = numpy.asarray(Image.open(here / name).convert("RGB")).astype(numpy.float64)
    luma = (rgb @ [0.299, 0.587, 0.114]).round().clip(0, 255).astype(numpy.uint8)
    small = Image.fromarray(luma).resize((28, 28), Image.BILINEAR)
    (here / (name + ".grey28")).write_bytes(numpy.asarray(small).tobytes())
Image.new("CMYK", (16, 16), (10, 200, 30, 0)).save(here.parent / "printer.jpg")
