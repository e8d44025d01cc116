"""
Test images, made when asked for: ``png(width=64)``, ``jpeg(size_kb=200)``, ``photo(orientation=6)``.

The same arguments give the same pixels; another *seed* gives other ones. ``pixels(data)`` decodes what a person would see.
"""

import io
import random
import struct
import zlib

from PIL import Image, ImageOps

_ORIENTATION_TAG = 0x0112
_BYTES_PER_PIXEL = 0.8
"""What noise takes at least, as a JPEG or WebP of quality 90."""


def png(*, width: int = 16, height: int = 12, size_kb: int = 0, alpha: bool = False, seed: int = 0) -> bytes:
    """Return a PNG of noise, at least *size_kb* large."""
    channels = "RGBA" if alpha else "RGB"
    height = max(height, -(-size_kb * 1024 // (width * len(channels))))
    return _encoded(_noise(channels, width, height, seed), "PNG", compress_level=1)


def jpeg(*, width: int = 16, height: int = 12, size_kb: int = 0, seed: int = 0) -> bytes:
    """Return a JPEG of noise, at least *size_kb* large."""
    return _encoded(_noise("RGB", *_at_least(width, height, size_kb), seed), "JPEG", quality=90)


def webp(
    *, width: int = 16, height: int = 12, size_kb: int = 0, lossless: bool = False, seed: int = 0
) -> bytes:
    """Return a WebP of noise, at least *size_kb* large."""
    image = _noise("RGB", *_at_least(width, height, size_kb), seed)
    return _encoded(image, "WEBP", quality=90, method=0, lossless=lossless)


def gif(*, width: int = 16, height: int = 12, frames: int = 1, seed: int = 0) -> bytes:
    """Return a GIF of noise."""
    first, *others = (_noise("L", width, height, seed + frame) for frame in range(frames))
    return _encoded(first, "GIF", save_all=bool(others), append_images=others)


def bmp(*, width: int = 16, height: int = 12, seed: int = 0) -> bytes:
    """Return a BMP of noise."""
    return _encoded(_noise("RGB", width, height, seed), "BMP")


def tiff(*, width: int = 16, height: int = 12, seed: int = 0) -> bytes:
    """Return a TIFF of noise."""
    return _encoded(_noise("RGB", width, height, seed), "TIFF")


def avif(*, width: int = 16, height: int = 12, seed: int = 0) -> bytes:
    """Return an AVIF of noise."""
    return _encoded(_noise("RGB", width, height, seed), "AVIF", speed=10)


def photo(*, width: int = 1600, height: int = 1200, orientation: int = 1, seed: int = 0) -> bytes:
    """Return a JPEG as a camera writes it: soft shapes, fine grain, and EXIF that says how the camera was held."""
    shapes = _noise("RGB", 8, 6, seed).resize((width, height), Image.Resampling.BICUBIC)
    grain = _noise("RGB", 128, 96, seed + 1).resize((width, height), Image.Resampling.NEAREST)
    exif = Image.Exif()
    exif[_ORIENTATION_TAG] = orientation
    return _encoded(Image.blend(shapes, grain, 0.05), "JPEG", quality=88, exif=exif)


def pixel_bomb(*, width: int = 30_000, height: int = 30_000) -> bytes:
    """Return a PNG of few bytes that says it has *width* x *height* pixels."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    row = b"\0" * (1 + (width + 7) // 8)
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(row) for _ in range(min(height, 100))) + packer.flush()
    chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(*chunk) for chunk in chunks)


def pixels(data: bytes) -> Image.Image:
    """Return the decoded image, the way up that a viewer shows it."""
    with Image.open(io.BytesIO(data)) as image:
        return ImageOps.exif_transpose(image)


def _noise(mode: str, width: int, height: int, seed: int) -> Image.Image:
    data = random.Random(seed).randbytes(width * height * len(mode))
    return Image.frombytes(mode, (width, height), data)


def _at_least(width: int, height: int, size_kb: int) -> tuple[int, int]:
    side = int((size_kb * 1024 / _BYTES_PER_PIXEL) ** 0.5) + 1
    return max(width, side), max(height, side)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def _encoded(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()
