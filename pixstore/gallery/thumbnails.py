"""
Decodes an image once, for its thumbnail, the size at which it is shown, and the facts of the photo.

Pillow makes thumbnails in memory. A picture with transparency becomes a WebP, any other a JPEG. The
orientation is applied, colours are converted to sRGB, and no metadata (place, camera, comment) is copied.
Imports the core's ``formats``, ``decoding`` and ``errors``, ``photo_facts``, and Pillow.
"""

import io
from contextlib import AbstractContextManager
from typing import NamedTuple

from PIL import Image, ImageCms, ImageFile, ImageOps

from pixstore import decoding
from pixstore.errors import ImageRejected
from pixstore.formats import InspectedImage
from pixstore.gallery.photo_facts import PhotoFacts, read_facts

_PILLOW_NAMES = decoding.PILLOW_NAMES
_ORIENTATION = 0x0112
_LYING = {5, 6, 7, 8}  # orientations that swap width and height
_JPEG_OPTIONS = {"quality": 82, "optimize": True, "progressive": True}
_WEBP_OPTIONS = {"quality": 80, "method": 4}
_PIECE_WIDTH, _PIECE_PIXELS = 4096, 2**20  # of the piece that is converted at a time
_MOST_TAGS = 100  # of a colour profile; the library that applies profiles reads no more
_SRGB = ImageCms.createProfile("sRGB")


class DecodedPicture(NamedTuple):
    """A thumbnail, the size of the *original* after its orientation is applied, and the facts of the photo."""

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
        # The decoder may find a larger image than the header told.
        if source.width * source.height > max_pixels:
            raise ImageRejected("too_many_pixels", "the image has more pixels than allowed")
        with decoding.room_for(source, image.data):
            exif = decoding.read_exif(source)
            # Pillow applies the orientation of a TIFF when it opens the file.
            orientation = 1 if source.format == "TIFF" else exif.get(_ORIENTATION)
            width, height = source.size if orientation not in _LYING else (source.height, source.width)
            thumbnail = _encode(_shrink(source, box, orientation))
            return DecodedPicture(thumbnail, width, height, read_facts(exif))


def read_photo_facts(image: InspectedImage) -> PhotoFacts:
    """
    Return the facts of the photo in *image*, without making a thumbnail.

    Raises:
        ImageRejected: If it cannot be opened.
    """
    with _opened(image) as source, decoding.room_for(source, image.data):
        return read_facts(decoding.read_exif(source))


def _opened(image: InspectedImage) -> AbstractContextManager[ImageFile.ImageFile]:
    return decoding.opened(image.data, _PILLOW_NAMES[image.format])


def _shrink(image: ImageFile.ImageFile, box: int, orientation: object = 1) -> Image.Image:
    """Return *image* scaled to fit a square of *box* pixels, with its orientation applied, in sRGB."""
    profile = image.info.get("icc_profile")
    small = _fitted(image, box)
    small.getexif()[_ORIENTATION] = orientation
    return _in_srgb(ImageOps.exif_transpose(small), profile)


def _fitted(image: ImageFile.ImageFile, box: int) -> Image.Image:
    """Return *image* in a plain mode, scaled down to fit a square of *box* pixels. It is never enlarged."""
    scale = min(1, box / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    # A JPEG is decoded at a fraction of its size, so a 12-megapixel photo is never in memory as a whole. One and a half times
    # the size of the thumbnail is enough for a sharp one. Twice the size would mean the next larger fraction for most photos.
    image.draft(None, (size[0] * 3 // 2, size[1] * 3 // 2))
    by = max(1, max(image.size) // (2 * box))
    source = (0, 0, image.width / by, image.height / by)
    small = _divided(image, by).resize(size, Image.Resampling.LANCZOS, source)
    small.info.clear()  # of the original: it may be broken
    return small


def _divided(image: ImageFile.ImageFile, by: int) -> Image.Image:
    """
    Return *image* in a plain mode and *by* times smaller.

    It works piece by piece. Converting the whole image would hold it in memory two or three times.
    """
    if by == 1 and image.width * image.height <= _PIECE_PIXELS:
        return _in_a_plain_mode(image)
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
    if profile and image.mode in {"RGB", "RGBA", "CMYK"} and _is_quickly_applied(profile):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, _SRGB, outputMode=target)
        except (ImageCms.PyCMSError, OSError):
            pass  # ignore a broken profile, as browsers do
        else:
            return converted if converted is not None else image
    return image.convert(target)


def _is_quickly_applied(profile: bytes) -> bool:
    """
    Tell whether *profile* converts by curves, a matrix and one table, as screens and cameras do.

    Other profiles list their steps one by one (ICC.1, 9.2.19 and 10.16), and may list the same step a million
    times. Browsers ignore such lists, too.
    """
    names = {profile[at : at + 3] for at in range(132, min(132 + 12 * _MOST_TAGS, len(profile)), 12)}
    return names.isdisjoint((b"D2B", b"B2D"))


def _encode(image: Image.Image) -> InspectedImage:
    image.info.clear()  # Pillow would copy a comment or a profile from there
    out = io.BytesIO()
    if image.mode == "RGBA" and image.getchannel("A").getextrema() != (255, 255):
        image.save(out, "WEBP", **_WEBP_OPTIONS)
        return InspectedImage(out.getvalue(), "webp", *image.size)
    image.convert("RGB").save(out, "JPEG", **_JPEG_OPTIONS)
    return InspectedImage(out.getvalue(), "jpg", *image.size)
