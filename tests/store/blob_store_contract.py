"""
What every blob store promises, as tests.

Subclass ``BlobStoreContract`` and give it two fixtures:

    blobs       an empty blob store
    reopened    a function that returns another handle on the same store, as another process would have it
"""

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pixstore.errors import BlobNotFound, InvalidId, StorageError
from pixstore.ids import new_blob_id

NAME = "0a" * 16
OTHER = "b1" * 16
IMAGE, OTHER_IMAGE = "team:abcdefgh", "ijklmnop"
COPY, OTHER_COPY = "0000000001-0123456789abcdef.json", "0000000002-0123456789abcdef.json"


def _content(blobs, name):
    with blobs.open(name) as blob:
        return blob.read()


class BlobStoreContract:
    """The promises of ``pixstore.blobs.BlobStore``."""

    def test_what_is_put_can_be_opened(self, blobs):
        """The parts come back, one after the other, as one blob."""
        blobs.put(NAME, [b"header", b"\0", memoryview(b"ciphertext")])

        assert _content(blobs, NAME) == b"header\0ciphertext"

    def test_a_blob_may_be_of_any_size(self, blobs):
        """From no byte at all to some megabytes."""
        for size in (0, 1, 4096, 3 * 2**20 + 1):
            name = new_blob_id()
            blobs.put(name, [bytes(size)])
            assert len(_content(blobs, name)) == size

    def test_a_blob_can_be_read_from_the_middle(self, blobs):
        """The endpoint starts where the payload starts, and asks how long the blob is."""
        blobs.put(NAME, [b"header", b"payload"])

        with blobs.open(NAME) as blob:
            assert blob.seek(0, 2) == 13
            blob.seek(6)
            assert blob.read(3) == b"pay"
            assert blob.read() == b"load"

    @pytest.mark.parametrize(
        "name", ("", "..", "../../x", "0a" * 15 + "0A", "0a" * 16 + "\0", "keyring.json")
    )
    def test_only_blob_ids_are_names(self, blobs, name):
        """No other name ever meets a path."""
        for call in (blobs.open, blobs.delete, blobs.touch, lambda name: blobs.put(name, [b"x"])):
            with pytest.raises(StorageError, match="not the name of a blob"):
                call(name)

    def test_a_name_is_used_once(self, blobs):
        """A blob is never overwritten: the second put fails and the first blob stays."""
        blobs.put(NAME, [b"first"])

        with pytest.raises(StorageError, match=NAME) as error:
            blobs.put(NAME, [b"second"])

        assert error.value.name == NAME
        assert _content(blobs, NAME) == b"first"

    def test_touching(self, blobs):
        """A blob that is touched counts as put now; one that is not there stays away."""
        before = time.time_ns() // 1_000_000
        blobs.put(NAME, [b"blob"])

        blobs.touch(NAME)
        blobs.touch(OTHER)

        (info,) = blobs.blobs()
        assert info.blob_id == NAME
        assert before - 2000 <= info.put_at <= time.time_ns() // 1_000_000 + 2000

    def test_opening_what_is_not_there(self, blobs):
        """A missing blob is an error of its own that names it."""
        with pytest.raises(BlobNotFound, match=NAME) as error:
            blobs.open(NAME)
        assert error.value.name == NAME

    def test_deleting(self, blobs):
        """A deleted blob is gone; deleting again is no error."""
        blobs.put(NAME, [b"blob"])
        blobs.put(OTHER, [b"other"])

        assert blobs.delete(NAME) is True
        assert blobs.delete(NAME) is False
        with pytest.raises(BlobNotFound):
            blobs.open(NAME)
        assert _content(blobs, OTHER) == b"other"

    def test_an_open_blob_stays_readable(self, blobs):
        """Who is being sent an image gets all of it, though it was replaced meanwhile."""
        blobs.put(NAME, [b"blob"])

        with blobs.open(NAME) as blob:
            blobs.delete(NAME)
            assert blob.read() == b"blob"

    def test_a_failed_put_leaves_nothing(self, blobs):
        """Where a part cannot be read, there is no blob of that name, not even half of one."""
        with pytest.raises(TypeError):
            blobs.put(NAME, [b"half", None])

        with pytest.raises(BlobNotFound):
            blobs.open(NAME)
        assert list(blobs.blobs()) == []

    def test_listing(self, blobs):
        """Every blob is listed with its size and roughly the time it was put."""
        before = time.time_ns() // 1_000_000
        names = {new_blob_id() for _ in range(50)}
        for name in names:
            blobs.put(name, [b"12345"])

        listed = list(blobs.blobs())

        assert {info.blob_id for info in listed} == names
        assert {info.size for info in listed} == {5}
        assert all(before - 2000 <= info.put_at <= time.time_ns() // 1_000_000 + 2000 for info in listed)

    def test_listing_while_blobs_go(self, blobs):
        """A blob that is removed during a listing does not break it."""
        for _ in range(20):
            blobs.put(new_blob_id(), [b"blob"])

        for info in blobs.blobs():
            for other in list(blobs.blobs()):
                blobs.delete(other.blob_id)
            assert info.size == 4

    def test_another_handle_sees_the_same(self, blobs, reopened):
        """What one process puts, another one opens, lists and deletes."""
        blobs.put(NAME, [b"blob"])
        blobs.put_copy(COPY, b"{}")
        blobs.bury([IMAGE])

        other = reopened()

        assert _content(other, NAME) == b"blob"
        assert [info.blob_id for info in other.blobs()] == [NAME]
        assert other.copies() == {COPY: b"{}"}
        assert [note.image_id for note in other.buried()] == [IMAGE]
        assert other.delete(NAME)
        with pytest.raises(BlobNotFound):
            blobs.open(NAME)

    def test_many_threads(self, blobs):
        """Threads that put, open and delete at the same time do not disturb each other."""

        def work(number):
            name = hashlib.md5(str(number).encode()).hexdigest()
            blobs.put(name, [str(number).encode() * 1000])
            content = _content(blobs, name)
            return content == str(number).encode() * 1000 and blobs.delete(name)

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(work, range(100)))
        assert list(blobs.blobs()) == []

    def test_copies_of_the_keyring(self, blobs):
        """Each is kept under its name until it is removed, and none is a blob."""
        assert blobs.copies() == {}

        blobs.put_copy(COPY, b"first")
        blobs.put_copy(COPY, b"first")
        blobs.put_copy(OTHER_COPY, b"second")
        assert blobs.copies() == {COPY: b"first", OTHER_COPY: b"second"}

        blobs.remove_copy(COPY)
        blobs.remove_copy(COPY)
        assert blobs.copies() == {OTHER_COPY: b"second"}
        assert list(blobs.blobs()) == []

    def test_copies_of_many_threads(self, blobs):
        """Copies put at the same time are all there, whole."""
        documents = {f"{number:010}-{number:016x}.json": str(number).encode() * 5000 for number in range(8)}

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda entry: blobs.put_copy(*entry), list(documents.items()) * 5))

        assert blobs.copies() == documents

    def test_deleted_images_are_noted(self, blobs):
        """A note on a deleted image stays, with the time it was made, until it is forgotten."""
        before = time.time_ns() // 1_000_000
        blobs.bury([IMAGE, OTHER_IMAGE])
        blobs.bury([IMAGE])

        notes = {note.image_id: note.buried_at for note in blobs.buried()}
        assert notes.keys() == {IMAGE, OTHER_IMAGE}
        assert all(before - 2000 <= at <= time.time_ns() // 1_000_000 + 2000 for at in notes.values())

        blobs.forget_buried([IMAGE, IMAGE])
        assert [note.image_id for note in blobs.buried()] == [OTHER_IMAGE]
        assert list(blobs.blobs()) == []

    def test_a_note_needs_the_id_of_an_image(self, blobs):
        """What is no image id is refused, and nothing is written."""
        with pytest.raises(InvalidId):
            blobs.bury(["../../etc/passwd"])

        assert list(blobs.buried()) == []

    def test_nothing_unfinished_after_finished_puts(self, blobs):
        """What was put whole is never discarded, however old."""
        blobs.put(NAME, [b"blob"])

        assert blobs.discard_unfinished(before=2**60) == 0
        assert _content(blobs, NAME) == b"blob"
