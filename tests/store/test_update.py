"""`ImageStore.update`: the id stays, everything else is new."""

import pytest

from pixstore.errors import ImageNotFound, ImageRejected
from tests import images, stored
from tests.clock import START

NOBODY = "k3v9t2m5x7q4"


def test_an_update_replaces_the_image(store, now):
    """An update keeps the id; bytes, format, key and token are new, and the old bytes are gone from the disk."""
    first = store.save(images.png())
    old = stored.blob_ids(store)
    now.forward(1000)

    second = store.update(first.id, images.jpeg())

    store.parts.reaper.reap()
    assert store.load(first.id) == images.jpeg()
    assert (second.id, second.token, second.image_format) == (first.id, START + 1000, "jpg")
    assert second.meta.key != first.meta.key
    assert stored.blob_ids(store).isdisjoint(old)


@pytest.mark.parametrize("passed", (0, -86_400_000), ids=("same ms", "clock set back"))
def test_tokens_only_grow(store, now, passed):
    """Whatever the clock does, a new version has a larger token and a later time of writing."""
    record = store.save(images.png())
    tokens, written = [record.token], [stored.row(store, record.id).written_at]

    for seed in range(3):
        now.forward(passed)
        tokens.append(store.update(record.id, images.png(seed=seed)).token)
        written.append(stored.row(store, record.id).written_at)

    assert tokens == [START, START + 1, START + 2, START + 3]
    assert written == sorted(set(written))


def test_updating_what_is_not_there(store):
    """Updating an image that does not exist is an error with its id, and leaves no blob."""
    with pytest.raises(ImageNotFound) as error:
        store.update(NOBODY, images.png())

    assert error.value.image_id == NOBODY
    assert stored.blob_ids(store) == set()


def test_a_refused_update_changes_nothing(store):
    """If the new image is refused, the image stays as it was, under the same token."""
    record = store.save(images.png())

    with pytest.raises(ImageRejected):
        store.update(record.id, images.png()[:-1])

    assert store.record(record.id) == record
    assert store.load(record.id) == images.png()
    assert len(stored.blob_ids(store)) == 1


def test_an_image_deleted_during_its_update_stays_deleted(store, monkeypatch):
    """If an image is deleted while its new version is written, it stays deleted, and no blob is left."""
    record = store.save(images.png())
    put = store.parts.blobs.put

    def delete_meanwhile(*arguments):
        put(*arguments)
        store.delete(record.id)

    monkeypatch.setattr(store.parts.blobs, "put", delete_meanwhile)
    with pytest.raises(ImageNotFound):
        store.update(record.id, images.jpeg())

    store.parts.reaper.reap()
    assert not store.exists(record.id)
    assert stored.blob_ids(store) == set()
