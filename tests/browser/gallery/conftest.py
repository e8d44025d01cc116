"""One gallery for all tests here, with the owner's account; a tab and photos for each."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.browser.gallery import photos
from tests.browser.gallery.gallery_page import GalleryPage
from tests.gallery_server import GalleryServer

OWNER, PASSWORD = "maria", "a long and private sentence"


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[GalleryServer]:
    """Return a running gallery, set up through its link in the browser."""
    server = GalleryServer(tmp_path_factory.mktemp("gallery")).start()
    context = browser.new_context()
    GalleryPage(context, server.url).sets_up(server.setup_link(), OWNER, PASSWORD)
    context.close()
    yield server
    server.stop()


@pytest.fixture
def new_person(context: BrowserContext, gallery: GalleryServer) -> Iterator[Callable[[], GalleryPage]]:
    """Return a function that opens a tab; none of them may have had reason to complain."""
    tabs: list[GalleryPage] = []

    def new_person() -> GalleryPage:
        tabs.append(GalleryPage(context, gallery.url))
        return tabs[-1]

    yield new_person
    assert [line for tab in tabs for line in tab.complaints] == []


@pytest.fixture
def maria(new_person: Callable[[], GalleryPage]) -> GalleryPage:
    """The owner, logged in."""
    person = new_person()
    person.logs_in(OWNER, PASSWORD)
    return person


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that gives the file of a photo by its name, which tells the kind: `harbour.jpg`."""
    folder = tmp_path_factory.mktemp("photos")

    def photo(name: str) -> Path:
        path = folder / name
        if not path.exists():
            photos.write(path)
        return path

    return photo
