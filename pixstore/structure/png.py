"""
PNG (third edition, section 5), read in the same way as browsers read it.

A file is a row of chunks: length, kind, data, checksum. A kind that begins with a capital letter is needed to
show the picture. Of the other kinds, browsers ignore unknown and broken chunks, also those with a wrong
checksum.
"""

import struct
import zlib
from typing import NamedTuple

from pixstore.errors import ImageRejected
from pixstore.structure import Parts, Span, damaged, joined, truncated

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_LEAST_CHUNK = 128
"""Encoders write pixels in chunks of some kilobytes; small frames of an animation take a hundred bytes."""

_MAX_SIDE = 1_000_000
"""No browser shows a PNG that is wider or higher; each row costs time, however short it is."""

_MAX_PROFILE = 2**20
"""Bytes of an unpacked colour profile. A larger one is left out."""

_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""The possible bits per channel, by colour type."""

_LEAST_TRANSPARENCY = {0: 2, 2: 6, 3: 1}
_PALETTE = 3
_HINTS = frozenset({b"PLTE", b"tRNS", b"iCCP", b"eXIf"})
_ANIMATION = frozenset({b"acTL", b"fcTL", b"fdAT"})
_END = b"\0\0\0\0IEND\xaeB`\x82"


class Png(NamedTuple):
    """The parts that a decoder needs: header, palette and the like in *kept*, the packed pixels in *pixels*."""

    width: int
    height: int
    kept: tuple[Span, ...]
    pixels: tuple[Span, ...]
    exif: Span


class _Chunk(NamedTuple):
    kind: bytes
    body: Span

    @property
    def is_critical(self) -> bool:
        return not self.kind[0] & 0x20

    def has_sound_checksum(self, data: bytes) -> bool:
        covered = memoryview(data)[self.body.start - 4 : self.body.end]
        return zlib.crc32(covered) == int.from_bytes(data[self.body.end : self.body.end + 4], "big")


def read(data: bytes, *, check: bool = True) -> Png:
    """
    Read the chunks of *data*.

    Without *check*, the checksums of pixel chunks are not computed: they were checked before.

    Raises:
        ImageRejected: If no browser could show the picture, or its end is missing.
    """
    header = _header(data)
    reader = _Reader(data, header, check=check)
    parts, position = Parts(len(data), least=_LEAST_CHUNK), header.body.end + 4
    while True:
        parts.count()
        chunk = _chunk_at(data, position)
        position = chunk.body.end + 4
        if chunk.kind == b"IEND":
            return reader.finish(chunk)
        reader.take(chunk)


def for_decoder(data: bytes, png: Png) -> bytes:
    """Return *data* with only the parts that make the picture: one frame, with its pixels in one chunk."""
    head = joined(data, (Span(0, len(SIGNATURE)), *png.kept))
    pixels = joined(data, png.pixels)
    checksum = zlib.crc32(pixels, zlib.crc32(b"IDAT")).to_bytes(4, "big")
    return b"".join([head, struct.pack(">I4s", len(pixels), b"IDAT"), pixels, checksum, _END])


def _chunk_at(data: bytes, position: int) -> _Chunk:
    if position + 12 > len(data):
        raise truncated()
    length, kind = struct.unpack_from(">I4s", data, position)
    start = position + 8
    if start + length + 4 > len(data):
        raise truncated()
    return _Chunk(kind, Span(start, start + length))


def _header(data: bytes) -> _Chunk:
    """Return the first chunk, which must be a valid header."""
    chunk = _chunk_at(data, len(SIGNATURE))
    start, end = chunk.body
    if chunk.kind != b"IHDR" or end - start != 13 or not chunk.has_sound_checksum(data):
        raise damaged()
    width, height, depth, colour, packing, filtering, interlacing = struct.unpack_from(
        ">IIBBBBB", data, start
    )
    is_known = depth in _DEPTHS.get(colour, ()) and (packing, filtering) == (0, 0) and interlacing in (0, 1)
    if not is_known or width < 1 or height < 1:
        raise damaged()
    if max(width, height) > _MAX_SIDE:
        raise ImageRejected(
            "too_many_pixels",
            f"the image has {width} x {height} pixels, and no browser shows more than a million in a line",
        )
    return chunk


class _Reader:
    """The state of reading the chunks behind the header."""

    def __init__(self, data: bytes, header: _Chunk, *, check: bool) -> None:
        self._data, self._header, self._check = data, header, check
        self._width, self._height, _, self._colour = struct.unpack_from(">IIBB", data, header.body.start)
        self._kept = {b"IHDR": header}
        self._seen: set[bytes] = set()
        self._pixels: list[_Chunk] = []
        self._previous = b"IHDR"
        self._animation = _Animation(self._width, self._height)

    def take(self, chunk: _Chunk) -> None:
        """Read the next chunk."""
        kind = chunk.kind
        if kind == b"IDAT":
            self._take_pixels(chunk)
        elif kind in _ANIMATION:
            self._animation.take(self._data, chunk, is_before_pixels=not self._pixels)
        elif kind == b"IHDR" or (chunk.is_critical and kind != b"PLTE" and not self._pixels):
            raise damaged()
        elif not self._pixels:
            self._take_hint(chunk)
        self._previous = kind

    def finish(self, chunk: _Chunk) -> Png:
        """Return the result, once *chunk*, the end chunk, is reached."""
        if not self._pixels or not chunk.has_sound_checksum(self._data):
            raise damaged()
        self._animation.finish()
        kept = [self._kept[kind].body for kind in (b"IHDR", b"iCCP", b"PLTE", b"tRNS") if kind in self._kept]
        return Png(
            self._width,
            self._height,
            tuple(Span(body.start - 8, body.end + 4) for body in kept),
            tuple(chunk.body for chunk in self._pixels),
            self._kept[b"eXIf"].body if b"eXIf" in self._kept else Span(0, 0),
        )

    def _take_pixels(self, chunk: _Chunk) -> None:
        is_first = not self._pixels
        if is_first and self._colour == _PALETTE and b"PLTE" not in self._kept:
            raise damaged()
        if not is_first and self._previous != b"IDAT":  # the pixels must not be interrupted
            raise damaged()
        if self._check and not chunk.has_sound_checksum(self._data):
            raise damaged()
        self._pixels.append(chunk)

    def _take_hint(self, chunk: _Chunk) -> None:
        """Keep the first chunk of each kind that tells how to read the pixels, if it is sound."""
        kind, size = chunk.kind, chunk.body.end - chunk.body.start
        if kind not in _HINTS:
            return
        is_first = kind not in self._seen
        self._seen.add(kind)
        is_good = is_first and chunk.has_sound_checksum(self._data)
        if kind == b"PLTE":
            is_good &= 1 <= size // 3 <= 256
            if not is_good and self._colour not in (0, 4):
                raise damaged()
        elif kind == b"tRNS":
            is_good &= _LEAST_TRANSPARENCY.get(self._colour, size + 1) <= size <= 256
        elif kind == b"iCCP":
            is_good = is_good and self._has_small_profile(chunk)
        if is_good:
            self._kept[kind] = chunk

    def _has_small_profile(self, chunk: _Chunk) -> bool:
        """Tell whether the profile can be unpacked and is no larger than ``_MAX_PROFILE``."""
        name, _, packed = self._data[chunk.body.start : chunk.body.end].partition(b"\0")
        unpacker = zlib.decompressobj()
        try:
            unpacker.decompress(packed[1:], _MAX_PROFILE)
        except zlib.error:
            return False
        return bool(name) and packed[:1] == b"\0" and not unpacker.unconsumed_tail


class _Animation:
    """Checks the frames of an animated PNG. Browsers do not show the picture if the frames are not in order."""

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)
        self._is_animated = False
        self._frames = self._number = 0

    def take(self, data: bytes, chunk: _Chunk, *, is_before_pixels: bool) -> None:
        """Read a chunk of the animation."""
        start, end = chunk.body
        if chunk.kind == b"acTL":
            is_valid = end - start == 8 and int.from_bytes(data[start : start + 4], "big") > 0
            self._is_animated |= is_before_pixels and is_valid
        elif self._is_animated:
            self._take_frame(data, chunk)

    def finish(self) -> None:
        """Raise if there is an animation without frames."""
        if self._is_animated and not self._frames:
            raise damaged()

    def _take_frame(self, data: bytes, chunk: _Chunk) -> None:
        start, end = chunk.body
        is_control = chunk.kind == b"fcTL"
        if end - start < (26 if is_control else 4):
            raise damaged()
        if int.from_bytes(data[start : start + 4], "big") != self._number:
            raise damaged()
        self._number += 1
        if is_control:
            self._frames += 1
            width, height, left, top = struct.unpack_from(">4I", data, start + 4)
            if left + width > self._size[0] or top + height > self._size[1] or not width * height:
                raise damaged()
