"""`ImageStore.delete`: nothing of the image is left, and nothing else goes with it."""

import pytest

from pixstore.errors import ImageNotFound
from tests import images, stored

NOBODY = "k3v9t2m5x7q4"


def test_a_deleted_image_is_gone(store):
    """A deleted image has no record, cannot be loaded, and leaves no bytes on the disk."""
    record = store.save(images.png())

    assert store.delete(record.id) is True

    store.parts.reaper.reap()
    assert store.record(record.id) is None
    assert not store.exists(record.id)
    assert stored.blob_ids(store) == set()
    with pytest.raises(ImageNotFound):
        store.load(record.id)


def test_deleting_again_is_no_error(store):
    """Deleting what is not there is no error, and returns False."""
    record = store.save(images.png())
    store.delete(record.id)

    assert store.delete(record.id) is False
    assert store.delete(NOBODY) is False


def test_deleting_one_leaves_the_others(store):
    """Deleting an image leaves the others in its directory as they were."""
    one, other = (store.save(images.png(seed=seed), "team") for seed in (1, 2))

    store.delete(one.id)

    store.parts.reaper.reap()
    assert store.load(other.id) == images.png(seed=2)
