"""Which images are accepted: every format, every reason to refuse one, and no other outcome for any bytes."""

import io
import struct
import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from pixstore import formats
from pixstore.errors import BlobFormatError, ImageRejected
from pixstore.formats import ImageLimits, inspect
from tests import images

ALL_FORMATS = ("png", "webp", "jpg", "jpeg", "gif", "avif", "bmp", "tiff")
EVERYTHING = ImageLimits(ALL_FORMATS)
SMALL = ImageLimits(ALL_FORMATS, max_bytes=2**16, max_pixels=10**6)

MAKERS = {
    "png": images.png,
    "webp": images.webp,
    "jpg": images.jpeg,
    "gif": images.gif,
    "avif": images.avif,
    "bmp": images.bmp,
    "tiff": images.tiff,
}


def _saved(mode="RGB", size=(40, 30), **options):
    buffer = io.BytesIO()
    Image.effect_noise(size, 80).convert(mode).save(buffer, **options)
    return buffer.getvalue()


def _rejected(data, limits=EVERYTHING):
    with pytest.raises(ImageRejected) as rejected:
        inspect(data, limits)
    return rejected.value


# --- what is accepted


@pytest.mark.parametrize("name", MAKERS)
def test_every_format_is_recognised_by_its_content(name):
    """Format, width and height come from the bytes."""
    assert inspect(MAKERS[name](width=31, height=17), EVERYTHING)[1:] == (name, 31, 17)


@pytest.mark.parametrize("name", ("png", "webp", "jpg"))
def test_png_webp_and_jpeg_are_accepted_by_default(name):
    """The formats of every store need no configuration."""
    assert inspect(MAKERS[name]()).format == name


@pytest.mark.parametrize(
    "data",
    (
        pytest.param(_saved("1", format="PNG"), id="PNG of one bit"),
        pytest.param(_saved("I;16", format="PNG"), id="PNG of 16 bits"),
        pytest.param(_saved("P", format="PNG", compress_level=0), id="PNG with palette"),
        pytest.param(images.png(alpha=True), id="PNG with alpha"),
        pytest.param(_saved("RGB", format="JPEG", progressive=True), id="progressive JPEG"),
        pytest.param(_saved("RGB", format="JPEG", restart_marker_blocks=1), id="JPEG with restart markers"),
        pytest.param(_saved("L", format="JPEG"), id="grey JPEG"),
        pytest.param(_saved("CMYK", format="JPEG"), id="CMYK JPEG"),
        pytest.param(_saved("RGB", format="JPEG", comment=b"\xff\xd9"), id="JPEG with an end in its comment"),
        pytest.param(images.photo(width=80, height=60, orientation=6), id="JPEG with EXIF"),
        pytest.param(images.jpeg() + bytes(100), id="JPEG with bytes behind its end"),
        pytest.param(b"\xff\xd8\xff\xff\xff" + images.jpeg()[3:], id="JPEG with fill bytes"),
        pytest.param(_saved("RGB", format="WEBP", lossless=True), id="lossless WebP"),
        pytest.param(_saved("RGBA", format="WEBP"), id="WebP with alpha"),
        pytest.param(_saved("RGB", format="WEBP", exif=Image.Exif().tobytes()), id="WebP with EXIF"),
    ),
)
def test_every_flavour_is_accepted(data):
    """What cameras, phones and editors write passes, with the size Pillow reads."""
    with Image.open(io.BytesIO(data)) as image:
        assert inspect(data)[2:] == image.size


def test_a_jpeg_of_two_pictures_is_a_jpeg():
    """Cameras append a second picture (MPO); the format stays JPEG."""
    second = Image.effect_noise((40, 30), 80)
    data = _saved("RGB", format="MPO", save_all=True, append_images=[second.convert("RGB")])

    assert inspect(data)[1:] == ("jpg", 40, 30)


def test_a_jpeg_marker_without_a_length_is_stepped_over():
    """Bare markers, which few programs write, lead to the next segment."""
    data = images.jpeg(width=31, height=17)

    assert inspect(data[:2] + b"\xff\x01" + data[2:])[1:] == ("jpg", 31, 17)


def test_orientation_does_not_change_the_size():
    """Width and height are those of the stored pixels, whichever way up they are shown."""
    data = images.photo(width=64, height=48, orientation=6)

    assert inspect(data)[1:] == ("jpg", 64, 48)
    assert images.pixels(data).size == (48, 64)


