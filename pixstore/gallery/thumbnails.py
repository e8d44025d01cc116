"""
Decoding an image, once: its thumbnail, the size at which it is shown, and what its file says of the photo.

Thumbnails are made in memory by Pillow, with nothing of the original but its pixels. JPEG and its kin become JPEG, pictures
with transparency WebP. Orientation is applied, colours are converted to sRGB, and metadata (place, camera, comment) is left
behind. Imports the core's ``formats``, ``decoding`` and ``errors``, ``photo_facts``, and Pillow.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from PIL import Image, ImageCms, ImageFile, ImageOps

from pixstore import decoding
from pixstore.errors import ImageRejected
from pixstore.formats import InspectedImage
from pixstore.gallery.photo_facts import PhotoFacts, read_facts

_PILLOW_NAMES = {
    "jpg": "JPEG",
    "png": "PNG",
    "webp": "WEBP",
    "gif": "GIF",
    "avif": "AVIF",
    "bmp": "BMP",
    "tiff": "TIFF",
}
_ORIENTATION = 0x0112
_LYING = {5, 6, 7, 8}  # the orientations that swap width and height
_JPEG_OPTIONS = {"quality": 82, "optimize": True, "progressive": True}
_WEBP_OPTIONS = {"quality": 80, "method": 4}
_PIECE_WIDTH, _PIECE_PIXELS = 4096, 2**20  # of what is converted at a time
_SRGB = ImageCms.createProfile("sRGB")


class DecodedPicture(NamedTuple):
    """A thumbnail, the size at which the *original* is shown (after orientation), and what its file says of the photo."""

    thumbnail: InspectedImage
    width: int
    height: int
    facts: PhotoFacts


def decode(image: InspectedImage, *, max_pixels: int, box: int) -> DecodedPicture:
    """
    Decode *image* and make a thumbnail that fits a square of *box* pixels.

    Raises:
        ImageRejected: If its pixels are too many or cannot be decoded.
    """
    with _opened(image) as source:
        # The decoder may see more than the header said.
        if source.width * source.height > max_pixels:
            raise ImageRejected("too_many_pixels", "the image has more pixels than allowed")
        with decoding.room_for(source, image.data):
            width, height = _shown_size(source)
            thumbnail = _encode(_shrink(source, box))
            # Afterwards: some formats are decoded to find their metadata, and broken metadata says nothing of the pixels.
            return DecodedPicture(thumbnail, width, height, read_facts(source))


def read_photo_facts(image: InspectedImage) -> PhotoFacts:
    """
    Return what the file of *image* says of the photo, without a thumbnail.

    Raises:
        ImageRejected: If it cannot be opened.
    """
    with _opened(image) as source, decoding.room_for(source, image.data):
        return read_facts(source)


@contextmanager
def _opened(image: InspectedImage) -> Iterator[ImageFile.ImageFile]:
    """Yield *image* opened by Pillow: only its header has been read. Whatever Pillow raises is told as damage."""
    try:
        with decoding.open_image(image.data, _PILLOW_NAMES[image.format]) as source:
            yield source
    except ImageRejected:
        raise
    except Exception as error:
        # Decoders raise all kinds on hostile bytes: OSError, SyntaxError, ValueError, IndexError, …
        raise ImageRejected("damaged", "the image is damaged and cannot be read") from error


def _shown_size(image: ImageFile.ImageFile) -> tuple[int, int]:
    # Pillow itself turns a TIFF upright while opening it.
    lying = image.format != "TIFF" and image.getexif().get(_ORIENTATION) in _LYING
    return (image.height, image.width) if lying else image.size


def _shrink(image: ImageFile.ImageFile, box: int) -> Image.Image:
    profile = image.info.get("icc_profile")
    small = _fitted(image, box)
    if _ORIENTATION in (exif := image.getexif()):
        small.getexif()[_ORIENTATION] = exif[_ORIENTATION]
    return _in_srgb(ImageOps.exif_transpose(small), profile)


def _fitted(image: ImageFile.ImageFile, box: int) -> Image.Image:
    """Return *image* so small that it fits a square of *box* pixels, never larger than it was, and in a plain mode."""
    scale = min(1, box / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    # A JPEG is decoded at a fraction of its size already, so a 12-megapixel photo never is in memory whole.
    image.draft(None, (2 * size[0], 2 * size[1]))
    by = max(1, max(image.size) // (2 * box))
    source = (0, 0, image.width / by, image.height / by)
    return _divided(image, by).resize(size, Image.Resampling.LANCZOS, source)


def _divided(image: ImageFile.ImageFile, by: int) -> Image.Image:
    """
    Return *image* in a plain mode and *by* times smaller.

    Piece by piece: if the whole were converted, it would be in memory two or three times.
    """
    across = max(by, _PIECE_WIDTH // by * by)
    down = max(by, _PIECE_PIXELS // min(across, image.width) // by * by)
    small: Image.Image | None = None
    for top in range(0, image.height, down):
        for left in range(0, image.width, across):
            right, bottom = min(left + across, image.width), min(top + down, image.height)
            piece = _in_a_plain_mode(image.crop((left, top, right, bottom))).reduce(by)
            small = small or Image.new(piece.mode, (-(-image.width // by), -(-image.height // by)))
            small.paste(piece, (left // by, top // by))
    if small is None:
        raise ValueError("an image without pixels")
    return small


def _in_a_plain_mode(image: Image.Image) -> Image.Image:
    if image.mode in {"RGB", "L", "CMYK", "RGBA", "LA"} and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):  # 16 bits a pixel
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    target = "RGBA" if image.has_transparency_data else "RGB"
    if profile and image.mode in {"RGB", "RGBA", "CMYK"}:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, _SRGB, outputMode=target)
        except (ImageCms.PyCMSError, OSError):
            pass  # a broken profile: show the numbers as they are, as browsers do
        else:
            return converted if converted is not None else image
    return image.convert(target)


def _encode(image: Image.Image) -> InspectedImage:
    image.info.clear()  # Pillow would write a comment or a profile it finds there
    out = io.BytesIO()
    if image.mode == "RGBA" and image.getchannel("A").getextrema() != (255, 255):
        image.save(out, "WEBP", **_WEBP_OPTIONS)
        return InspectedImage(out.getvalue(), "webp", *image.size)
    image.convert("RGB").save(out, "JPEG", **_JPEG_OPTIONS)
    return InspectedImage(out.getvalue(), "jpg", *image.size)
