"""One server for each test, and tabs with the module loaded."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.module.page import ModulePage
from tests.browser.module.server import Endpoint, serving


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """The server of this test."""
    with serving() as endpoint:
        yield endpoint


@pytest.fixture
def new_page(context: BrowserContext, endpoint: Endpoint) -> Iterator[Callable[[], ModulePage]]:
    """Return a function that opens a tab; at the end, none of them may have complained."""
    pages: list[ModulePage] = []

    def new_page() -> ModulePage:
        pages.append(ModulePage(context, endpoint))
        return pages[-1]

    yield new_page
    complaints = [line for page in pages for line in page.complaints]
    assert complaints == []


@pytest.fixture
def page(new_page: Callable[[], ModulePage]) -> ModulePage:
    """A tab with the module loaded."""
    return new_page().opens()