def test_an_animated_gif_is_accepted():
    """Several frames are one image."""
    assert inspect(images.gif(frames=3), EVERYTHING).format == "gif"


# --- what is refused, and why


def test_empty():
    """No bytes: said so."""
    assert (_rejected(b"").reason, str(_rejected(b""))) == ("empty", "the file is empty")


@pytest.mark.parametrize(
    "data",
    (
        b"\0",
        b"hello",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"PK\x03\x04" + bytes(100),
        b"GIF",
        b"RIFF1234WAVE",
    ),
)
def test_not_an_image(data):
    """Text, SVG, archives and sounds are no images, and the known formats are named."""
    error = _rejected(data, ImageLimits())

    assert error.reason == "not_an_image"
    assert "PNG, WEBP or JPEG" in str(error)


@pytest.mark.parametrize("name", ("gif", "avif", "bmp", "tiff"))
def test_a_format_that_is_not_configured(name):
    """A good image of a format the store does not take is named, with those it takes."""
    error = _rejected(MAKERS[name](), ImageLimits())

    assert error.reason == "format_not_allowed"
    assert str(error) == f"{name.upper()} images are not accepted here, only PNG, WEBP or JPEG"


@pytest.mark.parametrize("name", ("png", "webp", "jpg"))
def test_truncated_at_every_kilobyte(name):
    """An upload that broke off is noticed wherever it broke, and called truncated."""
    data = MAKERS[name](size_kb=100)
    cuts = [*range(1024, len(data), 1024), len(data) - 1]

    assert {_rejected(data[:cut]).reason for cut in cuts} == {"truncated"}


@pytest.mark.parametrize(
    "data",
    (
        images.png(),
        images.webp(),
        images.webp(lossless=True),
        images.jpeg(),
        _saved("RGB", format="JPEG", progressive=True),
        _saved("RGBA", format="WEBP"),
        images.photo(width=32, height=24, orientation=3),
        images.gif(),
        images.avif(),
        images.bmp(),
        images.tiff(),
    ),
    ids=(
        "png", "webp", "webp lossless", "jpg", "jpg progressive", "webp alpha", "jpg exif", "gif", "avif", "bmp", "tiff",
    ),
)  # fmt: skip
def test_truncated_anywhere(data):
    """No beginning of an image is an image, whatever its length."""
    accepted = []
    for cut in range(1, len(data)):
        try:
            accepted.append((cut, inspect(data[:cut], EVERYTHING)))
        except ImageRejected:
            continue

    assert accepted == []


def test_too_large():
    """More bytes than allowed: both numbers are told, before anything is parsed."""
    error = _rejected(b"not even an image" * 100_000, ImageLimits(max_bytes=2**20))

    assert (error.reason, str(error)) == ("too_large", "the image has 1.6 MiB, more than the 1.0 MiB allowed")


def test_exactly_as_large_as_allowed():
    """The limit itself is within the limit."""
    data = images.png()

    assert inspect(data, ImageLimits(max_bytes=len(data)))
    assert _rejected(data, ImageLimits(max_bytes=len(data) - 1)).reason == "too_large"


def test_pixel_bomb():
    """A few bytes that unpack to 900 megapixels are refused without unpacking them."""
    bomb = images.pixel_bomb()

    error = _rejected(bomb)

    assert len(bomb) < 1000
    assert error.reason == "too_many_pixels"
    assert str(error) == "the image has 30000 x 30000 = 900.0 megapixels, more than the 100 allowed"


@pytest.mark.parametrize("name", MAKERS)
def test_too_many_pixels(name):
    """The limit on pixels holds for every format, to the pixel."""
    data = MAKERS[name](width=20, height=10)

    assert inspect(data, ImageLimits(ALL_FORMATS, max_pixels=200))
    assert _rejected(data, ImageLimits(ALL_FORMATS, max_pixels=199)).reason == "too_many_pixels"


def test_long_and_thin():
    """50,000 x 1 pixels is an odd image, but an image."""
    assert inspect(images.png(width=50_000, height=1))[1:] == ("png", 50_000, 1)


