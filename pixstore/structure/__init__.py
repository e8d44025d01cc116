"""
The structure of image files: what each part is, and where the picture ends. Pure: bytes in, values out; imports ``errors``.

Nothing is decoded here. Each format has a module, which walks a file from part to part (segment, chunk,
block) and checks what browsers check. So a file is accepted if browsers show it whole, and refused otherwise.
A module's ``for_decoder`` returns the file with only the parts that make the picture, so the decoder never
sees the rest.

A hostile file may be built to cost time. So a walk takes one step of Python for each part, never one for each
byte: ``re`` and ``bytes.find`` search the bytes between parts. ``Parts`` counts the parts, and ends the walk
if there are more of them than programs write.
"""

from typing import NamedTuple

from pixstore.errors import ImageRejected

FEW = 5_000
"""The number of parts that every file may have, however small it is."""


class Span(NamedTuple):
    """The place of some bytes in a file."""

    start: int
    end: int


class Parts:
    """
    Counts the parts of a file.

    The limit is *few*, plus one part for each *least* bytes of the file. Within it, a walk takes no longer
    than decoding a photo of that size.
    """

    def __init__(self, size: int, *, least: int, few: int = FEW) -> None:
        self._left = self._most = few + size // least

    def count(self, number: int = 1) -> None:
        """
        Count *number* parts.

        Raises:
            ImageRejected: If the file has too many parts.
        """
        self._left -= number
        if self._left < 0:
            raise too_costly(f"the image is made of more than {self._most} parts")


def truncated() -> ImageRejected:
    """Return the error for a file that ends too early."""
    return ImageRejected("truncated", "the image is truncated: its end is missing")


def damaged() -> ImageRejected:
    """Return the error for a file that no browser shows."""
    return ImageRejected("damaged", "the image is damaged and cannot be read")


def too_costly(message: str) -> ImageRejected:
    """Return the error for a file that would take too much time or memory to decode."""
    return ImageRejected("too_costly", message)


def joined(data: bytes, spans: tuple[Span, ...]) -> bytes:
    """Return the bytes of *data* in *spans*, one after the other."""
    view = memoryview(data)
    return b"".join([view[span.start : span.end] for span in spans])
