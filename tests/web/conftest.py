"""The application on a real store, and people who use it."""

import pytest

from app import create_app
from pixstore.config import Config
from pixstore.gallery import accounts, albums, pictures
from pixstore.gallery.models import Picture
from tests.images import jpeg
from tests.web.visitor import PASSWORD, Visitor


@pytest.fixture
def app(config, now):
    """Return the application over a new store, with the clock of the test."""
    app = create_app(config)
    app.extensions["pixstore"].now = now
    yield app
    app.extensions["pixstore"].close()


@pytest.fixture
def gallery(app):
    """Return the store of the application, connected for the test's own queries."""
    store = app.extensions["pixstore"]
    with store.connected():
        yield store


@pytest.fixture
def anna(app, gallery):
    """Return somebody with an account, logged in. Anna owns no more than her pictures."""
    accounts.create_user(gallery, "anna", PASSWORD)
    return Visitor(app).logs_in("anna")


@pytest.fixture
def ben(app, gallery):
    """Return somebody else with an account, logged in."""
    accounts.create_user(gallery, "ben", PASSWORD)
    return Visitor(app).logs_in("ben")


@pytest.fixture
def olga(app, gallery):
    """Return the owner of the installation, logged in."""
    accounts.create_user(gallery, "olga", PASSWORD, is_owner=True)
    return Visitor(app).logs_in("olga")


@pytest.fixture
def stranger(app):
    """Return somebody who is not logged in."""
    return Visitor(app)


@pytest.fixture
def add_pictures(gallery, now):
    """Return a function that adds small pictures of a user, a second apart, oldest first."""

    def add(name, count=1, *, album=None, data=None):
        user = accounts.find_user(name)
        album = album or albums.default_album(user)
        added = []
        for number in range(count):
            now.forward(1000)
            image = data or jpeg(seed=number)
            added.append(pictures.add_picture(gallery, user, album, image, file_name=f"picture {number}.jpg"))
        return added

    return add


@pytest.fixture
def reload_picture():
    """Return a function that reads a picture's row again; ``None`` where it is gone."""
    return lambda picture: Picture.get_or_none(Picture.id == picture.id)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Return an application with three accounts, for all rows of the table."""
    app = create_app(Config(data_dir=tmp_path_factory.mktemp("access") / "data"))
    store = app.extensions["pixstore"]
    with store.connected():
        for name in ("mine", "other", "bystander"):
            accounts.create_user(store, name, PASSWORD)
        accounts.create_user(store, "installer", PASSWORD, is_owner=True)
        yield app
    store.close()
