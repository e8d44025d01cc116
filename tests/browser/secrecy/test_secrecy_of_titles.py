"""What a browser keeps of titles, album names and file names after a logout: nothing, in any of the engines."""

from collections.abc import Callable
from pathlib import Path

import pytest
from werkzeug.wrappers import Request, Response

from tests.browser.engines.locator import expect
from tests.browser.gallery.gallery_page import GalleryPage
from tests.browser.secrecy.profiles import CHROMIUM, FIREFOX, WEBKIT, Start, in_engines, on_webkit
from tests.browser.secrecy.traces import Sought, files_of, unpacked
from tests.servers import serving

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

PASSWORD = "a long and private sentence"
# Each has a word of its own that is long enough to be looked for, and stands in no other file of a browser.
FILE, SECOND_FILE = "Kniegelenkspunktion Frau Adler.jpg", "Wundversorgungsprotokoll Herr Bach.png"
REPLACEMENT, NOT_SENT = "Nachsorgeuntersuchungsbild.png", "Schienbeinfrakturaufnahme.png"
ALBUM, RENAMED_ALBUM = "Intensivpflegestation Neun", "Palliativpflegebereich Drei"
TITLE, TYPED_ONLY = "Unterschenkelamputation links", "Halswirbelsaeulenverletzung"
WORDS = (FILE, SECOND_FILE, REPLACEMENT, NOT_SENT, ALBUM, RENAMED_ALBUM, TITLE, TYPED_ONLY)

in_every_engine = in_engines(CHROMIUM, FIREFOX, WEBKIT)


def sought(*texts: str) -> Sought:
    """Return a search for each of the long words in *texts*."""
    wanted = Sought()
    for text in texts:
        word = max(text.replace(".", " ").split(), key=len)
        assert len(word) >= 16
        wanted.add_text(text, word)
    return wanted


def works(person: GalleryPage, photo: Callable[[str], Path]) -> None:
    """Do all that has to do with titles and names; leave some of it undone."""
    page = person.page
    person.uploads(photo(FILE), photo(SECOND_FILE), album=ALBUM)
    person.opens("Albums")
    page.get_by_role("link", name=ALBUM).click()
    person.sees_thumbnails(2)
    page.get_by_text("Rename", exact=True).click()
    page.get_by_label("Title").fill(RENAMED_ALBUM)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name=RENAMED_ALBUM)).to_be_visible()
    page.get_by_role("link", name=Path(FILE).stem).click()
    person.sees(person.picture)
    page.get_by_text("Rename", exact=True).click()
    page.get_by_label("Title", exact=True).fill(TITLE)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name=TITLE)).to_be_visible()
    person.replaces_by(photo(REPLACEMENT))
    person.sees(person.picture)
    person.downloads()
    _begins_and_leaves(person, photo)
    page.go_back()
    page.reload()
    person.opens_picture(TITLE)
    person.deletes()


def _begins_and_leaves(person: GalleryPage, photo: Callable[[str], Path]) -> None:
    page = person.page
    page.get_by_text("Rename", exact=True).click()
    page.get_by_label("Title", exact=True).fill(TYPED_ONLY)
    person.opens("Upload")
    page.locator("#files").set_input_files(photo(NOT_SENT))
    page.get_by_label("Or a new album").fill(TYPED_ONLY)
    person.opens("Pictures")


@in_every_engine
def test_no_title_outlasts_a_login(start: Start, server, photo, profile):
    """No file of the browser holds a title, an album's name or the name of a file that was sent: neither before a logout nor after."""
    with start(profile) as context:
        person = GalleryPage(context, server.url)
        person.sets_up(server.setup_link(), "maria", PASSWORD)
        works(person, photo)
        person.page.wait_for_timeout(2000)  # browsers take their time to write
        before = sought(*WORDS).within(files_of(profile))
        person.logs_out()

    assert before == set()
    assert sought(*WORDS).within(files_of(profile)) == set()


# --- the search finds what is there

PLANTED = {name: f"Vorlesungsverzeichnis{name}" for name in ("title", "field", "storage", "address")}


@Request.application
def _planting(request: Request) -> Response:
    html = f"""<!doctype html><html lang=en><title>{PLANTED["title"]}</title>
      <form><label>Words <input name=words></label><button>Send</button></form>"""
    return Response(html if request.path == "/" else "", mimetype="text/html")


@in_every_engine
def test_a_title_is_found_where_it_is_kept(start: Start, profile):
    """What a page leaves as its title, in a form, in storage or in its address is found in the files of each engine."""
    with serving(_planting) as port, start(profile) as context:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}/?at={PLANTED['address']}")
        page.evaluate(f"() => {{ localStorage.planted = '{PLANTED['storage']}' }}")
        page.get_by_label("Words").fill(PLANTED["field"])
        page.get_by_role("button", name="Send").click()
        page.wait_for_timeout(2000)
        page.goto(f"http://127.0.0.1:{port}/elsewhere")

    found = sought(*PLANTED.values()).within(files_of(profile))
    # WebKit's library leaves history to the browser that is built with it.
    expected = {PLANTED["storage"]} if start is on_webkit else set(PLANTED.values())
    assert found >= expected


def test_what_firefox_packs_is_unpacked():
    """A word that stands in a packed file only in part, because it was repeated, is found."""
    header = b"mozLz40\0" + bytes(4)
    repeated = b"\xc2Abendessen--" + b"\x0c\x00"  # 12 letters; 2 + 4 more, as they stood 12 letters before
    long = b"\xf0\xff\x1e" + b"x" * 300  # 15 + 255 + 30 letters

    assert unpacked(header + repeated + b"\x40brot") == b"Abendessen--Abendebrot"
    assert unpacked(header + repeated + long) == b"Abendessen--Abende" + b"x" * 300
