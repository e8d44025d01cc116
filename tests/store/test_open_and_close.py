"""Opening and closing a store, over any blob store."""

from pixstore.blobs.memory import MemoryBlobs
from pixstore.store import ImageStore
from tests import images, stored


def test_everything_is_there_after_a_restart(config, now):
    """A closed store opens again with every image, and proofs given before are still good."""
    store = ImageStore.open(config, now=now)
    record = store.save(images.png())
    store.close()

    again = ImageStore.open(config, now=now)

    assert again.load(record.id) == images.png()
    assert again.answer(record.id, proof=record.stateless_proof).to_bytes()[0] == 1
    again.close()


def test_closing_twice_is_no_error(config, now):
    """Closing a store that is closed already does nothing."""
    store = ImageStore.open(config, now=now)

    store.close()
    store.close()


def test_any_blob_store_will_do(config, now):
    """The store works on any blob store that keeps the contract."""
    store = ImageStore.open(config, blobs=MemoryBlobs(), now=now)
    record = store.save(images.png())

    store.update(record.id, images.jpeg())
    store.parts.reaper.reap()

    assert store.load(record.id) == images.jpeg()
    assert len(stored.blob_ids(store)) == 1
    store.close()
