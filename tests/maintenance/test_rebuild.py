"""`rebuild`: bring everything back after the database was lost. What the gallery makes of it: tests/web/test_recovery.py."""

from contextlib import closing

import pytest

from pixstore.errors import StorageFull
from pixstore.gallery import accounts
from pixstore.maintenance.rebuild import DatabaseInUse, rebuild
from pixstore.reaper import Reaper
from pixstore.store import ImageStore
from tests import stored
from tests.gallery_client import PASSWORD, GalleryClient
from tests.gallery_fixtures import command_line
from tests.images import jpeg, png


def test_rebuild_brings_back_a_lost_database(anna, add_pictures, config, reopened):
    """A rebuild brings back images, albums, titles and owners; after a new password the owner can see them."""
    before = {picture.id: picture.original_id for picture in add_pictures("anna", 3)}
    stored.lose_database(config)
    app = reopened()

    result = command_line(app)("rebuild")

    assert result.exit_code == 0
    assert result.stdout.startswith("6 images back; 3 pictures, 1 albums and 1 accounts made; 0 blobs")
    gallery = app.extensions["pixstore.gallery"]
    with gallery.store.connected():
        assert {picture.id: picture.original_id for picture in gallery.models.picture.select()} == before
        assert all(gallery.store.load(image_id)[:2] == b"\xff\xd8" for image_id in before.values())
        user = accounts.find_user(gallery, "anna")
        accounts.set_password(gallery, user, PASSWORD)
    assert "picture 2" in GalleryClient(app).logs_in("anna").get("/").text
    assert command_line(app)("rebuild").exit_code == 1


# --- a store without a gallery


@pytest.fixture
def filled(config, now):
    """Return the ids of two images in a store that was closed again."""
    with closing(ImageStore.open(config, now=now)) as store:
        return [store.save(png()).id, store.save(jpeg()).id]


def test_a_blob_that_does_not_open_is_named(config, now, filled):
    """A damaged image does not come back, and is named; the others do."""
    with closing(ImageStore.open(config, now=now)) as store:
        stored.flip_last_bit(stored.blob_file(store, filled[0]))
    stored.lose_database(config)

    with closing(ImageStore.open(config, now=now)) as store:
        report = rebuild(store)

        assert [image.image_id for image in report.images] == filled[1:]
        assert [(finding.kind, finding.image_id) for finding in report.unreadable] == [("damaged", filled[0])]
        assert store.load(filled[1]) == jpeg()


def test_the_newest_version_that_opens_comes_back(config, now, filled, monkeypatch):
    """Where a crash left an older version beside a damaged one, the older one comes back."""
    with closing(ImageStore.open(config, now=now)) as store:
        monkeypatch.setattr(store.parts.reaper, "wake", lambda: None)
        monkeypatch.setattr(store.parts.reaper, "reap", lambda: 0)
        now.forward(1000)
        store.update(filled[0], jpeg(seed=1))
        stored.flip_last_bit(stored.blob_file(store, filled[0]))
    stored.lose_database(config)

    with closing(ImageStore.open(config, now=now)) as store:
        rebuild(store)

        assert store.load(filled[0]) == png()


def test_tokens_are_newer_than_any_before(config, now, filled):
    """Rebuilt images have larger tokens, so browsers that hold an old one ask for the key again."""
    with closing(ImageStore.open(config, now=now)) as store:
        before = store.update(filled[0], png(seed=1)).token
    stored.lose_database(config)

    with closing(ImageStore.open(config, now=now)) as store:
        rebuild(store)

        assert store.record(filled[0]).token > before


def test_a_deleted_image_stays_deleted(config, now, filled, monkeypatch):
    """An image whose deletion was confirmed does not come back, though its blob was still waiting to be removed."""
    monkeypatch.setattr(Reaper, "wake", lambda _: None)
    monkeypatch.setattr(Reaper, "reap", lambda _: 0)
    with closing(ImageStore.open(config, now=now)) as store:
        store.delete(filled[0])
        assert len(stored.blob_ids(store)) == 2
    stored.lose_database(config)

    with closing(ImageStore.open(config, now=now)) as store:
        report = rebuild(store)

        assert ([image.image_id for image in report.images], report.deleted) == (filled[1:], 1)
        assert not store.exists(filled[0])


def test_a_deletion_that_was_not_confirmed_may_come_back(config, now, filled, monkeypatch):
    """If the note on a deletion cannot be written, the caller is told so, and can delete again after a rebuild."""
    with closing(ImageStore.open(config, now=now)) as store:
        monkeypatch.setattr(store.parts.blobs, "bury", _no_room)
        with pytest.raises(StorageFull):
            store.delete(filled[0])
    stored.lose_database(config)

    with closing(ImageStore.open(config, now=now)) as store:
        rebuild(store)
        store.delete(filled[1])

        assert not store.exists(filled[1])


def _no_room(_image_ids):
    raise StorageFull("the deletion of an image could not be noted: No space left on device")


def test_an_interrupted_rebuild_goes_on(config, now, filled):
    """A database that holds images is refused; with *merge*, what it lacks is added and what it has stays."""
    stored.lose_database(config)
    with closing(ImageStore.open(config, now=now)) as store:
        rebuild(store)
        kept = store.record(filled[0])
        image = store.parts.models.image
        with store.connected():
            image.delete().where(image.id == filled[1]).execute()

        with pytest.raises(DatabaseInUse):
            rebuild(store)
        rebuild(store, merge=True)

        assert store.record(filled[0]) == kept
        assert store.load(filled[1]) == jpeg()
