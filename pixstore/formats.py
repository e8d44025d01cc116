"""
Decides which images are accepted, and reads their format and size.

Pure: bytes in, values out. Imports ``structure``, ``decoding`` and ``errors``.

The content decides the format, never a name or a header. An image that browsers show whole is accepted and
kept byte for byte; one that they show in part or not at all is refused. For PNG, WebP and JPEG, the structure
of the file is read, which finds a truncated file without decoding a pixel. Images of the other formats, which
have to be configured, are decoded once by Pillow.
"""

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

from pixstore import decoding
from pixstore.crypto import Buffer
from pixstore.errors import BlobFormatError, ImageRejected, RejectionReason
from pixstore.structure import avif, bmp, damaged, gif, jpeg, png, tiff, webp

DEFAULT_FORMATS = ("png", "webp", "jpg", "jpeg")
"""Formats 1 to 4 of every store. The format byte of an image is its 1-based position in the configured list."""

MIME_TYPES = {
    "png": "image/png",
    "webp": "image/webp",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "tiff": "image/tiff",
}

_JPEG_SIGNATURE = b"\xff\xd8\xff"
_BMP_HEADERS = {bytes([size, 0, 0, 0]) for size in (12, 40, 52, 56, 64, 108, 124)}
"""The possible starts of a BMP's second header, which begins with its own size."""


class ImageLimits(NamedTuple):
    """The limits that every image must keep."""

    formats: tuple[str, ...] = DEFAULT_FORMATS
    max_bytes: int = 32 * 2**20
    max_pixels: int = 100_000_000


class InspectedImage(NamedTuple):
    """
    The bytes of an image that was inspected, its format, and its width and height in pixels as stored.

    A function that gets one need not inspect the bytes again. The orientation in the metadata may tell
    viewers to turn the image.
    """

    data: bytes
    format: str
    width: int
    height: int

    def __repr__(self) -> str:
        return f"<InspectedImage {self.format} {self.width} x {self.height}, {len(self.data)} bytes>"


def list_faults(names: Sequence[str]) -> list[str]:
    """Return what is wrong with *names* as a configured list of formats, a sentence each."""
    faults = []
    if tuple(names[: len(DEFAULT_FORMATS)]) != DEFAULT_FORMATS:
        faults.append(f"the list must start {','.join(DEFAULT_FORMATS)}; others may be appended")
    unknown = [name for name in names if name not in MIME_TYPES]
    if unknown:
        faults.append(f"{', '.join(map(repr, unknown))} unknown; known are {', '.join(MIME_TYPES)}")
    if len(set(names)) != len(names):
        faults.append("a format is named twice")
    return faults


def format_byte(name: str, names: Sequence[str]) -> int:
    """Return the byte that stands for format *name* in a store whose formats are *names*."""
    return names.index(name) + 1


def format_of_byte(byte: int, names: Sequence[str]) -> str:
    """
    Return the name of the format that *byte* stands for.

    Raises:
        BlobFormatError: If the store knows no such format.
    """
    if not 1 <= byte <= len(names):
        raise BlobFormatError(f"the image has format {byte}, which image_formats does not list")
    return names[byte - 1]


