"""What a browser writes down of a page: its title, what was typed into it, what was downloaded. Nothing of a picture."""

import re

import pytest

from pixstore.gallery import accounts, albums
from tests.images import jpeg
from tests.web.routes import TABLE, address

TITLE, ALBUM = "Grandmother in hospital", "Diagnosis and prognosis"
TITLES = re.compile(r"<title>(.*?)</title>", re.DOTALL)
FIELDS = re.compile(r"<input[^>]+(?:name=\"(?:title|new_album)\"|type=\"file\")[^>]*>")


@pytest.fixture
def pages(anna, gallery):
    """Return every page that Anna can ask for, and the fragments of them that htmx gets, by their address."""
    anna.uploads((f"{TITLE}.jpg", jpeg()), new_album=ALBUM)
    picture = gallery.models.picture.get()
    user = accounts.find_user(gallery, "anna")
    arguments = {"picture_id": picture.id, "album_dir": picture.album_id, "user_id": user.id}
    found = {}
    for row in TABLE:
        needed = {name for rule in anna.app.url_map.iter_rules(row.endpoint) for name in rule.arguments}
        if row.method == "GET" and needed <= arguments.keys():
            path = address(anna.app, row.endpoint, arguments)
            found |= {(path, htmx): anna.get(path, htmx=htmx).text for htmx in (False, True)}
    assert [album.title for album in albums.list_albums(gallery, user)][-1] == ALBUM
    return found


def test_no_title_of_a_page_names_a_picture(pages):
    """Browsers keep the title of a page in their history, beyond a logout: it says what kind of page it is, and no more."""
    said = {title for text in pages.values() for title in TITLES.findall(text)}

    assert {"Picture – Pixstore", "Album – Pixstore", "Pictures – Pixstore", "Albums – Pixstore"} <= said
    assert not [title for title in said if TITLE in title or ALBUM in title]
    assert sum(TITLE in text for text in pages.values()) >= 4
    assert sum(ALBUM in text for text in pages.values()) >= 4


def test_browsers_are_asked_to_keep_no_title_that_is_typed(pages):
    """Fields for titles and files take part neither in autofill nor in what a browser restores, nor in checks elsewhere."""
    forms = [form for text in pages.values() for form in re.findall(r"<form.*?</form>", text, re.DOTALL)]
    with_titles = [form for form in forms if FIELDS.search(form)]

    assert len(with_titles) >= 6
    for form in with_titles:
        assert 'autocomplete="off"' in form[: form.index(">")]
        for field in FIELDS.findall(form):
            assert 'type="file"' in field or ('autocomplete="off"' in field and 'spellcheck="false"' in field)


def test_downloads_are_not_named_after_the_picture(anna, gallery, pages):
    """The list of downloads outlasts a logout: a file is named by its day and the start of its picture's id."""
    picture = gallery.models.picture.get()

    names = {name for text in pages.values() for name in re.findall(r'data-download="([^"]*)"', text)}

    assert names == {f"picture-2025-11-21-{picture.id[:6]}"}
