"""The gallery after its database was lost, and titles under a new store key."""

import shutil

import pytest

from app import create_app
from pixstore import maintenance, rotation
from pixstore.config import Config
from pixstore.gallery import accounts, albums, pictures, recovery
from pixstore.gallery.models import Album, Picture, User
from pixstore.store import ImageStore
from tests.images import jpeg, pixels, png
from tests.web.visitor import PASSWORD, Visitor


def found_images(store):
    """Rebuild the records of *store* and return its images as ``recover`` takes them."""
    found = []
    maintenance.rebuild(store, restore=found.extend)
    return [
        (image.image_id, image.details.format, image.details.size, image.details.extra) for image in found
    ]


@pytest.fixture
def lost(config):
    """Fill a gallery, then lose its database; return the application over what is left, its store, and what was in it."""
    before = filled_gallery(config)
    for path in config.data_dir.glob("pixstore.sqlite*"):
        path.unlink()
    app = create_app(config)
    store = app.extensions["pixstore"]
    with store.connected():
        yield app, store, before
    store.close()


def filled_gallery(config):
    """Fill a new gallery through its pages and return its snapshot."""
    app = create_app(config)
    store = app.extensions["pixstore"]
    with store.connected():
        for name in ("anna", "ben"):
            accounts.create_user(store, name, PASSWORD)
        anna, ben = Visitor(app).logs_in("anna"), Visitor(app).logs_in("ben")
        anna.uploads(("Sea.jpg", jpeg(seed=1)), new_album="Walks")
        anna.uploads(("Wood.jpg", jpeg(seed=2)))
        ben.uploads(("Hill.jpg", jpeg(seed=3)))
        replaced = accounts.find_user("anna").pictures.first().id
        anna.sends(f"/pictures/{replaced}/replace", "file", ("new.png", png(width=30, height=20)))
        before = snapshot(store)
    store.close()
    return before


def snapshot(store):
    """Return who has which pictures in which albums, with everything that is told of them."""
    shown = {}
    for user in User.select():
        views = {album.dir: album for album in albums.list_albums(store, user)}
        for view in pictures.page(store, user).pictures:
            data = store.load(Picture.get_by_id(view.id).original_id)
            album = views[view.album_dir]
            facts = (
                view.id,
                view.title,
                view.width,
                view.height,
                view.format,
                view.size,
                view.created_at,
                data,
            )
            shown[facts] = (user.name, album.dir, album.title, album.is_default)
    return shown


def test_everything_comes_back(lost):
    """Every picture is back under its id, with owner, album, title, size and time, byte for byte."""
    _, store, before = lost

    done = recovery.recover(store, found_images(store))

    assert snapshot(store) == before
    assert (done.users, done.albums, done.pictures, done.lost) == (2, 3, 3, [])


def test_twice_changes_nothing(lost):
    """Running it again makes nothing and alters nothing."""
    _, store, before = lost
    found = found_images(store)
    recovery.recover(store, found)

    again = recovery.recover(store, found)

    assert (again.users, again.albums, again.pictures) == (0, 0, 0)
    assert snapshot(store) == before
    assert [album.is_default for album in Album.select()].count(True) == 2


def test_accounts_have_no_password_until_one_is_set(lost):
    """Nobody can log in to an account that came back, with any password, before it is given one."""
    app, store, _ = lost
    recovery.recover(store, found_images(store))
    user = accounts.find_user("anna")

    for password in ("", PASSWORD):
        assert Visitor(app).post("/login", {"name": "anna", "password": password}).status_code == 422
    accounts.set_password(store, user, PASSWORD)
    assert Visitor(app).logs_in("anna").get("/").text.count('<li class="card') == 2


def test_images_of_others_are_left_alone(lost):
    """Images that some program saved without, or with other details, are no pictures."""
    _, store, _ = lost
    odd = (
        {},
        {"role": "original"},
        {"picture": "x" * 26, "role": 7},
        {"role": "original", "picture": "../x"},
    )

    done = recovery.recover(
        store, [(f"imageid{number}", "jpg", 1, details) for number, details in enumerate(odd)]
    )

    assert (done.users, done.albums, done.pictures, done.lost) == (0, 0, 0, [])


def test_lost_thumbnail_is_made_again(lost):
    """A picture whose thumbnail did not come back gets a new one."""
    _, store, before = lost
    found = [image for image in found_images(store) if image[3]["role"] == "original"]

    done = recovery.recover(store, found)

    assert done.pictures == 3
    assert snapshot(store) == before
    assert all(pixels(store.load(picture.thumbnail_id)) for picture in Picture.select())


def test_lost_original_is_reported(lost):
    """A picture of which only the thumbnail is left cannot come back, and is named."""
    _, store, _ = lost
    found = [image for image in found_images(store) if image[3]["role"] == "thumbnail"]

    done = recovery.recover(store, found)

    assert done.pictures == 0
    assert sorted(done.lost) == sorted({image[3]["picture"] for image in found})


def test_titles_move_to_a_new_store_key(gallery, anna, now):
    """After a rotation every title opens without the old key."""
    anna.uploads(("Sea.jpg", jpeg()), new_album="Walks")
    before = snapshot(gallery)
    rotation.rotate_store_key(gallery)
    now.forward(2 * rotation.RETIREMENT)

    report = rotation.re_encrypt(gallery, texts=recovery.reseal_titles)

    assert report.texts == 3  # two albums, one picture
    assert len(report.dropped_keys) == 1
    assert snapshot(gallery) == before


def test_recovery_works_on_a_copy(lost, tmp_path):
    """Blobs, keyring and master key are all it takes: a copy of them on another machine comes back the same."""
    _, store, before = lost
    copy = tmp_path / "elsewhere"
    shutil.copytree(store.config.data_dir, copy, ignore=shutil.ignore_patterns("*.sqlite*"))
    app = create_app(Config(data_dir=copy))
    other: ImageStore = app.extensions["pixstore"]

    with other.connected():
        recovery.recover(other, found_images(other))
        assert snapshot(other) == before
    other.close()
