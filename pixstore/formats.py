"""
Which images are accepted, and what their bytes say of themselves. Pure: bytes in, values out; imports only ``errors`` and
``decoding``.

Content decides the format, never a name or a header. PNG, WebP and JPEG are walked by their structure, which finds a
truncated file without decoding a pixel; the formats that have to be configured are decoded by Pillow once.
"""

import struct
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

from pixstore.crypto import Buffer
from pixstore.decoding import open_image, room_for
from pixstore.errors import BlobFormatError, ImageRejected, RejectionReason

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

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_SIGNATURE = b"\xff\xd8\xff"
_PILLOW_NAMES = {"gif": "GIF", "avif": "AVIF", "bmp": "BMP", "tiff": "TIFF"}


class ImageLimits(NamedTuple):
    """What an image must keep to."""

    formats: tuple[str, ...] = DEFAULT_FORMATS
    max_bytes: int = 32 * 2**20
    max_pixels: int = 100_000_000


class InspectedImage(NamedTuple):
    """
    The bytes of an image, and what they say of themselves: format name, width and height in pixels as stored.

    Whoever has one need not inspect the bytes again. A viewer may turn the image: see the orientation in its metadata.
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


def inspect(data: Buffer, limits: ImageLimits = ImageLimits()) -> InspectedImage:  # noqa: B008 - immutable
    """
    Check that *data* is a whole image within *limits*, and return it with what it says of itself.

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
    return InspectedImage(data, name, width, height)


def detect(data: bytes) -> str | None:
    """Return the name of the format that the first bytes of *data* announce, or ``None``."""
    if data.startswith(_PNG_SIGNATURE):
        return "png"
    if data.startswith(_JPEG_SIGNATURE):
        return "jpg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        return "avif"
    if data[:4] in (b"II*\0", b"MM\0*"):
        return "tiff"
    if data[:2] == b"BM" and data[6:10] == b"\0\0\0\0":
        return "bmp"
    return None


def _probe_png(data: bytes, max_pixels: int) -> tuple[int, int]:
    """Walk the chunks (PNG, third edition, section 5), checking each CRC."""
    if len(data) < 33:
        _truncated()
    if data[12:16] != b"IHDR":
        _damaged()
    width, height = struct.unpack_from(">II", data, 16)
    _check_size(width, height, max_pixels)
    has_pixels = False
    view, position = memoryview(data), len(_PNG_SIGNATURE)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            _truncated()
        if zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            _damaged()
        has_pixels |= kind == b"IDAT"
        position = end
        if kind == b"IEND":
            if not has_pixels:
                _damaged()
            return width, height
    _truncated()


_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD8)})
_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9
_MAX_JPEG_SCANS = 100  # encoders write about ten


def _probe_jpeg(data: bytes, max_pixels: int) -> tuple[int, int]:
    """Walk the marker segments (ITU-T T.81, annex B) to the first scan, then look for the end marker behind it."""
    size: tuple[int, int] | None = None
    position = 2
    while position + 4 <= len(data):
        marker, length = _jpeg_segment(data, position)
        if marker in _JPEG_FRAMES:
            size = _jpeg_size(data, position)
            _check_size(*size, max_pixels)
        position += length
        if marker == _JPEG_SCAN:
            if size is None:
                _damaged()
            # Inside a scan 0xFF is always followed by a stuffed zero or a restart marker, so this is the real end.
            if data.rfind(b"\xff\xd9", position) < 0:
                _truncated()
            _check_scans(1 + data.count(b"\xff\xda", position))
            return size
    _truncated()


def _check_scans(count: int) -> None:
    """Refuse a JPEG of endless scans: each goes over the whole picture again, and needs a few bytes only."""
    if count > _MAX_JPEG_SCANS:
        _reject("too_costly", f"the image is made of {count} scans, more than the {_MAX_JPEG_SCANS} allowed")


def _jpeg_segment(data: bytes, position: int) -> tuple[int, int]:
    """Return the marker at *position* and how many bytes lead to the next one."""
    marker = data[position + 1]
    if data[position] != 0xFF or marker == _JPEG_END:
        _damaged()
    if marker == 0xFF:  # a fill byte
        return marker, 1
    if marker in _JPEG_BARE_MARKERS:
        return marker, 2
    length = int.from_bytes(data[position + 2 : position + 4], "big")
    if length < 2:
        _damaged()
    return marker, 2 + length


def _jpeg_size(data: bytes, position: int) -> tuple[int, int]:
    if position + 9 > len(data):
        _truncated()
    height, width = struct.unpack_from(">HH", data, position + 5)
    return width, height


def _probe_webp(data: bytes, max_pixels: int) -> tuple[int, int]:
    """Walk the RIFF chunks (RFC 9649, section 2)."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if len(data) < max(end, 30):
        _truncated()
    size = _webp_size(data)
    _check_size(*size, max_pixels)
    has_pixels = False
    position = 12
    while position + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, position)
        position += 8 + length + length % 2
        has_pixels |= kind in _WEBP_PIXELS and length > 0
    if not has_pixels or position > end + 1:  # the padding of the last chunk may be left out
        _damaged()
    return size


_WEBP_PIXELS = frozenset({b"VP8 ", b"VP8L", b"ANMF"})


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    _damaged()


def _probe_with_pillow(name: str) -> Callable[[bytes, int], tuple[int, int]]:
    def probe(data: bytes, max_pixels: int) -> tuple[int, int]:
        try:
            with open_image(data, _PILLOW_NAMES[name]) as image:
                _check_size(*image.size, max_pixels)
                with room_for(image, data):
                    image.load()
                size: tuple[int, int] = image.size
        except ImageRejected:
            raise
        except EOFError:
            _truncated()
        except Exception as error:  # noqa: BLE001 - Pillow's decoders raise all kinds on hostile bytes
            if "truncated" in str(error):
                _truncated()
            _damaged()
        if name == "gif" and not data.rstrip(b"\0").endswith(b";"):  # Pillow reads the first frame alone
            _truncated()
        return size

    return probe


_PROBES: dict[str, Callable[[bytes, int], tuple[int, int]]] = {
    "png": _probe_png,
    "jpg": _probe_jpeg,
    "webp": _probe_webp,
    **{name: _probe_with_pillow(name) for name in _PILLOW_NAMES},
}


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width < 1 or height < 1:
        _damaged()
    if width * height > max_pixels:
        megapixels, allowed = width * height / 1e6, max_pixels / 1e6
        _reject(
            "too_many_pixels",
            f"the image has {width} x {height} = {megapixels:.1f} megapixels, more than the {allowed:g} allowed",
        )


def _truncated() -> NoReturn:
    _reject("truncated", "the image is truncated: its end is missing")


def _damaged() -> NoReturn:
    _reject("damaged", "the image is damaged and cannot be read")


def _reject(reason: RejectionReason, message: str) -> NoReturn:
    raise ImageRejected(reason, message)


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


def _listed(names: Sequence[str]) -> str:
    shown = [name.upper() for name in names if name != "jpg"]
    return f"{', '.join(shown[:-1])} or {shown[-1]}" if len(shown) > 1 else shown[0]
