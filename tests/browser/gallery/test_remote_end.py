"""A login that is ended from another browser: what becomes of the pictures that this one keeps."""

import pytest

from tests.browser.engines.locator import expect
from tests.browser.gallery.conftest import OWNER, PASSWORD
from tests.browser.gallery.gallery_page import GalleryPage
from tests.eventually import eventually

pytestmark = pytest.mark.browser


@pytest.fixture
def elsewhere(browser, gallery):
    """The owner in another browser, logged in."""
    context = browser.new_context()
    person = GalleryPage(context, gallery.url)
    person.logs_in(OWNER, PASSWORD)
    yield person
    context.close()


def ends_the_others(person: GalleryPage) -> None:
    """End every other login, on the account page."""
    person.opens("Account")
    person.page.get_by_role("button", name="End the others").click()
    expect(person.page.get_by_text("Every other login has ended.")).to_be_visible()


def test_the_cache_is_emptied_at_the_next_visit(maria, elsewhere, photo):
    """Pictures stay cached until the next visit, which shows the login page and empties the cache before it shows any."""
    maria.uploads(photo("pier.jpg"))
    maria.opens_picture("pier")
    maria.sees(maria.picture)
    eventually(lambda: len(maria.cached_ids()) >= 1)

    ends_the_others(elsewhere)
    assert len(maria.cached_ids()) >= 1
    requests = len(maria.image_requests)
    maria.page.goto(f"{maria.url}/")

    expect(maria.page.get_by_role("heading", name="Log in")).to_be_visible()
    assert maria.page.evaluate("() => document.querySelectorAll('pixstore-image').length") == 0
    eventually(lambda: maria.cached_ids() == [])
    assert len(maria.image_requests) == requests


def test_going_back_shows_nothing(maria, elsewhere, photo):
    """Nor does going back to a page with pictures show it again."""
    maria.uploads(photo("beach.webp"))
    maria.opens_picture("beach")
    maria.sees(maria.picture)
    maria.opens("Albums")

    ends_the_others(elsewhere)
    maria.page.go_back()

    expect(maria.page.get_by_role("heading", name="Log in")).to_be_visible()
    eventually(lambda: maria.cached_ids() == [])
