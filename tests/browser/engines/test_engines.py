"""
Firefox and WebKit, where they are installed, at a glance: ``make test-engines`` runs all tests of the browser module and of
the gallery in them.
"""

import pytest

from tests.browser.engines import firefox, webkit
from tests.browser.module.page import ModulePage, tag
from tests.browser.module.server import picture, serving

pytestmark = pytest.mark.browser

has_firefox = pytest.mark.skipif(firefox.program() is None, reason="Firefox is not installed")
has_webkit = pytest.mark.skipif(webkit.program() is None, reason="WebKit's driver is not installed")
LOADED = "document.querySelector('pixstore-image').naturalWidth === 30"
PRIVATE = {"browser.privatebrowsing.autostart": True}


def in_profiles_of(start_firefox, start_webkit):
    """Run a test in a profile of each engine that is installed, started like that."""
    starts = [
        pytest.param(start_firefox, marks=has_firefox, id="firefox"),
        pytest.param(start_webkit, marks=has_webkit, id="webkit"),
    ]
    return pytest.mark.parametrize("context", starts, indirect=True)


@pytest.fixture
def endpoint():
    """A server for one test."""
    with serving() as endpoint:
        yield endpoint


@pytest.fixture
def context(request):
    """A profile of the engine that the test names."""
    with request.param() as browser:
        context = browser.new_context()
        yield context
        context.close()


def shows(page: ModulePage, record: dict) -> None:
    """Open a page with one picture, and wait until it is shown and nothing is left to write."""
    page.opens(tag(record, alt="A red field"))
    page.waits_for(LOADED)
    page.cached()


@in_profiles_of(firefox.firefox, webkit.webkit)
def test_cold_and_warm_in_every_engine(context, endpoint):
    """The element shows a picture, names it, and takes it from the cache the next time."""
    page = ModulePage(context, endpoint)
    record = endpoint.add("a", picture(30, 20, "red"))

    shows(page, record)
    shows(page, record)

    assert page.image_names() == ["A red field"]
    assert len(endpoint.asked) == 1
    assert page.complaints == []


@in_profiles_of(lambda: firefox.firefox(settings=PRIVATE), lambda: webkit.webkit(private=True))
def test_a_private_window(context, endpoint):
    """In a private window pictures are shown, each time, whether the engine lets them be cached or not."""
    page = ModulePage(context, endpoint)
    record = endpoint.add("a", picture(30, 20, "red"))

    shows(page, record)
    shows(page, record)

    assert len(endpoint.asked) <= 2
    page.expects("The browser's storage does not work")
    assert page.complaints == []


@has_firefox
def test_no_more_than_the_browser_grants(endpoint):
    """Where a real quota is small, the cache stays within it and every picture is shown."""
    image = picture(500, 500, kind="BMP")
    settings = {"dom.quotaManager.temporaryStorage.fixedLimit": 10 * 1024}

    with firefox.firefox(settings=settings) as browser:
        page = ModulePage(browser.new_context(), endpoint).opens()
        for number in range(16):
            assert page.gets(endpoint.add(f"a{number}", image))[0]
        cached = page.cached()

    assert 1 <= cached["images"] < 14
    assert page.complaints == []
