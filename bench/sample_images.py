"""Photo-like JPEGs of a wanted size: a smooth picture under sensor noise, compressed until the bytes fit."""

import io
import random

from PIL import Image


def jpeg(width: int, height: int, size: int) -> bytes:
    """Return a JPEG of *width* × *height* whose length comes closest to *size* bytes, the same on every run."""
    picture = _picture(width, height)
    candidates = [_encode(picture, quality) for quality in range(40, 97, 2)]
    return min(candidates, key=lambda encoded: abs(len(encoded) - size))


def _picture(width: int, height: int) -> Image.Image:
    source = random.Random(f"{width}x{height}")
    shapes = Image.frombytes("RGB", (12, 9), source.randbytes(12 * 9 * 3)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    texture = _noise(source, width // 6, height // 6).resize((width, height), Image.Resampling.BICUBIC)
    return Image.blend(Image.blend(shapes, texture, 0.15), _noise(source, width, height), 0.04)


def _noise(source: random.Random, width: int, height: int) -> Image.Image:
    return Image.frombytes("RGB", (width, height), source.randbytes(width * height * 3))


def _encode(picture: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
