"""
Decodes images, and limits the memory that decoding takes.

Imports ``structure``, ``room``, ``errors``, and Pillow.

A file of a few hundred bytes can take gigabytes and minutes to decode, even within limits on its size and
pixels. Formats differ: a hundred million pixels take 40 MB as one JPEG, and 1,600 MB as a WebP. So the memory
is computed from the header, before a pixel is decoded, and an image that needs too much is refused. All
images that a process decodes at the same time share one such limit: an image that does not fit beside the
others waits for its turn.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from pixstore.errors import ImageRejected
from pixstore.room import Room
from pixstore.structure import damaged, jpeg, png, truncated

MAX_MEMORY = 420_000_000
"""Most memory that decoding may take in this process, in bytes."""

_ROW = 8
"""Bytes of the address that Pillow keeps for each row. In a picture of one column, that is most of the memory."""

_SMALL_PIXELS = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2}
"""Bytes of a pixel in memory, by mode. Every other mode has four."""

_DECODER = {"WEBP": 12, "AVIF": 12, "GIF": 2, "TIFF": 4}
"""Bytes per pixel that a format's decoder needs in addition to the image (canvases, planes, strips), measured."""

_TABLE, _LEAST_TABLE_BITS, _MOST_TABLES = 5_500, 20, 2**16
"""Of lossless WebP: bytes of a set of code tables in memory (measured), its least bits in the file, most sets."""

_SEVERAL_SCANS = "pixstore_several_scans"
"""The key in ``image.info`` under which this module notes that a JPEG has several scans."""

# Pillow allocates an image in blocks of 16 MB. The C library would keep such blocks after use, separately for
# each thread. It returns blocks larger than 32 MB to the system at once.
Image.core.set_block_size(64 * 2**20)  # type: ignore[attr-defined] # documented, not exported

# Pillow warns about each oddity of a file. A file may have thousands of them, which would fill the log.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

PILLOW_NAMES = {
    "png": "PNG",
    "webp": "WEBP",
    "jpg": "JPEG",
    "gif": "GIF",
    "avif": "AVIF",
    "bmp": "BMP",
    "tiff": "TIFF",
}


def open_image(data: bytes, pillow_name: str) -> ImageFile.ImageFile:
    """
    Return the image *data*, of which only the header has been read.

    This does not call ``Image.open``, whose pixel limit belongs to the whole process and only warns; each
    store has a limit of its own. Of a PNG or a JPEG, Pillow gets only the parts that make the picture: it
    would read the others in Python, in places byte by byte.
    """
    Image.init()
    exif, has_several_scans = None, False
    if pillow_name == "JPEG":
        head = jpeg.read_head(data)
        has_several_scans = head.several_scans
        exif, data = data[head.exif.start : head.exif.end], jpeg.for_decoder(data, head)
    elif pillow_name == "PNG":
        chunks = png.read(data, check=False)
        exif, data = data[chunks.exif.start : chunks.exif.end], png.for_decoder(data, chunks)
    image: ImageFile.ImageFile = Image.OPEN[pillow_name][0](io.BytesIO(data), "")
    if exif is not None:
        image.info["exif"] = exif
    image.info[_SEVERAL_SCANS] = has_several_scans
    image.info.pop("xmp", None)  # browsers ignore an orientation in XMP
    # Read the file in one piece. Between smaller pieces, Pillow copies unused bytes again and again.
    image.decodermaxblock = len(data)
    return image


@contextmanager
def opened(data: bytes, pillow_name: str) -> Iterator[ImageFile.ImageFile]:
    """
    Yield the image *data*, opened.

    Raises:
        ImageRejected: In place of every error that Pillow raises, also inside the ``with`` block.
    """
    try:
        with open_image(data, pillow_name) as image:
            yield image
    except ImageRejected:
        raise
    except EOFError as error:
        raise truncated() from error
    except Exception as error:
        # Decoders raise all kinds on hostile bytes: OSError, SyntaxError, ValueError, IndexError, …
        raise (truncated() if "truncated" in str(error) else damaged()) from error


def read_exif(image: ImageFile.ImageFile) -> Image.Exif:
    """Return the EXIF of an opened *image*, or an empty one if the metadata is broken."""
    try:
        return image.getexif()
    except Exception:  # noqa: BLE001 - Pillow raises all kinds on broken metadata
        return Image.Exif()


@contextmanager
def room_for(image: ImageFile.ImageFile, data: bytes) -> Iterator[None]:
    """
    Wait until there is memory to decode *image*, and hold that memory. *data* is its file.

    Raises:
        ImageRejected: If the image takes more than ``MAX_MEMORY``.
    """
    need = memory_needed(image)
    if need > MAX_MEMORY:
        raise ImageRejected(
            "too_costly",
            f"decoding the image would take {need / 1e6:.0f} MB of memory, more than the {MAX_MEMORY / 1e6:.0f} allowed",
        )
    with _room.held(min(need + _tables_at_most(image, data), MAX_MEMORY)):
        yield


def memory_needed(image: ImageFile.ImageFile) -> int:
    """Return an upper estimate of the bytes that decoding *image* takes."""
    pixels = image.width * image.height
    rows = image.height * _ROW
    if isinstance(image, JpegImageFile) and image.info[_SEVERAL_SCANS]:
        return round(pixels * _coefficient_bytes(image)) + rows
    return pixels * (_DECODER.get(image.format or "", 0) + _SMALL_PIXELS.get(image.mode, 4)) + rows


def _tables_at_most(image: ImageFile.ImageFile, data: bytes) -> int:
    """
    Return how many bytes of code tables a WebP may need in addition to its pixels.

    A lossless WebP may have other tables for each 4 x 4 pixels, and only decoding shows how many it has.
    Encoders write few. An image that could need many is not refused; it is decoded while no other image is.
    """
    if image.format != "WEBP" or data.startswith(b"VP8 ", 12):
        return 0
    blocks = -(-image.width // 4) * -(-image.height // 4)
    return min(blocks, _MOST_TABLES, len(data) * 8 // _LEAST_TABLE_BITS) * _TABLE


def _coefficient_bytes(image: JpegImageFile) -> float:
    """
    Return the bytes per pixel of a JPEG with several scans.

    Until the last scan, each coefficient takes two bytes.
    """
    areas = [across * down for _, across, down, _ in image.layer]
    return 2 * sum(areas) / max(*areas, 1)


_room = Room(MAX_MEMORY)
