"""The application on a real store, and people who use it."""

import pytest

from app import create_app
from pixstore.config import Config
from pixstore.gallery import accounts, albums, pictures
from tests.images import jpeg
from tests.web.visitor import PASSWORD, Visitor


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


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Return an application with three accounts, for all rows of the table."""
    app = create_app(Config(data_dir=tmp_path_factory.mktemp("access") / "data"))
    gallery = app.extensions["pixstore.gallery"]
    with gallery.store.connected():
        for name in ("mine", "other", "bystander"):
            accounts.create_user(gallery, name, PASSWORD)
        accounts.create_user(gallery, "installer", PASSWORD, is_owner=True)
        yield app
    gallery.store.close()
