"""The gallery below a path prefix, on a real server that is given one, in a real browser."""

import pytest

from tests.browser.gallery.gallery_page import GalleryPage
from tests.eventually import eventually
from tests.gallery_server import GalleryServer

pytestmark = pytest.mark.browser

PREFIX, PASSWORD = "/photos", "a long and private sentence"


class ServerBelow(GalleryServer):
    """A gallery that gunicorn puts below the prefix."""

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{super().url}{PREFIX}"


@pytest.fixture
def below(tmp_path):
    """Return a running gallery below the prefix."""
    server = ServerBelow(tmp_path, SCRIPT_NAME=PREFIX).start()
    yield server
    server.stop()


def test_everything_works_below_the_prefix(below, context, photo):
    """Set-up, upload, thumbnails, a picture from the network and from the cache, deletion and logout ask for nothing outside."""
    person = GalleryPage(context, below.url)
    asked = []
    person.page.on("request", lambda request: asked.append(request.url))

    person.sets_up(below.setup_link(), "maria", PASSWORD)
    person.uploads(photo("harbour.jpg"))
    person.opens("Pictures")
    person.sees_thumbnails(1)
    person.opens_picture("harbour")
    assert person.compares_with(photo("harbour.jpg")) == "same"
    person.page.reload()
    person.sees(person.picture)
    person.deletes()
    person.logs_out()

    eventually(lambda: person.cached_ids() == [])
    assert person.complaints == []
    assert len(asked) > 20
    assert [url for url in asked if not url.startswith((f"{below.url}/", "blob:", "data:"))] == []
