"""What decoding may cost: memory is worked out from the header, and shared."""

import io
import threading

import pytest
from PIL import Image

from pixstore import decoding
from pixstore.errors import ImageRejected
from pixstore.formats import inspect
from pixstore.room import Room
from tests import images


def _blank(pillow_name, size, mode="RGB", **options):
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, pillow_name, **options)
    return buffer.getvalue()


def _needed(data, pillow_name):
    with decoding.open_image(data, pillow_name) as image:
        return decoding.memory_needed(image)


@pytest.mark.parametrize(
    ("pillow_name", "mode", "options", "pixel"),
    (
        ("PNG", "RGB", {}, 4),
        ("PNG", "L", {}, 1),
        ("PNG", "P", {}, 1),
        ("PNG", "I;16", {}, 2),
        ("JPEG", "RGB", {}, 4),
        ("JPEG", "RGB", {"progressive": True, "subsampling": "4:4:4"}, 6),
        ("JPEG", "RGB", {"progressive": True, "subsampling": "4:2:0"}, 3),
        ("WEBP", "RGB", {"lossless": True}, 16),
    ),
    ids=str,
)
def test_memory_depends_on_the_format(pillow_name, mode, options, pixel):
    """The same pixels take more memory in one format than in another, and rows take some too."""
    data = _blank(pillow_name, (64, 32), mode, **options)

    assert _needed(data, pillow_name) == 64 * 32 * pixel + 32 * 8


def test_too_much_memory_is_refused_before_a_pixel_is_decoded():
    """A few hundred bytes that would unpack to more than a gigabyte are refused, with the figures."""
    data = _blank("WEBP", (10_000, 10_000), lossless=True, method=0)

    with (
        decoding.open_image(data, "WEBP") as image,
        pytest.raises(ImageRejected, match="1600 MB of memory, more than the 420") as refused,
        decoding.room_for(image, data),
    ):
        pass

    assert len(data) < 1000
    assert refused.value.reason == "too_costly"


def test_a_jpeg_of_endless_scans_is_refused():
    """Each scan goes over the whole picture again: thousands of them would take hours."""
    data = _blank("JPEG", (64, 64), progressive=True)
    last = data.rindex(b"\xff\xda")
    endless = data[:last] + data[last:-2] * 5000 + data[-2:]

    with pytest.raises(ImageRejected, match="more than the 100") as refused:
        inspect(endless)

    assert inspect(data)
    assert refused.value.reason == "too_costly"


def test_images_decoded_at_once_share_the_memory(monkeypatch):
    """An image that does not fit beside the others waits until one of them is done."""
    data = images.png(width=64, height=64)
    monkeypatch.setattr(decoding, "_room", Room(_needed(data, "PNG") + 1))
    entered, leave = threading.Semaphore(0), threading.Event()

    def decode():
        with decoding.open_image(data, "PNG") as image, decoding.room_for(image, data):
            entered.release()
            leave.wait(30)

    threads = [threading.Thread(target=decode) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert entered.acquire(timeout=30)
    assert not entered.acquire(timeout=0.05)
    leave.set()

    assert entered.acquire(timeout=30)
    for thread in threads:
        thread.join()


def test_room_is_given_back_after_an_error():
    """A decoder that fails does not keep its share."""
    room = Room(10)

    with pytest.raises(ZeroDivisionError), room.held(10):
        _ = 1 / 0

    with room.held(10):
        pass
