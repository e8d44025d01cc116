"""Reading: records, images, and what a reader gets while others update or delete the image."""

import pytest

from pixstore.errors import ImageNotFound, StorageError
from tests import images

NOBODY = "k3v9t2m5x7q4"


def test_records_of_a_page_come_without_keys(store):
    """Many records at once are those of the images that exist, and none holds a key."""
    saved = [store.save(images.png(seed=seed)) for seed in range(3)]

    records = store.records([*(record.id for record in saved), NOBODY, "../x", ""])

    assert set(records) == {record.id for record in saved}
    assert all(records[record.id].token == record.token for record in saved)
    assert all(record.meta is None for record in records.values())


def test_a_page_is_one_query(store, monkeypatch):
    """Many records at once take one query, however many images there are."""
    saved = [store.save(images.png()).id for _ in range(20)]
    queries = []
    rows = store.parts.models.reader.rows
    monkeypatch.setattr(
        store.parts.models.reader, "rows", lambda *asked: queries.append(asked) or rows(*asked)
    )

    assert len(store.records(saved)) == 20
    assert len(queries) == 1


@pytest.mark.parametrize(
    "image_id", (NOBODY, "../../etc/passwd", "", "A" * 20, None, 5, b"k3v9t2m5x7q4", ["x"]), ids=repr
)
def test_what_is_no_image_is_not_found(store, image_id):
    """An id that does not exist and something that cannot be an id are both "not found"."""
    assert store.record(image_id) is None
    assert not store.exists(image_id)
    assert store.delete(image_id) is False
    with pytest.raises(ImageNotFound):
        store.load(image_id)


def test_a_proof_in_a_record_is_fresh(store, now):
    """Each time a record is read its proof is good for at least one more window."""
    image_id = store.save(images.png()).id
    now.forward(10 * store.config.stateless_key_window_length)

    for record in (store.record(image_id), store.records([image_id])[image_id]):
        assert store.answer(image_id, proof=record.stateless_proof).to_bytes()[0] == 1


# --- a blob that is gone because an update won


def test_a_reader_that_loses_the_race_reads_the_new_version(store, monkeypatch):
    """If an image is replaced between reading its row and opening its blob, the reader gets the newer version, whole."""
    record = store.save(images.png())
    open_blob = store.parts.blobs.open

    def replaced_meanwhile(blob_id):
        monkeypatch.setattr(store.parts.blobs, "open", open_blob)
        store.update(record.id, images.jpeg())
        store.parts.reaper.reap()
        return open_blob(blob_id)

    monkeypatch.setattr(store.parts.blobs, "open", replaced_meanwhile)

    assert store.load(record.id) == images.jpeg()


def test_a_reader_of_an_image_deleted_meanwhile_finds_none(store, monkeypatch):
    """If an image is deleted between reading its row and opening its blob, the answer is "not found"."""
    record = store.save(images.png())
    open_blob = store.parts.blobs.open

    def deleted_meanwhile(blob_id):
        store.delete(record.id)
        store.parts.reaper.reap()
        return open_blob(blob_id)

    monkeypatch.setattr(store.parts.blobs, "open", deleted_meanwhile)

    assert store.answer(record.id, proof=record.stateless_proof).to_bytes() == b"\x02"


def test_a_reader_gives_up_in_the_end(store, monkeypatch):
    """An image replaced faster than it can be read is an error, not an endless loop."""
    record = store.save(images.png())
    open_blob = store.parts.blobs.open

    def replaced_each_time(blob_id):
        with monkeypatch.context() as patch:
            patch.setattr(store.parts.blobs, "open", open_blob)
            store.update(record.id, images.png())
            store.parts.reaper.reap()
        return open_blob(blob_id)

    monkeypatch.setattr(store.parts.blobs, "open", replaced_each_time)

    with pytest.raises(StorageError, match="faster than it can be read"):
        store.load(record.id)