def test_pillows_own_limit_does_not_matter(monkeypatch):
    """The store's limit counts, not a setting of the process that another library may have changed."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)

    assert inspect(images.gif(), EVERYTHING)


def test_damaged_png():
    """A flipped bit anywhere in a chunk is found by its checksum."""
    data = bytearray(images.png())
    data[100] ^= 1

    assert _rejected(bytes(data)).reason == "damaged"


def _chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def _png(*chunks):
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


_HEADER = struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0)


@pytest.mark.parametrize(
    "data",
    (
        pytest.param(_png((b"IHDR", _HEADER), (b"IEND", b"")), id="PNG without pixels"),
        pytest.param(
            _png((b"tEXt", _HEADER), (b"IHDR", _HEADER), (b"IEND", b"")), id="PNG without header first"
        ),
        pytest.param(_png((b"IHDR", bytes(13)), (b"IDAT", b"x"), (b"IEND", b"")), id="PNG of 0 x 0"),
        pytest.param(b"\xff\xd8\xff\xd9" + bytes(20), id="JPEG that ends at once"),
        pytest.param(b"\xff\xd8\xff\xe0\0\x01" + bytes(20), id="JPEG with a segment of length 1"),
        pytest.param(b"\xff\xd8\xff\xda\0\x04\0\0pixels\xff\xd9", id="JPEG without a frame"),
        pytest.param(b"RIFF\x16\0\0\0WEBPVP8?" + bytes(20), id="WebP of an unknown kind"),
        pytest.param(b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(10), id="WebP without pixels"),
        pytest.param(
            b"RIFF\x16\0\0\0WEBPVP8L\xff\xff\0\0\x2f" + bytes(20), id="WebP with a chunk beyond its end"
        ),
        pytest.param(b"GIF89a" + bytes(50), id="GIF of nothing"),
        pytest.param(b"II*\0" + bytes(50), id="TIFF of nothing"),
        pytest.param(b"BM" + bytes(60), id="BMP of nothing"),
        pytest.param(b"\0\0\0\x20ftypavif" + bytes(60), id="AVIF of nothing"),
    ),
)
def test_hollow_images(data):
    """A shell that announces an image and holds none is refused."""
    assert _rejected(data).reason in ("damaged", "truncated")


# --- whatever the bytes


def _outcome(data):
    """Return what ``inspect`` makes of *data*; anything but an info or a rejection fails the test."""
    try:
        info = inspect(data, SMALL)
    except ImageRejected as error:
        return error.reason
    assert info.format in ALL_FORMATS
    assert 1 <= info.width * info.height <= SMALL.max_pixels
    return info


@given(data=st.binary(max_size=300))
@example(b"\xff\xd8\xff")
@example(b"\x89PNG\r\n\x1a\n")
@example(b"RIFF\0\0\0\0WEBP")
def test_any_bytes_are_an_image_or_rejected(data):
    """No bytes lead to another error."""
    _outcome(data)


_STARTS = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"RIFF\xff\0\0\0WEBPVP8",
    b"GIF89a",
    b"II*\0",
    b"MM\0*",
    b"BM",
    b"\0\0\0 ftypavif",
)


@given(start=st.sampled_from(_STARTS), rest=st.binary(max_size=300))
def test_any_bytes_behind_a_known_start_are_an_image_or_rejected(start, rest):
    """Garbage that begins as an image does leads to no other error."""
    _outcome(start + rest)


@pytest.mark.parametrize("name", MAKERS)
@settings(max_examples=60)
@given(data=st.data())
def test_mutated_images_are_images_or_rejected(name, data):
    """Bytes changed, cut out or put in at random places lead to no other error."""
    image = bytearray(MAKERS[name]())
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(image) - 1))
        removed = data.draw(st.integers(0, 8))
        image[position : position + removed] = data.draw(st.binary(max_size=8))

    _outcome(bytes(image))


# --- the format byte


def test_format_bytes_of_the_default_list():
    """The list every store starts with has the numbers that other programs know."""
    assert [
        formats.format_byte(name, formats.DEFAULT_FORMATS) for name in ("png", "webp", "jpg", "jpeg")
    ] == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ALL_FORMATS)
def test_format_byte_and_back(name):
    """Every configured format survives being written as a byte."""
    assert formats.format_of_byte(formats.format_byte(name, ALL_FORMATS), ALL_FORMATS) == name


@pytest.mark.parametrize("byte", (0, 5, 255))
def test_unknown_format_byte(byte):
    """A byte that stands for nothing is an error that names the setting."""
    with pytest.raises(BlobFormatError, match=f"format {byte}, which image_formats does not list"):
        formats.format_of_byte(byte, formats.DEFAULT_FORMATS)


def test_every_format_has_a_mime_type():
    """JPEG has one, under both of its names."""
    assert set(formats.MIME_TYPES) == set(ALL_FORMATS)
    assert formats.MIME_TYPES["jpg"] == formats.MIME_TYPES["jpeg"] == "image/jpeg"
