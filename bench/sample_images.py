"""Photo-like JPEGs of a wanted size: a smooth picture under sensor noise, compressed until the bytes fit."""

import io
import random
from pathlib import Path

from PIL import Image

MOST_PIXELS = 50_000_000

SHAPES = {
    "10 KB": (320, 240, 10_000),
    "200 KB": (1600, 1200, 200_000),
    "2 MB": (4000, 3000, 2_000_000),
    "10 MB": (6000, 4500, 10_000_000),
}


def write(directory: Path, sizes: list[str]) -> dict[str, str]:
    """Write an image of each of the *sizes* below *directory*, and return their paths by size."""
    files = {}
    for size in sizes:
        file = directory / f"{size.replace(' ', '-')}.jpg"
        file.write_bytes(jpeg(*SHAPES[size]))
        files[size] = str(file)
    return files


def jpeg(width: int, height: int, size: int) -> bytes:
    """Return a JPEG of *width* × *height* whose length comes closest to *size* bytes, the same on every run."""
    picture = _picture(width, height)
    smaller, larger = 1, 97
    candidates = []
    while smaller <= larger:  # a better quality takes more bytes
        quality = (smaller + larger) // 2
        candidates.append(_encode(picture, quality))
        smaller, larger = (quality + 1, larger) if len(candidates[-1]) < size else (smaller, quality - 1)
    return min(candidates, key=lambda encoded: abs(len(encoded) - size))


def photo(size: int) -> bytes:
    """Return a JPEG of about *size* bytes, of as many pixels as cameras have for that: up to 50 million, at quality 90 or more."""
    width, height = 1200, 900
    small = _picture(width, height)
    sizes = {quality: len(_encode(small, quality)) for quality in (90, 93, 96, 98)}
    quality = next((q for q, taken in sizes.items() if size / taken * width * height <= MOST_PIXELS), 98)
    grow = (size / sizes[quality]) ** 0.5
    return _encode(_picture(round(width * grow), round(height * grow)), quality)


def _picture(width: int, height: int) -> Image.Image:
    source = random.Random(f"{width}x{height}")
    shapes = Image.frombytes("RGB", (12, 9), source.randbytes(12 * 9 * 3)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    texture = _noise(source, width // 6, height // 6).resize((width, height), Image.Resampling.BICUBIC)
    return Image.blend(Image.blend(shapes, texture, 0.15), _noise(source, width, height), 0.04)


def _noise(source: random.Random, width: int, height: int) -> Image.Image:
    rows = b"".join([source.randbytes(width * 3) for _ in range(height)])
    return Image.frombytes("RGB", (width, height), rows)


def _encode(picture: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
