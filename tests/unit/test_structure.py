"""The structure of files, format by format: what browsers show is accepted, whatever lies between and behind its parts."""

import io
import struct
import sys
import zlib
from contextlib import suppress

import pytest
from PIL import Image, ImageChops

from pixstore.errors import ImageRejected
from pixstore.formats import MIME_TYPES, ImageLimits, inspect
from pixstore.gallery import thumbnails
from pixstore.structure import avif, gif, jpeg, png, tiff, webp
from tests import images
from tests.costly_images import costly, motion_photo, png_chunk, riff, with_segments

EVERYTHING = ImageLimits(tuple(MIME_TYPES))
SIZE = 2**21
PHOTO = images.photo(width=160, height=120)


def _shown(data):
    """Return the thumbnail that is made of *data*."""
    image = inspect(data, EVERYTHING, decode=False)
    assert image.data == data
    return images.pixels(thumbnails.decode(image, max_pixels=10**8, box=160).thumbnail.data)


def _refusal(data):
    with pytest.raises(ImageRejected) as refused:
        inspect(data, EVERYTHING)
    return refused.value.reason


def _looks_like(data, original):
    return (
        ImageChops.difference(_shown(data).convert("RGB"), _shown(original).convert("RGB")).getbbox() is None
    )


def _saved(image_format, size=(40, 30), mode="RGB", **options):
    buffer = io.BytesIO()
    Image.effect_noise(size, 80).convert(mode).save(buffer, image_format, **options)
    return buffer.getvalue()


# --- JPEG

SCANS = b"\xff\xda\0\x08\1\1\0\0\x3f\0x" * 500


@pytest.mark.parametrize(
    "data",
    (
        pytest.param(motion_photo(PHOTO, 2**16), id="a film behind it"),
        pytest.param(PHOTO + SCANS, id="scans behind its end"),
        pytest.param(PHOTO + b"\xff\xc0\0\x02" * 20, id="frames behind its end"),
        pytest.param(PHOTO + PHOTO, id="a second picture"),
        pytest.param(with_segments(PHOTO, bytes(7)), id="zeros between segments"),
        pytest.param(with_segments(PHOTO, b"\0\1GARBAGE\xff\0\x80"), id="bytes between segments"),
        pytest.param(with_segments(PHOTO, b"\xff" * 5), id="fill bytes between segments"),
        pytest.param(with_segments(PHOTO, b"\xff\xff\0"), id="fill bytes that lead nowhere"),
        pytest.param(with_segments(PHOTO, b"\xff\xfe\0\5\1\xff\xff"), id="comments that end in 0xFF"),
        pytest.param(PHOTO[:-2] + bytes(9) + PHOTO[-2:], id="zeros before its end"),
        pytest.param(PHOTO[:-2] + b"\xff" * 200 + PHOTO[-2:], id="fill bytes before its end"),
        pytest.param(PHOTO[:-2] + b"\xff\xfe\0\6scan" + PHOTO[-2:], id="a comment behind its scan"),
        pytest.param(
            with_segments(PHOTO, b"\xff\xe1\0\x10http://a/\0<?xm"), id="pieces of metadata that break off"
        ),
        pytest.param(with_segments(PHOTO, b"\xff\xfe\0\0"), id="comments of length 0"),
    ),
)
def test_a_jpeg_with_more_in_it_is_the_same_picture(data):
    """What cameras, phones and editors leave between, before and behind the parts of a JPEG changes nothing."""
    assert _looks_like(data, PHOTO)


@pytest.mark.parametrize("kept", range(1, 9))
def test_a_marker_behind_data_that_ends_in_fill_bytes_is_found(kept):
    """A segment whose data ends in 0xFF is followed by the next segment, not swallowed by it."""
    comment = b"\xff\xfe" + (2 + kept).to_bytes(2, "big") + b"\xff" * kept

    assert _looks_like(with_segments(PHOTO, comment), PHOTO)


