"""Damage on the disk or in the database is noticed and named, is never shown, and harms no other image."""

import sqlite3
from contextlib import closing

import pytest

from pixstore.answers import Question
from pixstore.errors import DecryptionFailed, PixstoreError, StorageError
from tests import images, stored


def test_a_flipped_bit_is_noticed(store):
    """An image with an altered byte is not shown, and other images still open."""
    damaged, sound = store.save(images.png()), store.save(images.jpeg())
    stored.flip_last_bit(stored.blob_file(store, damaged.id))

    with pytest.raises(DecryptionFailed):
        store.load(damaged.id)
    assert store.load(sound.id) == images.jpeg()


@pytest.mark.parametrize(
    "change",
    (lambda data: data[:-1], lambda data: data + b"\0", lambda _: b""),
    ids=("cut", "longer", "empty"),
)
def test_a_blob_of_another_length_is_noticed(store, change):
    """A file that was cut or made longer is an error that names the blob; the endpoint never sends a part of it."""
    record = store.save(images.png())
    path = stored.blob_file(store, record.id)
    path.write_bytes(change(path.read_bytes()))

    with pytest.raises(StorageError, match="wrong length") as error:
        store.load(record.id)
    assert error.value.name == path.name
    assert store.answer(record.id, proof=record.stateless_proof).to_bytes() == b"\x06"


def test_a_missing_blob_is_named(store):
    """An image whose file was removed is an error that names the blob, not an image that does not exist."""
    record = store.save(images.png())
    path = stored.blob_file(store, record.id)
    path.unlink()

    with pytest.raises(StorageError, match=f"the blob {path.name} is missing"):
        store.load(record.id)
    assert store.answer(record.id, proof=record.stateless_proof).to_bytes() == b"\x06"


def test_a_failing_disk_while_reading(store, monkeypatch):
    """An input/output error in the middle of a blob is a `StorageError`."""
    record = store.save(images.png())
    open_blob = store.parts.blobs.open

    class FailingBlob:
        def __init__(self, file):
            self.seek, self.close = file.seek, file.close

        def read(self, *_):
            raise OSError(5, "Input/output error")

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.close()

    monkeypatch.setattr(store.parts.blobs, "open", lambda blob_id: FailingBlob(open_blob(blob_id)))

    with pytest.raises(StorageError):
        store.load(record.id)
    assert store.answer(record.id, proof=record.stateless_proof).to_bytes() == b"\x06"


# --- rows


def test_a_row_does_not_open_in_another_place(store):
    """Keys are bound to their image and blob: with the fields of another row, an image does not open."""
    mine, other = store.save(images.png(seed=1)), store.save(images.png(seed=2))
    theirs = stored.row(store, other.id)

    for fields in (
        {"wrapped_key": theirs.wrapped_key},
        {"iv": theirs.iv},
        {"tag": theirs.tag},
        {"wrapped_key": theirs.wrapped_key, "iv": theirs.iv, "tag": theirs.tag},
    ):
        good = stored.row(store, mine.id)
        stored.change_row(store, mine.id, **fields)
        with pytest.raises(DecryptionFailed):
            store.load(mine.id)
        stored.change_row(store, mine.id, wrapped_key=good.wrapped_key, iv=good.iv, tag=good.tag)

    assert store.load(mine.id) == images.png(seed=1)


def test_a_row_that_points_at_anothers_blob_does_not_open_it(store):
    """A row that is made to name another image's blob does not open it."""
    mine, other = store.save(images.png()), store.save(images.png())
    path = stored.blob_file(store, other.id)
    store.delete(other.id)
    store.parts.blobs.delete(path.name)
    stored.blob_file(store, mine.id).rename(path)
    stored.change_row(store, mine.id, blob_id=path.name)

    with pytest.raises(PixstoreError):
        store.load(mine.id)


_JUNK = (None, -1, "junk", b"\xff", 2**62)


@pytest.mark.parametrize(
    "column", ("token", "wrapped_key", "iv", "tag", "payload_offset", "payload_size", "store_key_id")
)
def test_a_damaged_row_is_answered_and_takes_no_other_with_it(store, config, column):
    """Whatever stands in a column of a damaged row, the endpoint answers with a state, and serves the next image."""
    damaged, sound = store.save(images.png()), store.save(images.png())
    for junk in _JUNK:
        with closing(sqlite3.connect(config.sqlite_path)) as database, database:  # checks no foreign keys
            sql = f'UPDATE OR IGNORE image SET "{column}" = ? WHERE id = ?'
            database.execute(sql, (junk, damaged.id))
        questions = [Question(record.id, record.stateless_proof) for record in (damaged, sound)]

        answers = [answer.to_bytes() for answer in store.answers(questions)]

        assert answers[0][0] in (1, 6)
        assert answers[1][0] == 1
