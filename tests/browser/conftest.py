"""
One browser for the session, one browser profile for each test: Chromium, or by ``--engine`` Firefox or WebKit, driven by
tests/browser/engines, which offers as much of Playwright's API as the tests here use.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.browser.engines import firefox, webkit
from tests.browser.engines.tab import INSECURE_HOST

PROGRAM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ENGINES = {"firefox": firefox.firefox, "webkit": webkit.webkit}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--engine``."""
    parser.addoption(
        "--engine", choices=["chromium", *ENGINES], default="chromium", help="which browser to test in"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Explain the mark."""
    config.addinivalue_line("markers", "not_in(*engines, reason): needs what these engines do not have")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what an engine cannot be asked."""
    engine = config.getoption("--engine")
    for item in items:
        for mark in item.iter_markers("not_in"):
            if engine in mark.args:
                item.add_marker(pytest.mark.skip(reason=f"not applicable: {mark.kwargs['reason']}"))


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> str:
    """Return the name of the engine under test."""
    return request.config.getoption("--engine")


@pytest.fixture(scope="session")
def browser(engine: str) -> Iterator[Browser | Any]:
    """The engine under test."""
    if engine in ENGINES:
        with ENGINES[engine]() as browser:
            yield browser
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=PROGRAM,
            args=["--no-sandbox", f"--host-resolver-rules=MAP {INSECURE_HOST} 127.0.0.1"],
        )
        yield browser
        browser.close()


@contextmanager
def chromium_with_files(browser: Browser, profile: Path) -> Iterator[BrowserContext]:
    """Run another Chromium, which keeps its files in *profile*; when it is closed, all is written."""
    context = browser.browser_type.launch_persistent_context(
        profile, executable_path=PROGRAM, args=["--no-sandbox"]
    )
    try:
        yield context
    finally:
        context.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A profile of its own: nothing cached, nobody logged in."""
    context = browser.new_context()
    yield context
    context.close()
