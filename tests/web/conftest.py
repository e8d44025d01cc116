"""Fixtures for tests of the pages. Those that other folders share lie in ``tests/gallery_fixtures.py``."""

import pytest

from app import create_app
from pixstore.config import Config
from pixstore.gallery import accounts
from tests.gallery_client import PASSWORD


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Return an application with four accounts, for all rows of the table of routes."""
    app = create_app(Config(data_dir=tmp_path_factory.mktemp("access") / "data"))
    gallery = app.extensions["pixstore.gallery"]
    with gallery.store.connected():
        for name in ("mine", "other", "bystander"):
            accounts.create_user(gallery, name, PASSWORD)
        accounts.create_user(gallery, "installer", PASSWORD, is_owner=True)
        yield app
    gallery.store.close()
