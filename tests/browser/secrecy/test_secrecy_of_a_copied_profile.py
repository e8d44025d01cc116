"""What a copy of a browser's profile opens: a login that goes on, and nothing once that login has ended."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.browser.engines.locator import expect
from tests.browser.gallery.gallery_page import GalleryPage
from tests.browser.secrecy.profiles import CHROMIUM, FIREFOX, Start, in_engines
from tests.gallery_server import GalleryServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

PASSWORD = "a long and private sentence"
# WebKit's library leaves it to the browser that is built with it whether cookies are kept.
in_engines_with_cookies = in_engines(CHROMIUM, FIREFOX)


@pytest.fixture
def copied(start: Start, server: GalleryServer, profile: Path, photo: Callable[[str], Path], tmp_path: Path):
    """Return a copy of the files of a browser in which somebody is logged in and has looked at a picture."""
    with start(profile) as context:
        person = GalleryPage(context, server.url)
        person.sets_up(server.setup_link(), "maria", PASSWORD)
        person.uploads(photo("sea.jpg"))
        person.opens("Pictures")
        person.sees_thumbnails(1)
        person.page.wait_for_timeout(2000)  # browsers take their time to write cookies
    return shutil.copytree(
        profile, tmp_path / "copied", symlinks=True, ignore=shutil.ignore_patterns("*lock*")
    )


@in_engines_with_cookies
def test_a_copied_profile_is_logged_in(start, server, copied):
    """Whoever copies the profile of somebody who is logged in has the login, and sees the pictures without a password."""
    with start(copied) as context:
        thief = GalleryPage(context, server.url)
        thief.page.goto(server.url)

        thief.sees_thumbnails(1)


@in_engines_with_cookies
def test_a_login_that_was_ended_is_worth_nothing_in_a_copy(start, server, copied):
    """Once the login has been ended from elsewhere, the copy shows the login page; the device cookie in it opens nothing."""
    with closing(sqlite3.connect(server.data_dir / "pixstore.sqlite", timeout=15)) as database, database:
        database.execute("DELETE FROM gallery_login_session")

    with start(copied) as context:
        thief = GalleryPage(context, server.url)
        thief.page.goto(server.url)

        expect(thief.page.get_by_role("heading", name="Log in")).to_be_visible()
        assert thief.page.evaluate("() => document.cookie") == ""
