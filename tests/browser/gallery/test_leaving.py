"""Taking one's pictures along, and deleting the account, in a real browser against a real server."""

import zipfile
from pathlib import Path

import pytest

from tests.browser.engines.locator import expect
from tests.browser.gallery.gallery_page import GalleryPage
from tests.eventually import eventually

pytestmark = pytest.mark.browser

PASSWORD = "an entirely other sentence"


@pytest.fixture
def leaver(browser, maria):
    """Return a function that opens a browser in which Nina, who has an account for this test, logs in."""
    maria.makes_account("nina", PASSWORD)
    contexts = []

    def leaver() -> GalleryPage:
        contexts.append(browser.new_context())
        person = GalleryPage(contexts[-1], maria.url)
        person.logs_in("nina", PASSWORD)
        return person

    yield leaver
    for context in contexts:
        context.close()


def exports(person: GalleryPage, button: str) -> Path:
    """Export all pictures; return the file that arrives."""
    with person.page.expect_download() as download:
        person.page.get_by_role("button", name=button).click()
    return Path(download.value.path())


def test_taking_everything_along_and_leaving(leaver, photo, maria, gallery):
    """The export holds the originals; with the account go its pictures, its logins elsewhere, and this browser's cache."""
    nina, elsewhere = leaver(), leaver()
    files = [photo("harbour.jpg"), photo("window.png")]
    before = gallery.image_ids()
    nina.uploads(*files, album="Walks")
    nina.opens_picture("harbour")
    nina.sees(nina.picture)
    eventually(lambda: len(nina.cached_ids()) >= 1)

    nina.opens("Account")
    nina.page.get_by_role("link", name="Delete", exact=True).click()
    archive = exports(nina, "Export 2 pictures")
    nina.page.get_by_label("to confirm").fill("nina")
    nina.page.get_by_label("Your password").fill(PASSWORD)
    nina.page.get_by_role("button", name="Delete for good").click()

    expect(nina.page.get_by_text("Your account and all its pictures have been deleted.")).to_be_visible()
    eventually(lambda: nina.cached_ids() == [])
    elsewhere.opens("Albums")
    expect(elsewhere.page.get_by_role("heading", name="Log in")).to_be_visible()
    assert gallery.image_ids() == before
    with zipfile.ZipFile(archive) as opened:
        assert {name: opened.read(name) for name in opened.namelist()} == {
            f"Walks/{file.name}": file.read_bytes() for file in files
        }


def test_owner_deletes_somebody(leaver, maria):
    """An owner deletes an account from the list of people, and its person is logged out."""
    nina = leaver()
    maria.opens("Account")
    maria.page.get_by_role("link", name="Manage accounts").click()
    maria.page.get_by_role("link", name="Delete the account nina").click()
    maria.page.get_by_label("to confirm").fill("nina")
    maria.page.get_by_label("Your password").fill("a long and private sentence")

    maria.page.get_by_role("button", name="Delete for good").click()

    expect(maria.page.get_by_text("nina and all pictures of that account have been deleted.")).to_be_visible()
    nina.opens("Pictures")
    expect(nina.page.get_by_role("heading", name="Log in")).to_be_visible()
