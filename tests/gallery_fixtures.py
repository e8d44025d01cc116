"""Fixtures for tests of the gallery: the application on a real store, people who use it, and its command line."""

import pytest

from app import create_app
from pixstore.gallery import accounts, albums, pictures
from pixstore.gallery.scopes import Scope
from tests.gallery_client import PASSWORD, GalleryClient
from tests.images import jpeg


@pytest.fixture
def app(config, now):
    """Return the application over a new store, with the clock of the test."""
    app = create_app(config, now=now)
    yield app
    app.extensions["pixstore"].close()


@pytest.fixture
def gallery(app):
    """Return the gallery of the application, connected for the test's own queries."""
    gallery = app.extensions["pixstore.gallery"]
    with gallery.store.connected():
        yield gallery


@pytest.fixture
def reopened(config, now):
    """Return a function that makes the application anew, as another process would."""
    made = []

    def reopened(config=config):
        app = create_app(config, now=now)
        made.append(app)
        return app

    yield reopened
    for app in made:
        app.extensions["pixstore"].close()


# --- people


@pytest.fixture
def anna(app, gallery):
    """Return somebody with an account, logged in. Anna owns no more than her pictures."""
    accounts.create_user(gallery, "anna", PASSWORD)
    return GalleryClient(app).logs_in("anna")


@pytest.fixture
def ben(app, gallery):
    """Return somebody else with an account, logged in."""
    accounts.create_user(gallery, "ben", PASSWORD)
    return GalleryClient(app).logs_in("ben")


@pytest.fixture
def olga(app, gallery):
    """Return the owner of the installation, logged in."""
    accounts.create_user(gallery, "olga", PASSWORD, is_owner=True)
    return GalleryClient(app).logs_in("olga")


@pytest.fixture
def stranger(app):
    """Return somebody who is not logged in."""
    return GalleryClient(app)


# --- what they have


@pytest.fixture
def add_pictures(gallery, now):
    """Return a function that adds small pictures of a user, a second apart, oldest first."""

    def add(name, count=1, *, album=None, data=None):
        user = accounts.find_user(gallery, name)
        album = album or albums.default_album(gallery, user)
        added = []
        for number in range(count):
            now.forward(1000)
            image = data or jpeg(seed=number)
            shown = pictures.add_picture(gallery, user, album, image, file_name=f"picture {number}.jpg")
            added.append(pictures.get_picture(gallery, user, shown.id))
        return added

    return add


@pytest.fixture
def reload_picture(gallery):
    """Return a function that reads a picture's row again; ``None`` where it is gone."""
    row = gallery.models.picture
    return lambda picture: row.get_or_none(row.id == picture.id)


def snapshot(gallery):
    """Return who has which pictures in which albums, with everything that is told of them."""
    shown = {}
    for user in accounts.list_users(gallery):
        views = {album.dir: album for album in albums.list_albums(gallery, user)}
        for view in pictures.page(gallery, Scope(user.id)).pictures:
            data = gallery.store.load(view.original.id)
            album = views[view.album_dir]
            facts = (
                view.id,
                view.title,
                view.width,
                view.height,
                view.format,
                view.size,
                view.created_at,
                view.taken_at,
                data,
            )
            shown[facts] = (user.name, album.dir, album.title, album.is_default)
    return shown


# --- commands


@pytest.fixture
def run(app):
    """Return a function that runs a command of the application, and returns its result."""
    return command_line(app)


def command_line(app):
    """Return a function that runs `flask pixstore …` on *app* with what is typed, and returns its result."""
    runner = app.test_cli_runner()
    return lambda *words, typed="": runner.invoke(args=["pixstore", *words], input=typed)
