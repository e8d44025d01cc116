"""What is left in a browser after a day with the gallery: no key, and after the end of a login no picture either."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests import images
from tests.browser.conftest import chromium_with_files
from tests.browser.gallery.gallery_page import GalleryPage
from tests.browser.secrecy.session import PASSWORDS, Session
from tests.eventually import eventually
from tests.gallery_server import GalleryServer

# Browsers take their time to remove files.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@dataclass
class Found:
    """What was found where, by the moment at which it was looked for."""

    in_files: dict[str, set[str]] = field(default_factory=dict)
    within_reach: dict[str, set[str]] = field(default_factory=dict)
    in_pages: dict[str, set[str]] = field(default_factory=dict)
    pictures: dict[str, set[str]] = field(default_factory=dict)
    keys: int = 0
    proofs: int = 0

    def look(self, moment: str, session: Session) -> None:
        """Look everywhere."""
        session.learns()
        self.in_files[moment] = session.kept_in_files()
        self.within_reach[moment] = session.kept_within_reach()
        self.in_pages[moment] = session.keys_in_pages()
        self.pictures[moment] = session.pictures_in_files()


@pytest.fixture(scope="module")
def found(browser, tmp_path_factory):
    """Live a day with the gallery, and look for what it leaves at every turn."""
    folder, profile = tmp_path_factory.mktemp("secrecy"), tmp_path_factory.mktemp("profile")
    server = GalleryServer(folder).start()
    try:
        yield _day(browser, server, profile, _photos(folder))
    finally:
        server.stop()


def _day(browser, server: GalleryServer, profile: Path, photos: list[Path]) -> Found:
    found = Found()
    with chromium_with_files(browser, profile) as context:
        session = Session(context, server, profile)
        session.person.sets_up(server.setup_link(), "maria", PASSWORDS["maria"])
        session.person.makes_account("otto", PASSWORDS["otto"])
        _works(session, photos)
        found.look("while logged in", session)

        session.person.logs_out()
        _is_tidy(session)
        found.look("logged out", session)

        _comes_back(session)
        found.look("logged in again", session)
        session.expires()
        session.person.page.reload()
        expect(session.person.page.get_by_role("heading", name="Log in")).to_be_visible()
        _is_tidy(session)
        found.look("expired", session)

        _comes_back(session)
        session.learns()
        session.forgets_the_login()
        session.person.logs_in("otto", PASSWORDS["otto"])
        _is_tidy(session)
        found.look("somebody else", session)
    found.in_files["closed"] = session.kept_in_files()
    found.pictures["closed"] = session.pictures_in_files()
    found.keys, found.proofs = len(session.keys_used), len(session.proofs_used)
    return found


def _photos(folder: Path) -> list[Path]:
    photos = {
        "harbour.jpg": images.jpeg(size_kb=300),
        "window.png": images.png(size_kb=80, width=200),
        "meadow.webp": images.webp(size_kb=40),
        "after.png": images.png(size_kb=120, width=200, seed=1),
    }
    for name, content in photos.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in photos]


def _is_tidy(session: Session) -> None:
    """Wait until the browser has removed the files of what was deleted, which it does a few seconds later."""
    eventually(lambda: session.pictures_in_files() == set(), 40)


def _works(session: Session, photos: list[Path]) -> None:
    """Upload, browse, look, replace, go back and forth, reload, delete."""
    *first, after = photos
    person = session.person
    session.uploads(*first)
    person.opens("Pictures")
    person.sees_thumbnails(3)
    person.opens_picture("harbour")
    person.sees(person.picture)
    session.learns()
    person.replaces_by(after)
    person.sees(person.picture)
    session.learns()
    person.page.go_back()
    person.sees_thumbnails(3)
    person.page.go_forward()
    person.sees(person.picture)
    person.page.reload()
    person.sees(person.picture)
    person.opens_picture("window")
    person.sees(person.picture)
    person.opens_picture("meadow")
    person.sees(person.picture)
    session.learns()
    person.deletes()
    person.sees_thumbnails(2)
    _cached(person)


def _comes_back(session: Session) -> None:
    person = session.person
    person.logs_in("maria", PASSWORDS["maria"])
    person.sees_thumbnails(2)
    person.opens_picture("window")
    person.sees(person.picture)
    _cached(person)


def _cached(person: GalleryPage) -> None:
    eventually(lambda: len(person.cached_ids()) >= 2)


def test_no_secret_is_in_the_browsers_files(found):
    """At no moment does a file of the browser hold a key, a payload with one, a proof, a password, or a form's token."""
    assert found.keys >= 8
    assert found.proofs >= 4
    assert len(found.in_files) == 6
    assert not any(found.in_files.values()), found.in_files


def test_no_secret_is_kept_within_reach_of_scripts(found):
    """Nor does any storage that a script of the page could read."""
    assert len(found.within_reach) == 5
    assert not any(found.within_reach.values()), found.within_reach


def test_no_key_is_in_pages(found):
    """No key is in the source of a page, its elements, an address, or on the console."""
    assert len(found.in_pages) == 5
    assert not any(found.in_pages.values()), found.in_pages


def test_pictures_are_kept_while_somebody_is_logged_in(found):
    """The cache does hold pictures, on disk too, and the search finds them."""
    assert found.pictures["while logged in"]
    assert found.pictures["logged in again"]


@pytest.mark.parametrize("moment", ["logged out", "expired", "somebody else", "closed"])
def test_no_picture_outlasts_a_login(found, moment):
    """After a logout, after a login has expired, and when somebody else has logged in, no file holds a part of a picture."""
    assert found.pictures[moment] == set()
