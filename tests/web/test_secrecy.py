"""What must not stand anywhere: keys in pages, titles in the database, secrets in logs."""

import logging
import re

import pytest

from pixstore.gallery import accounts, albums
from tests.gallery_client import PASSWORD, GalleryClient
from tests.images import jpeg
from tests.web.routes import TABLE, address

TITLES = ("Grandmother in hospital", "Diagnosis and prognosis")


@pytest.fixture
def filled(anna, gallery, add_pictures):
    """Return Anna, who has a titled album with a titled picture."""
    anna.uploads((f"{TITLES[0]}.jpg", jpeg()), new_album=TITLES[1])
    add_pictures("anna")
    return anna


def secrets_of(store):
    """Return everything that opens an image of the store, as it might be written in a page."""
    for row in store.parts.models.image.select():
        record = store.record(row.id)
        yield from (record.meta.key, record.meta.iv, record.meta.tag)
        yield from (bytes(part).hex() for part in (row.wrapped_key, row.iv, row.tag))


def test_no_key_in_any_page(filled, gallery):
    """No page and no fragment, of whatever route, holds the key of an image, its IV or its tag."""
    user = accounts.find_user(gallery, "anna")
    album = next(album for album in albums.list_albums(gallery, user) if not album.is_default)
    picture = album_picture(gallery, album)
    arguments = {"picture_id": picture.id, "album_dir": album.dir}
    secrets = set(secrets_of(gallery.store))
    seen = 0

    for row in TABLE:
        needed = {name for rule in filled.app.url_map.iter_rules(row.endpoint) for name in rule.arguments}
        if row.method != "GET" or not needed <= arguments.keys():
            continue
        path = address(filled.app, row.endpoint, arguments)
        for htmx in (False, True):
            answer = filled.get(path, htmx=htmx)
            seen += answer.text.count("<pixstore-image")
            assert not [secret for secret in secrets if secret in answer.text], path

    assert seen >= 8


def album_picture(gallery, album):
    """Return the picture in *album*."""
    picture = gallery.models.picture
    return picture.get(picture.album == album.dir)


def test_titles_are_not_in_the_database(filled, gallery, config):
    """Neither the file of the database nor any value in it holds a title or a file name."""
    words = {word.encode() for title in TITLES for word in title.split()} - {b"in", b"and"}
    for path in config.data_dir.glob("pixstore.sqlite*"):
        assert not [word for word in words if word in path.read_bytes()]

    for model in vars(gallery.models).values():
        for values in model.select().tuples():
            assert not [title for title in TITLES if any(title in str(value) for value in values)]


def test_titles_open_in_their_own_row_only(filled, gallery):
    """A title that is moved to another row, or from an album to a picture, does not open."""
    first, second = gallery.models.picture.select()
    first.description_sealed, second.description_sealed = second.description_sealed, first.description_sealed
    first.save()
    second.save()
    filled.app.config["PROPAGATE_EXCEPTIONS"] = False

    assert filled.get("/").status_code == 500


def test_token_of_the_session_is_not_in_pages(filled):
    """The session's cookie is nowhere in a page, where a script could read it."""
    assert filled.cookie not in filled.get("/").text


def test_cache_owner_is_opaque_and_ones_own(filled, ben, stranger, gallery):
    """The name under which a browser keeps pictures is neither name nor id, differs by user, and is gone without one."""

    def cache_owner(visitor, path="/"):
        found = re.search(r'"cacheOwner": "([^"]+)"', visitor.get(path).text)
        return None if found is None else found[1]

    user = accounts.find_user(gallery, "anna")

    assert re.fullmatch("[0-9a-f]{64}", cache_owner(filled))
    assert user.id not in cache_owner(filled)
    assert cache_owner(filled) == cache_owner(filled)
    assert cache_owner(filled) != cache_owner(ben)
    assert cache_owner(stranger, "/login") is None


def test_logs_tell_no_secret(app, gallery, caplog, stranger):
    """Passwords, session ids, tokens and titles do not reach the log, wrong ones neither."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("peewee").setLevel(logging.WARNING)  # at DEBUG it prints every value on purpose
    accounts.create_user(gallery, "anna", PASSWORD)
    stranger.post("/login", {"name": "anna", "password": "a wrong passphrase"})
    visitor = GalleryClient(app).logs_in("anna")
    visitor.sends_upload((f"{TITLES[0]}.jpg", jpeg()), ("bad.txt", b"x"), new_album=TITLES[1])
    visitor.flask.post("/albums", data={"csrf_token": "forged token", "title": TITLES[1]})

    for secret in (PASSWORD, "a wrong passphrase", "forged token", visitor.cookie, *TITLES):
        assert secret not in caplog.text
