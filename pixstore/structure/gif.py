"""
GIF (version 89a): a header, then blocks up to the trailer, each made of pieces of up to 255 bytes.

Some encoders leave a zero between blocks. Any other byte in the place of a block ends the walk, and the bytes
after it are ignored.
"""

from pixstore.structure import Parts, damaged, truncated

_LEAST_PIECE = 32
_IMAGE, _EXTENSION, _NOTHING = 0x2C, 0x21, 0


def read(data: bytes) -> tuple[int, int]:
    """
    Walk to the trailer and return width and height in pixels.

    Raises:
        ImageRejected: If there is no picture, or the end of the file is missing.
    """
    if len(data) < 13:
        raise truncated()
    parts, has_pixels = Parts(len(data), least=_LEAST_PIECE), False
    position = 13 + _palette_size(data[10])
    while position < len(data):
        parts.count()
        kind = data[position]
        if kind == _NOTHING:
            position += 1
        elif kind in (_IMAGE, _EXTENSION):
            has_pixels |= kind == _IMAGE
            position = _end_of_block(data, position, parts)
        elif has_pixels:
            return int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
        else:
            raise damaged()
    raise truncated()


def _end_of_block(data: bytes, position: int, parts: Parts) -> int:
    """Return the end of the block at *position*: the position behind its empty last piece."""
    if data[position] == _IMAGE:
        if position + 10 > len(data):
            raise truncated()
        position += 11 + _palette_size(data[position + 9])
    else:
        position += 2
    while position < len(data) and data[position]:
        parts.count()
        position += 1 + data[position]
    return position + 1


def _palette_size(flags: int) -> int:
    return 3 << (1 + (flags & 7)) if flags & 0x80 else 0
