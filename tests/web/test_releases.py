"""A store that an earlier release left on disk: the present code opens it, with everything that was in it."""

import hashlib

import pytest

from app import create_app
from pixstore.config import Config
from pixstore.gallery import accounts, albums, pictures
from pixstore.gallery.scopes import Scope
from pixstore.maintenance.check import check
from tests.gallery_client import GalleryClient
from tests.gallery_fixtures import command_line
from tests.releases import ARCHIVES, unpack


@pytest.fixture(name="left", params=ARCHIVES, ids=lambda path: path.name.removesuffix(".tar.gz"))
def _left(request, tmp_path):
    """Return the directory that a release left, and what is in it."""
    return tmp_path, unpack(request.param, tmp_path)


@pytest.fixture(name="app")
def _app(left):
    """Return the present application on the data directory of the release."""
    app = create_app(Config(data_dir=left[0] / "data"))
    yield app
    app.extensions["pixstore"].close()


def _sha256(data):
    return hashlib.sha256(data).hexdigest()


def test_every_picture_is_there(app, left):
    """Each account has its pictures, with title and album, byte for byte."""
    gallery, told = app.extensions["pixstore.gallery"], left[1]

    with gallery.store.connected():
        for name, expected in told["accounts"].items():
            user = accounts.find_user(gallery, name)
            titles = {album.dir: album.title for album in albums.list_albums(gallery, user)}
            shown = pictures.page(gallery, Scope(user.id)).pictures

            assert {(titles[view.album_dir], view.title, view.id) for view in shown} == {
                (entry["album"], entry["title"], entry["picture"]) for entry in expected
            }
            for entry in expected:
                assert _sha256(gallery.store.load(entry["original"])) == entry["sha256"]


def test_every_image_of_the_library_is_there(app, left):
    """Images that another program saved keep their ids and tokens."""
    store, told = app.extensions["pixstore"], left[1]

    for image_id, expected in told["images"].items():
        assert _sha256(store.load(image_id)) == expected["sha256"]
        assert store.record(image_id).token == expected["token"]


def test_nothing_is_found_by_a_deep_check(app):
    """The store of the earlier release is sound by the rules of this one."""
    assert check(app.extensions["pixstore"], deep=True).findings == []


def test_accounts_can_log_in(app, left):
    """Passwords of the earlier release are accepted."""
    for name in left[1]["accounts"]:
        assert GalleryClient(app).logs_in(name, left[1]["password"]).get("/").status_code == 200


def test_pictures_are_brought_up_to_date(app, left):
    """What this release keeps of a photo, and the earlier one did not, is read from its file."""
    gallery, told = app.extensions["pixstore.gallery"], left[1]
    (photo,) = [entry for entry in told["accounts"]["anna"] if entry["title"] == "Sea at dusk"]

    result = command_line(app)("upgrade-pictures")

    assert (result.exit_code, result.stdout) == (0, "5 pictures brought up to date\n")
    with gallery.store.connected():
        row = pictures.get_picture(gallery, accounts.find_user(gallery, "anna"), photo["picture"])
        facts = pictures.facts_of(gallery, row)
    assert (facts.camera, facts.latitude, facts.longitude) == ("Acme Pocket 5", 48.856667, 2.350833)
    assert row.taken_at == facts.taken_at == 1_563_129_125_000