def test_scans_are_counted_to_the_end_of_the_picture():
    """A hundred scans are too many within the picture, and nobody's business behind it."""
    data = _saved("JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    scans = data[last:-2] * 100

    assert _refusal(data[:last] + scans + data[last:]) == "too_costly"
    assert inspect(data + scans).format == "jpg"


def test_large_pictures_may_have_fewer_scans():
    """Each scan goes over all pixels: of a hundred million, fifteen times is enough."""
    head = jpeg.Head(10_000, 10_000, True, 0, (), jpeg.Span(0, 0))
    scan = b"\xff\xda\0\x02x"

    assert jpeg.end_of_picture(scan * 15 + b"\xff\xd9", head) == 15 * len(scan) + 2
    with pytest.raises(ImageRejected, match="16 scans of 100 megapixels"):
        jpeg.end_of_picture(scan * 16 + b"\xff\xd9", head)


@pytest.mark.parametrize(
    "data",
    (
        pytest.param(PHOTO.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc3\0\x11\x08"), id="lossless"),
        pytest.param(PHOTO.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc9\0\x11\x08"), id="arithmetic"),
        pytest.param(PHOTO.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c"), id="12 bits"),
    ),
)
def test_a_jpeg_no_browser_shows_is_refused(data):
    """Lossless, arithmetic and 12-bit JPEG are not shown by browsers, and so not accepted."""
    assert _refusal(data) == "format_not_allowed"


def test_a_jpeg_of_two_frames_is_refused():
    """A decoder stops at a second frame within the picture."""
    at = PHOTO.index(b"\xff\xc0")
    frame = PHOTO[at : at + 19]

    assert _refusal(PHOTO[:at] + frame + PHOTO[at:]) == "damaged"


def test_only_what_makes_the_picture_reaches_the_decoder_of_a_jpeg():
    """Comments, metadata and fill bytes are not handed on; tables, profile and colours are."""
    profile = b"\xff\xe2\0\x14ICC_PROFILE\0\1\1abcd"
    data = with_segments(PHOTO, b"\xff\xfe\0\x09secret!" + b"\xff" * 1000)
    data = data[:2] + profile + data[2:]

    handed_on = jpeg.for_decoder(data, jpeg.read_head(data))

    assert b"secret!" not in handed_on
    assert b"\xff" * 10 not in handed_on
    assert profile in handed_on
    assert b"JFIF" in handed_on


def test_exif_is_read_from_its_first_segment():
    """The orientation counts that a browser reads: that of the first EXIF segment."""
    data = images.photo(width=64, height=48, orientation=6)
    other = images.photo(width=64, height=48, orientation=1)
    at = other.index(b"\xff\xe1")
    exif = other[at : at + 2 + int.from_bytes(other[at + 2 : at + 4], "big")]
    frame = data.index(b"\xff\xdb")

    assert _shown(data[:frame] + exif + data[frame:]).size == (48, 64)


# --- PNG

PNG = images.png(width=40, height=30)
PIXELS = PNG.index(b"IDAT") - 4


@pytest.mark.parametrize(
    "data",
    (
        pytest.param(PNG[:33] + png_chunk(b"teSt", b"what") + PNG[33:], id="an unknown chunk"),
        pytest.param(
            PNG[:33] + png_chunk(b"tEXt", b"a\0b")[:-1] + b"?" + PNG[33:], id="a text that is broken"
        ),
        pytest.param(PNG[:33] + png_chunk(b"iCCP", b"a\0\0broken") + PNG[33:], id="a broken profile"),
        pytest.param(PNG[:33] + png_chunk(b"tRNS", b"") + PNG[33:], id="no transparency"),
        pytest.param(PNG + b"behind" * 100, id="bytes behind its end"),
        pytest.param(PNG[:-12] + png_chunk(b"teSt") * 50 + PNG[-12:], id="chunks behind the pixels"),
        pytest.param(PNG[:-12] + png_chunk(b"IDAT") * 50 + PNG[-12:], id="empty pieces of pixels"),
    ),
)
def test_a_png_with_more_in_it_is_the_same_picture(data):
    """Chunks that a browser ignores, and bytes behind the end, change nothing."""
    assert _looks_like(data, PNG)


@pytest.mark.parametrize(
    "data",
    (
        pytest.param(PNG[:33] + png_chunk(b"TeSt") + PNG[33:], id="an unknown chunk that is needed"),
        pytest.param(PNG[:33] + PNG[8:], id="two headers"),
        pytest.param(
            PNG[:-12] + png_chunk(b"teSt") + png_chunk(b"IDAT") + PNG[-12:], id="pixels in two places"
        ),
        pytest.param(_saved("PNG", mode="P").replace(b"PLTE", b"plTE"), id="colours without a palette"),
        pytest.param(PNG[:29] + b"????" + PNG[33:], id="a header that is broken"),
    ),
)
def test_a_png_no_browser_shows_is_refused(data):
    """What a browser must not ignore, and cannot use, is damage."""
    assert _refusal(data) == "damaged"


@pytest.mark.parametrize("size", ((1, 1_000_001), (1_000_001, 1)), ids=str)
def test_a_png_longer_than_browsers_show_is_refused(size):
    """A million pixels in a row or a column are shown, one more is not."""
    longest = tuple(min(side, 1_000_000) for side in size)

    assert inspect(images.pixel_bomb(width=longest[0], height=longest[1]))[2:] == longest
    assert _refusal(images.pixel_bomb(width=size[0], height=size[1])) == "too_many_pixels"


def test_a_profile_that_unpacks_to_much_is_left_out():
    """A few kilobytes that unpack to 64 MB are not unpacked: the colours are taken as they are."""
    bomb = png_chunk(b"iCCP", b"bomb\0\0" + zlib.compress(bytes(2**26)))
    data = PNG[:33] + bomb + PNG[33:]

    assert bomb not in png.for_decoder(data, png.read(data))
    assert _looks_like(data, PNG)


def _animated(*numbers):
    control = struct.pack(">II", 1, 0)
    frames = b"".join(
        png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, 40, 30, 0, 0, 1, 10, 0, 0)) for number in numbers
    )
    return PNG[:33] + png_chunk(b"acTL", control) + frames + PNG[33:]


def test_an_animation_out_of_order_is_refused():
    """Browsers show nothing of an animated PNG whose frames are not numbered in order, or missing."""
    assert inspect(_animated(0)).format == "png"
    assert _refusal(_animated(1)) == "damaged"
    assert _refusal(_animated()) == "damaged"


# --- GIF, WebP, TIFF, AVIF, BMP

GIF, WEBP, AVIF = images.gif(), images.webp(width=40, height=30), images.avif()
GIF_HEAD = 13 + (3 << (1 + (GIF[10] & 7)))


@pytest.mark.parametrize(
    "data",
    (
        pytest.param(GIF[:GIF_HEAD] + b"\0" + GIF[GIF_HEAD:], id="a zero between blocks"),
        pytest.param(GIF[:GIF_HEAD] + b"\x21\xfe\3abc\0" + GIF[GIF_HEAD:], id="a comment"),
        pytest.param(GIF + bytes(100), id="bytes behind its end"),
        pytest.param(GIF[:-1] + b"?" + GIF[-1:], id="no block behind the picture"),
    ),
)
def test_a_gif_with_more_in_it_is_the_same_picture(data):
    """Zeros between blocks, comments and what stands behind the picture change nothing."""
    assert gif.read(data) == (16, 12)
    assert _looks_like(data, GIF)


KIND, PICTURE = WEBP[12:16], WEBP[20 : 20 + int.from_bytes(WEBP[16:20], "little")]
CANVAS = (b"VP8X", bytes(4) + (39).to_bytes(3, "little") + (29).to_bytes(3, "little"))


def test_a_webp_with_more_in_it_is_the_same_picture():
    """Unknown chunks, and bytes behind the container, change nothing."""
    data = riff(CANVAS, (b"teSt", b"odd"), (KIND, PICTURE), (b"XMP ", b"<x/>")) + b"behind"

    assert webp.read(data)[:2] == (40, 30)
    assert _looks_like(data, WEBP)


def test_the_smallest_webp_is_a_picture():
    """A picture of one colour takes eight bytes, and a file of 28."""
    five_codes_of_one_symbol = sum(1 << at for at in range(43, 63, 4))
    picture = 0x2F | (99 << 8) | (49 << 22) | five_codes_of_one_symbol
    data = riff((b"VP8L", picture.to_bytes(8, "little")))

    assert len(data) == 28
    assert _shown(data).size == (100, 50)


def test_a_webp_whose_canvas_is_another_is_refused():
    """Where the picture has not the size of its canvas, browsers show nothing."""
    canvas = (b"VP8X", bytes(4) + (79).to_bytes(3, "little") + (29).to_bytes(3, "little"))

    assert _refusal(riff(canvas, (KIND, PICTURE))) == "damaged"


def test_a_tiff_with_an_endless_directory_is_refused():
    """A directory of thousands of entries, which no program writes, is not walked."""
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", 5000) + bytes(12 * 5000)

    with pytest.raises(ImageRejected, match="entries in its directory"):
        tiff.check(data)


def test_an_avif_that_describes_too_much_is_refused():
    """Descriptions of items that are larger than pictures need are not handed to the decoder."""
    brand = int.from_bytes(AVIF[:4], "big")
    meta = (
        struct.pack(">I4sI", 12 + 2**18, b"meta", 0) + struct.pack(">I4s", 2**18, b"iinf") + bytes(2**18 - 8)
    )

    avif.check(AVIF)
    with pytest.raises(ImageRejected, match="larger than a picture needs"):
        avif.check(AVIF[:brand] + meta + AVIF[brand:])


def test_a_bmp_of_many_runs_is_refused():
    """Runs are unpacked one by one: a BMP of a few may be shown, one of a hundred thousand not."""
    refused = dict(costly(2**19))["BMP, single runs"]

    assert _refusal(refused) == "too_costly"


# --- what a file may cost

COSTLY = dict(costly(SIZE))


def _steps(function):
    """Return how many lines of Python run in *function*, this module's own included."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return count


def _taken_in(data):
    with suppress(ImageRejected):
        _shown(data)


@pytest.mark.parametrize("name", COSTLY)
def test_no_file_costs_a_step_for_each_of_its_bytes(name):
    """Files are searched by C: no format takes a line of Python for each byte, decoding included."""
    assert _steps(lambda: _taken_in(COSTLY[name])) < SIZE / 2


@pytest.mark.parametrize(
    ("name", "taken_in"),
    (
        ("JPEG, fill bytes before the first segment", True),
        ("JPEG, fill bytes before the end", True),
        ("JPEG, short rows of fill bytes", True),
        ("JPEG, zeros between segments", True),
        ("JPEG, a film behind it", True),
        ("JPEG, long comments", True),
        ("PNG, a long text", True),
        ("PNG, pixels that go on", True),
        ("JPEG, empty comments", False),
        ("JPEG, tables", False),
        ("PNG, empty chunks", False),
        ("PNG, empty chunks behind the pixels", False),
        ("PNG, empty pieces of pixels", False),
        ("WebP, empty chunks", False),
        ("GIF, a comment byte by byte", False),
        ("TIFF, strips of a row", False),
        ("AVIF, empty boxes", False),
    ),
)
def test_a_file_of_many_parts_is_refused_and_one_of_few_is_not(name, taken_in):
    """What is costly is the number of parts, not the number of bytes."""
    data = COSTLY[name]

    if taken_in:
        assert inspect(data, EVERYTHING, decode=False).data == data
    else:
        assert _refusal(data) == "too_costly"
