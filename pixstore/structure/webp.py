"""
WebP (RFC 9649, section 2), read in the same way as libwebp, which browsers use.

A file is a RIFF container: a row of chunks, each with kind, length, data and a byte of padding where the
length is odd. Bytes behind the container are ignored.
"""

import struct
from typing import NamedTuple

from pixstore.structure import Parts, Span, damaged, truncated

_LEAST_CHUNK, _LEAST_FILE = 128, 20
_PIXELS = frozenset({b"VP8 ", b"VP8L", b"ANMF"})
_ANIMATED = 0x02
_NO_SPAN = Span(0, 0)


class WebP(NamedTuple):
    """The size of a WebP, and where its EXIF lies."""

    width: int
    height: int
    exif: Span


def read(data: bytes) -> WebP:
    """
    Read the chunks of *data*.

    Raises:
        ImageRejected: If no browser could show the picture, or its end is missing.
    """
    end = 8 + int.from_bytes(data[4:8], "little")
    if len(data) < max(end, _LEAST_FILE):
        raise truncated()
    width, height = _size(data)
    parts, position, first, exif = Parts(len(data), least=_LEAST_CHUNK), 12, _NO_SPAN, _NO_SPAN
    while position + 8 <= end:
        parts.count()
        kind, length = struct.unpack_from("<4sI", data, position)
        body = Span(position + 8, position + 8 + length)
        if kind in _PIXELS and length > 0 and first is _NO_SPAN:
            first = Span(position, body.end)
        elif kind == b"EXIF" and exif is _NO_SPAN:
            exif = body
        position = body.end + length % 2
    if first is _NO_SPAN or position > end + 1:  # the padding of the last chunk may be left out
        raise damaged()
    if data[12:16] == b"VP8X" and not data[20] & _ANIMATED and _size_at(data, first.start) != (width, height):
        raise damaged()
    return WebP(width, height, exif)


def _size(data: bytes) -> tuple[int, int]:
    """Return the width and height of the canvas, which the first chunk holds."""
    if data[12:16] == b"VP8X":
        if data[16:20] != b"\x0a\0\0\0":
            raise damaged()
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    return _size_at(data, 12)


def _size_at(data: bytes, position: int) -> tuple[int, int]:
    """Return the size of the picture whose chunk begins at *position*."""
    kind, body = data[position : position + 4], data[position + 8 : position + 18]
    if kind == b"VP8L" and body[:1] == b"\x2f":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a" and len(body) == 10:
        width, height = struct.unpack_from("<HH", body, 6)
        return width & 0x3FFF, height & 0x3FFF
    raise damaged()