def inspect(
    data: Buffer,
    limits: ImageLimits = ImageLimits(),  # noqa: B008 - immutable
    *,
    decode: bool = True,
) -> InspectedImage:
    """
    Check that *data* is a whole image within *limits*, and return it with its format and size.

    For GIF, AVIF, BMP and TIFF, the check decodes the image. A caller that decodes it anyway passes
    ``decode=False``, so that it is decoded only once.

    Raises:
        ImageRejected: Naming the first thing that is wrong.
    """
    if isinstance(data, bytearray | memoryview):
        data = bytes(data)  # its owner may change it at any time
    if not isinstance(data, bytes):
        _reject("not_an_image", f"an image must be bytes, not {type(data).__name__}")
    if not data:
        _reject("empty", "the file is empty")
    if len(data) > limits.max_bytes:
        _reject(
            "too_large", f"the image has {_mib(len(data))}, more than the {_mib(limits.max_bytes)} allowed"
        )
    name = detect(data)
    if name is None:
        _reject("not_an_image", f"this is not an image we know ({_listed(limits.formats)})")
    if name not in limits.formats:
        _reject(
            "format_not_allowed",
            f"{name.upper()} images are not accepted here, only {_listed(limits.formats)}",
        )
    width, height = _PROBES[name](data, limits.max_pixels)
    _check_size(width, height, limits.max_pixels)
    if decode and name in _DECODED:
        with decoding.opened(data, decoding.PILLOW_NAMES[name]) as image, decoding.room_for(image, data):
            image.load()
    return InspectedImage(data, name, width, height)


def detect(data: bytes) -> str | None:
    """Return the name of the format that the first bytes of *data* announce, or ``None``."""
    if data.startswith(png.SIGNATURE):
        return "png"
    if data.startswith(_JPEG_SIGNATURE):
        return "jpg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if avif.is_avif(data):
        return "avif"
    if data[:4] in (b"II*\0", b"MM\0*"):
        return "tiff"
    if data[:2] == b"BM" and (data[6:10] == b"\0\0\0\0" or data[14:18] in _BMP_HEADERS):
        return "bmp"
    return None


def _probe_png(data: bytes, max_pixels: int) -> tuple[int, int]:
    if len(data) >= 33 and data[12:16] == b"IHDR":
        # Check the size first: the checksums of the chunks take time.
        width, height = struct.unpack_from(">II", data, 16)
        _check_size(width, height, max_pixels)
    return png.read(data)[:2]


def _probe_jpeg(data: bytes, max_pixels: int) -> tuple[int, int]:
    head = jpeg.read_head(data)
    _check_size(head.width, head.height, max_pixels)
    jpeg.end_of_picture(data, head)
    return head.width, head.height


def _probe_webp(data: bytes, _max_pixels: int) -> tuple[int, int]:
    return webp.read(data)[:2]


def _probe_gif(data: bytes, _max_pixels: int) -> tuple[int, int]:
    return gif.read(data)


def _probe_with_pillow(name: str, check: Callable[[bytes], None]) -> Callable[[bytes, int], tuple[int, int]]:
    """Return a probe that lets Pillow read the header, after *check* has refused files that take long to read."""

    def probe(data: bytes, _max_pixels: int) -> tuple[int, int]:
        check(data)
        with decoding.opened(data, decoding.PILLOW_NAMES[name]) as image:
            size: tuple[int, int] = image.size
            return size

    return probe


_PROBES: dict[str, Callable[[bytes, int], tuple[int, int]]] = {
    "png": _probe_png,
    "jpg": _probe_jpeg,
    "webp": _probe_webp,
    "gif": _probe_gif,
    "avif": _probe_with_pillow("avif", avif.check),
    "bmp": _probe_with_pillow("bmp", bmp.check),
    "tiff": _probe_with_pillow("tiff", tiff.check),
}

_DECODED = frozenset({"gif", "avif", "bmp", "tiff"})
"""Formats whose structure does not tell whether the pixels are complete."""


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise damaged()
    if width * height > max_pixels:
        megapixels, allowed = width * height / 1e6, max_pixels / 1e6
        _reject(
            "too_many_pixels",
            f"the image has {width} x {height} = {megapixels:.1f} megapixels, more than the {allowed:g} allowed",
        )


def _reject(reason: RejectionReason, message: str) -> NoReturn:
    raise ImageRejected(reason, message)


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


def _listed(names: Sequence[str]) -> str:
    shown = [name.upper() for name in names if name != "jpg"]
    return f"{', '.join(shown[:-1])} or {shown[-1]}" if len(shown) > 1 else shown[0]
