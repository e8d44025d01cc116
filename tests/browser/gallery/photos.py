"""Photos of the size that phones and cameras make, each different by its name."""

import zlib
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter

ORIENTATION = 0x0112
ROTATED = 6
"""EXIF: the camera was held upright; turn the picture by 90 degrees to the right to see it."""

SIZES = {".jpg": (4032, 3024), ".png": (1800, 1200), ".webp": (2400, 1800)}
"""Pixels by kind: 12, 2 and 4 megapixels."""


def write(path: Path) -> None:
    """Write a photo to *path*: a JPEG is turned by EXIF, a PNG has holes."""
    image = _scene(path.stem, SIZES[path.suffix])
    if path.suffix == ".jpg":
        exif = Image.Exif()
        exif[ORIENTATION] = ROTATED
        image.save(path, quality=88, exif=exif)
    elif path.suffix == ".png":
        image.putalpha(_holes(image.size))
        image.save(path, compress_level=1)
    else:
        image.save(path, quality=85)


def _scene(name: str, size: tuple[int, int]) -> Image.Image:
    """Return a sky over a sea with a sun, grainy as a photo is; colours by *name*."""
    seed = zlib.crc32(name.encode())
    hue = seed % 360
    small = Image.new("RGB", (64, 48))
    draw = ImageDraw.Draw(small)
    for y in range(48):
        light = 85 - y if y < 30 else 45 - (y - 30)
        draw.line([(0, y), (64, y)], f"hsl({(hue + y) % 360}, 45%, {light}%)")
    draw.ellipse([10 + seed % 30, 12, 22 + seed % 30, 24], f"hsl({(hue + 40) % 360}, 90%, 80%)")
    scene = small.resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(4))
    grain = Image.effect_noise((size[0] // 4, size[1] // 4), 24).resize(size)
    return ImageChops.overlay(scene, Image.merge("RGB", [grain] * 3))


def _holes(size: tuple[int, int]) -> Image.Image:
    mask = Image.new("L", size, 255)
    ImageDraw.Draw(mask).ellipse([size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2], 90)
    return mask
