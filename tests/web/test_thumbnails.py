"""Thumbnails, made of bytes."""

import io
import random
import zlib

import pytest
from PIL import Image, ImageChops, ImageCms, ImageDraw, ImageFile, ImageStat, PngImagePlugin

from pixstore import decoding, formats
from pixstore.errors import ImageRejected
from pixstore.formats import ImageLimits, InspectedImage
from pixstore.gallery.thumbnails import decode
from tests import images

EVERYTHING = ImageLimits(formats=("png", "webp", "jpg", "jpeg", "gif", "avif", "bmp", "tiff"))
RED, BLUE = (255, 0, 0), (0, 0, 255)


def decoded(data, *, limits=EVERYTHING, box=100):
    """Return what becomes of *data* when it is uploaded: inspected, then decoded."""
    return decode(formats.inspect(data, limits), max_pixels=limits.max_pixels, box=box)


def thumbnail_of(data, *, box=100):
    """Return the thumbnail of *data*."""
    return decoded(data, box=box).thumbnail


def opened(thumbnail):
    """Return the decoded thumbnail."""
    return Image.open(io.BytesIO(thumbnail.data))


def corner_marked(width=400, height=300, mode="RGB"):
    """Return a blue image with a red upper left quarter."""
    image = Image.new("RGB", (width, height), BLUE)
    ImageDraw.Draw(image).rectangle((0, 0, width // 2, height // 2), fill=RED)
    return image.convert(mode)


def encoded(image, image_format, **options):
    """Return *image* as a file."""
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def is_red(pixel):
    """Tell whether a decoded pixel was red."""
    return pixel[0] > 180 and pixel[2] < 80


@pytest.mark.parametrize(
    ("orientation", "size", "corner"),
    (
        (1, (100, 75), (0, 0)),
        (2, (100, 75), (1, 0)),
        (3, (100, 75), (1, 1)),
        (4, (100, 75), (0, 1)),
        (5, (75, 100), (0, 0)),
        (6, (75, 100), (1, 0)),
        (7, (75, 100), (1, 1)),
        (8, (75, 100), (0, 1)),
    ),
    ids=str,
)
@pytest.mark.parametrize("image_format", ("JPEG", "PNG", "WEBP", "TIFF"))
def test_orientation_is_applied(image_format, orientation, size, corner):
    """However the camera was held, the thumbnail is upright, and so is the size that is told of the original."""
    exif = Image.Exif()
    exif[0x0112] = orientation

    picture = decoded(encoded(corner_marked(), image_format, exif=exif))

    shown = opened(picture.thumbnail).convert("RGB")
    assert shown.size == size
    assert (picture.width, picture.height) == (4 * size[0], 4 * size[1])
    places = {
        (x, y): ((1 + 2 * x) * size[0] // 4, (1 + 2 * y) * size[1] // 4) for x in (0, 1) for y in (0, 1)
    }
    assert [place for place, at in places.items() if is_red(shown.getpixel(at))] == [corner]


@pytest.mark.parametrize(
    ("size", "expected"),
    (
        ((400, 300), (100, 75)),
        ((300, 400), (75, 100)),
        ((50, 40), (50, 40)),
        ((5000, 1), (100, 1)),
        ((1, 1), (1, 1)),
    ),
    ids=str,
)
def test_thumbnail_fits_the_box_and_is_never_enlarged(size, expected):
    """The longer side is at most the box, the ratio stays, and small pictures stay as they are."""
    data = encoded(Image.new("RGB", size, BLUE), "PNG")

    assert opened(thumbnail_of(data)).size == expected


@pytest.mark.parametrize("mode", ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"))
def test_every_kind_of_png(mode):
    """Black and white, grey, palette, transparent and deep PNGs all have a thumbnail."""
    image = Image.new("I;16", (40, 30), 40_000) if mode == "I;16" else corner_marked(40, 30, mode)

    shown = opened(thumbnail_of(encoded(image, "PNG"))).convert("RGB")

    assert shown.size == (40, 30)
    if mode == "I;16":
        assert abs(shown.getpixel((5, 5))[0] - 40_000 // 256) < 4


@pytest.mark.parametrize(
    "make", (images.gif, images.bmp, images.tiff, images.avif, images.webp), ids=lambda make: make.__name__
)
def test_every_format(make):
    """Each format that can be configured has a thumbnail in one that every browser shows."""
    assert opened(thumbnail_of(make())).format == "JPEG"


def test_print_colours():
    """A JPEG in CMYK becomes one that looks alike in RGB."""
    shown = opened(thumbnail_of(encoded(corner_marked(mode="CMYK"), "JPEG")))

    assert shown.mode == "RGB"
    assert is_red(shown.getpixel((10, 10)))


def test_transparency_is_kept_where_there_is_some():
    """A picture one can look through stays so; an alpha channel that is opaque throughout costs nothing."""
    clear, opaque = Image.new("RGBA", (40, 30), (255, 0, 0, 0)), Image.new("RGBA", (40, 30), (255, 0, 0, 255))

    assert opened(thumbnail_of(encoded(clear, "PNG"))).convert("RGBA").getpixel((5, 5))[3] == 0
    assert opened(thumbnail_of(encoded(opaque, "PNG"))).format == "JPEG"


def test_metadata_is_left_behind():
    """Place, camera, comment, text and profile of the original are not in the thumbnail."""
    exif = Image.Exif()
    exif[0x010E] = "secret description"
    exif.get_ifd(0x8825)[1] = "N"
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "secret text")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = corner_marked()

    for data in (
        encoded(image, "JPEG", exif=exif, comment=b"secret comment", icc_profile=profile),
        encoded(image, "PNG", exif=exif, pnginfo=text, icc_profile=profile),
        encoded(
            image.convert("RGBA"), "WEBP", exif=exif, icc_profile=profile, xmp=b"secret packet", lossless=True
        ),
    ):
        thumbnail = thumbnail_of(data)
        assert b"secret" not in thumbnail.data
        assert not opened(thumbnail).getexif()
        assert "icc_profile" not in opened(thumbnail).info


def test_colours_of_a_profile_are_converted():
    """Numbers that mean other colours are turned into those of sRGB, which all screens assume."""
    data = encoded(Image.new("RGB", (40, 30), RED), "PNG", icc_profile=profile_with_red_and_blue_swapped())

    red, _, blue = opened(thumbnail_of(data)).getpixel((5, 5))

    assert blue > 200
    assert red < 60


def test_broken_profile_is_ignored():
    """Where the profile is none, the numbers are taken as they are, as browsers do."""
    data = encoded(Image.new("RGB", (40, 30), RED), "PNG", icc_profile=b"no profile")

    assert is_red(opened(thumbnail_of(data)).getpixel((5, 5)))


def profile_with_red_and_blue_swapped():
    """Return an ICC profile in which a red number means blue light."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(profile[128:132], "big")
    names = {b"rXYZ": b"bXYZ", b"bXYZ": b"rXYZ"}
    for at in range(132, 132 + 12 * count, 12):
        name = bytes(profile[at : at + 4])
        profile[at : at + 4] = names.get(name, name)
    return bytes(profile)


def test_thumbnail_of_a_large_photo_is_small():
    """A photo of 12 megapixels has a thumbnail of some ten kilobytes."""
    thumbnail = thumbnail_of(images.photo(width=4000, height=3000), box=512)

    assert opened(thumbnail).size == (512, 384)
    assert len(thumbnail.data) < 100_000


@pytest.mark.parametrize(
    "spoil",
    (
        lambda data: data[: len(data) // 2],
        lambda data: data.replace(b"IDAT", b"IDAX"),
        lambda data: data[:60] + bytes(40) + data[100:],
        lambda data: b"GIF89a" + data,
        lambda _: b"II*\0" + bytes(100),
        lambda _: b"BM" + bytes(100),
        lambda _: b"\0\0\0\x20ftypavif" + bytes(100),
        lambda _: images.pixel_bomb(),
        lambda _: b"",
    ),
    ids=("half", "no pixels", "zeros", "gif", "tiff", "bmp", "avif", "bomb", "empty"),
)
def test_damaged_images_are_refused(spoil):
    """Whatever a decoder says of hostile bytes, the answer is that the image is refused."""
    with pytest.raises(ImageRejected):
        decoded(spoil(images.png(size_kb=4)))


def test_pixel_limit_is_the_stores():
    """More pixels than the store allows are refused before they are decoded, and Pillow's own limit is not in the way."""
    data = encoded(Image.new("1", (400, 300)), "PNG")

    with pytest.raises(ImageRejected) as refusal:
        decoded(data, limits=EVERYTHING._replace(max_pixels=100_000))
    assert refusal.value.reason == "too_many_pixels"


def test_decoder_that_sees_more_pixels_is_stopped():
    """An image that was inspected under another limit is refused by the one it is decoded under."""
    image = formats.inspect(encoded(Image.new("1", (400, 300)), "PNG"), EVERYTHING)

    with pytest.raises(ImageRejected) as refusal:
        decode(image, max_pixels=100_000, box=100)
    assert refusal.value.reason == "too_many_pixels"


@pytest.mark.parametrize("mode", ("RGB", "RGBA"))
def test_thumbnail_is_what_it_is_told_to_be(mode):
    """What is said of a thumbnail, which goes into the store uninspected, is what an inspection finds."""
    clear = Image.new("RGBA", (300, 200), (255, 0, 0, 100))

    thumbnail = thumbnail_of(encoded(clear.convert(mode), "PNG"))

    assert thumbnail == formats.inspect(thumbnail.data, EVERYTHING)


@pytest.mark.parametrize(
    "make", (images.png, images.jpeg, images.webp, images.gif, images.tiff), ids=lambda make: make.__name__
)
def test_what_is_too_costly_is_refused_before_a_pixel_is_decoded(make, monkeypatch):
    """Nothing of an image is decoded before there is memory for it, its metadata included."""
    loaded = []

    def load(image):
        loaded.append(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    monkeypatch.setattr(decoding, "MAX_MEMORY", 100)
    image = InspectedImage(make(), make.__name__.replace("jpeg", "jpg"), 16, 12)

    with pytest.raises(ImageRejected) as refusal:
        decode(image, max_pixels=EVERYTHING.max_pixels, box=100)

    assert refusal.value.reason == "too_costly"
    assert loaded == []


def test_pixels_that_cannot_be_decoded_are_refused():
    """A PNG that is whole, with good checksums, but holds no picture, is refused and not taken for a black one."""
    data = bytearray(images.png(size_kb=4))
    at = data.index(b"IDAT") + 4
    length = int.from_bytes(data[at - 8 : at - 4], "big")
    data[at : at + length] = bytes(length)
    data[at + length : at + length + 4] = zlib.crc32(data[at - 4 : at + length]).to_bytes(4, "big")

    with pytest.raises(ImageRejected) as refusal:
        decoded(bytes(data))
    assert refusal.value.reason == "damaged"


@pytest.mark.parametrize("mode", ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"))
def test_large_images_are_made_small_piece_by_piece(mode):
    """A picture that is converted in many pieces looks as one that was converted whole."""
    whole = Image.linear_gradient("L").resize((4500, 1500)).convert("L")
    image = Image.new("I;16", whole.size) if mode == "I;16" else whole.convert(mode)
    if mode == "I;16":
        image.paste(whole.convert("I").point(lambda value: value * 256).convert("I;16"))

    shown = opened(thumbnail_of(encoded(image, "PNG"))).convert("L")

    expected = whole.resize(shown.size)
    assert shown.size == (100, 33)
    assert max(abs(a - b) for a, b in zip(shown.tobytes(), expected.tobytes(), strict=True)) < 12


@pytest.mark.parametrize(
    "size", ((4000, 3000), (6000, 4000), (1600, 1200), (800, 600), (1535, 1000)), ids=str
)
def test_thumbnail_of_a_photo_is_sharp(size):
    """A thumbnail comes close to the photo decoded whole and made small, however large the photo is; half as sharp is not close."""
    grain = Image.frombytes("L", (200, 150), random.Random(0).randbytes(200 * 150))
    data = encoded(grain.resize(size, Image.Resampling.BICUBIC), "JPEG", quality=90)

    thumbnail = opened(thumbnail_of(data, box=512)).convert("L")

    best = Image.open(io.BytesIO(data)).resize(thumbnail.size, Image.Resampling.LANCZOS)
    half = best.resize((thumbnail.width // 2, thumbnail.height // 2), Image.Resampling.LANCZOS).resize(
        best.size
    )
    assert difference(thumbnail, best) < difference(half, best) / 3


def difference(one, other):
    """Return how far two pictures are apart, as the root of the mean square."""
    return ImageStat.Stat(ImageChops.difference(one, other)).rms[0]
