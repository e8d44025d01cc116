"""
What decoding an image may cost. Imports only ``errors``, and Pillow.

A file of a few hundred bytes can ask for gigabytes and minutes within any limit on its size and its pixels, because formats
differ: the same hundred million pixels take 40 MB as one JPEG, and 1,600 MB as a WebP. So the memory is worked out from
what the header says, before a pixel is decoded, and refused where it is too much. What is being decoded at the same time
shares one such amount for the whole process: an image that does not fit beside the others waits for its turn.
"""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from pixstore.errors import ImageRejected

MAX_MEMORY = 420_000_000
"""What decoding may take, in bytes."""

_ROW = 8
"""Pillow keeps the address of each row: what a picture of one column is made of, mostly."""

_SMALL_PIXELS = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2}
"""Bytes of a pixel in memory by mode. In every other mode it has four."""

_DECODER = {"WEBP": 12, "AVIF": 12, "GIF": 2, "TIFF": 4}
"""Bytes of a pixel that the decoder of a format keeps of its own beside the image: canvases, planes, strips; measured."""

# Pillow takes the memory of an image in blocks of 16 MB, which the C library would keep after use, for each thread its own.
# What is larger than 32 MB it gives back to the system at once.
Image.core.set_block_size(64 * 2**20)  # type: ignore[attr-defined] # documented, not exported

_JPEG_SCAN = b"\xff\xda"


def open_image(data: bytes, pillow_name: str) -> ImageFile.ImageFile:
    """
    Return the image *data*, of which only the header has been read.

    Not ``Image.open``: its pixel limit is a setting of the whole process and only warns; ours is the store's.
    """
    Image.init()
    return Image.OPEN[pillow_name][0](io.BytesIO(data), "")


@contextmanager
def room_for(image: ImageFile.ImageFile, data: bytes) -> Iterator[None]:
    """
    Wait until there is memory to decode *image*, which is *data*, and hold it.

    Raises:
        ImageRejected: If it takes more than there may ever be.
    """
    need = memory_needed(image, data)
    if need > MAX_MEMORY:
        raise ImageRejected(
            "too_costly",
            f"decoding the image would take {need / 1e6:.0f} MB of memory, more than the {MAX_MEMORY / 1e6:.0f} allowed",
        )
    with _room.held(need):
        yield


def memory_needed(image: ImageFile.ImageFile, data: bytes) -> int:
    """Return about how many bytes decoding *image* takes: rather too many than too few."""
    pixels = image.width * image.height
    rows = image.height * _ROW
    if isinstance(image, JpegImageFile) and data.count(_JPEG_SCAN) > 1:
        return round(pixels * _coefficient_bytes(image)) + rows
    return pixels * (_DECODER.get(image.format or "", 0) + _SMALL_PIXELS.get(image.mode, 4)) + rows


def _coefficient_bytes(image: JpegImageFile) -> float:
    """Return what a pixel of a JPEG of several scans takes: two bytes for each of its coefficients, until the last scan."""
    areas = [across * down for _, across, down, _ in image.layer]
    return 2 * sum(areas) / max(*areas, 1)


class _Room:
    """An amount that several threads share, first come, first served: a large one is not overtaken for ever."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._turn = threading.Lock()
        self._change = threading.Condition()

    @contextmanager
    def held(self, amount: int) -> Iterator[None]:
        """Wait for so much, and hold it."""
        with self._turn, self._change:
            self._change.wait_for(lambda: self._free >= amount)
            self._free -= amount
        try:
            yield
        finally:
            with self._change:
                self._free += amount
                self._change.notify()


_room = _Room(MAX_MEMORY)
