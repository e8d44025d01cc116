"""One browser for the session, one browser profile for each test."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

PROGRAM = os.environ.get("CHROMIUM", "/usr/bin/chromium")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])
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
