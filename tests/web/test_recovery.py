"""The gallery after its database was lost. The command: tests/maintenance/test_rebuild.py."""

import shutil

import pytest

from app import create_app
from pixstore.config import Config
from pixstore.details import Details
from pixstore.gallery import accounts, recovery, upkeep
from pixstore.maintenance.rebuild import RebuiltImage, rebuild
from tests import stored
from tests.gallery_client import PASSWORD, GalleryClient
from tests.gallery_fixtures import snapshot
from tests.images import jpeg, pixels, png
from tests.web.exif import taken


@pytest.fixture
def lost(config):
    """Fill a gallery, then lose its database; return the application over what is left, its gallery, and what was in it."""
    before = filled_gallery(config)
    stored.lose_database(config)
    app = create_app(config)
    gallery = app.extensions["pixstore.gallery"]
    with gallery.store.connected():
        yield app, gallery, before
    gallery.store.close()


def filled_gallery(config):
    """Fill a new gallery through its pages and return its snapshot."""
    app = create_app(config)
    gallery = app.extensions["pixstore.gallery"]
    with gallery.store.connected():
        for name in ("anna", "ben"):
            accounts.create_user(gallery, name, PASSWORD)
        anna, ben = GalleryClient(app).logs_in("anna"), GalleryClient(app).logs_in("ben")
        anna.uploads(("Sea.jpg", jpeg(seed=1)), new_album="Walks")
        anna.uploads(("Wood.jpg", jpeg(seed=2)))
        ben.uploads(("Hill.jpg", taken("2024:05:06 07:08:09")))
        replaced = gallery.models.picture.get(user=accounts.find_user(gallery, "anna").id).id
        anna.replaces(replaced, ("new.png", png(width=30, height=20)))
        before = snapshot(gallery)
    gallery.store.close()
    return before


def test_everything_comes_back(lost):
    """Every picture is back under its id, with owner, album, title, size and time, byte for byte."""
    _, gallery, before = lost

    done = recovery.recover(gallery, rebuild(gallery.store).images)

    assert snapshot(gallery) == before
    assert (done.users, done.albums, done.pictures, done.lost) == (2, 3, 3, [])


def test_twice_changes_nothing(lost):
    """Running it again makes nothing and alters nothing."""
    _, gallery, before = lost
    found = rebuild(gallery.store).images
    recovery.recover(gallery, found)

    again = recovery.recover(gallery, found)

    assert (again.users, again.albums, again.pictures) == (0, 0, 0)
    assert snapshot(gallery) == before
    assert [album.is_default for album in gallery.models.album.select()].count(True) == 2


def test_accounts_have_no_password_until_one_is_set(lost):
    """Nobody can log in to an account that came back, with any password, before it is given one."""
    app, gallery, _ = lost
    recovery.recover(gallery, rebuild(gallery.store).images)
    user = accounts.find_user(gallery, "anna")

    for password in ("", PASSWORD):
        assert GalleryClient(app).post("/login", {"name": "anna", "password": password}).status_code == 422
    accounts.set_password(gallery, user, PASSWORD)
    assert GalleryClient(app).logs_in("anna").get("/").text.count('<li class="card') == 2


def test_images_of_others_are_left_alone(lost):
    """Images that some program saved without, or with other details, are no pictures."""
    _, gallery, _ = lost
    odd = (
        {},
        {"role": "original"},
        {"picture": "x" * 26, "role": 7},
        {"role": "original", "picture": "../x"},
    )

    done = recovery.recover(
        gallery,
        [
            RebuiltImage(f"imageid{number}", Details("jpg", 1, extra=extra))
            for number, extra in enumerate(odd)
        ],
    )

    assert (done.users, done.albums, done.pictures, done.lost) == (0, 0, 0, [])


def test_blobs_of_the_first_release_come_back(lost):
    """A blob that does not say when its photo was taken brings its picture back; its file says it later."""
    _, gallery, before = lost
    found = [
        image._replace(
            details=image.details._replace(
                extra={name: value for name, value in image.details.extra.items() if name != "taken_at"}
            )
        )
        for image in rebuild(gallery.store).images
    ]

    done = recovery.recover(gallery, found)

    assert (done.pictures, done.lost) == (3, [])
    assert all(picture.taken_at == picture.created_at for picture in gallery.models.picture.select())
    assert upkeep.upgrade_pictures(gallery).pictures == 3
    assert snapshot(gallery) == before


def test_lost_thumbnail_is_made_again(lost):
    """A picture whose thumbnail did not come back gets a new one."""
    _, gallery, before = lost
    found = [image for image in rebuild(gallery.store).images if image.details.extra["role"] == "original"]

    done = recovery.recover(gallery, found)

    assert done.pictures == 3
    assert snapshot(gallery) == before
    thumbnails = [picture.thumbnail_id for picture in gallery.models.picture.select()]
    assert all(pixels(gallery.store.load(thumbnail_id)) for thumbnail_id in thumbnails)


def test_lost_original_is_reported(lost):
    """A picture of which only the thumbnail is left cannot come back, and is named."""
    _, gallery, _ = lost
    found = [image for image in rebuild(gallery.store).images if image.details.extra["role"] == "thumbnail"]

    done = recovery.recover(gallery, found)

    assert done.pictures == 0
    assert sorted(done.lost) == sorted({image.details.extra["picture"] for image in found})


def test_recovery_works_on_a_copy(lost, tmp_path):
    """Blobs, keyring and master key are all it takes: a copy of them on another machine comes back the same."""
    _, gallery, before = lost
    copy = tmp_path / "elsewhere"
    shutil.copytree(gallery.config.data_dir, copy, ignore=shutil.ignore_patterns("*.sqlite*"))
    app = create_app(Config(data_dir=copy))
    other = app.extensions["pixstore.gallery"]

    with other.store.connected():
        recovery.recover(other, rebuild(other.store).images)
        assert snapshot(other) == before
    other.store.close()
