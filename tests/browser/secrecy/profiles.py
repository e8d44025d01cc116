"""Browsers that keep their files in a folder of the test's choice, one kind for each engine that is installed."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import chromium_with_files
from tests.browser.engines import firefox, webkit

Start = Callable[[Path], AbstractContextManager[Any]]
"""Runs an engine on the files of a profile, and ends it."""


@contextmanager
def on_chromium(profile: Path, browser: Browser) -> Iterator[Any]:
    """Run another Chromium than *browser*."""
    with chromium_with_files(browser, profile) as context:
        yield context


@contextmanager
def on_firefox(profile: Path) -> Iterator[Any]:
    """Run a Firefox that writes down at once what it would write down every 15 s."""
    with firefox.firefox(profile, {"browser.sessionstore.interval": 500}) as browser:
        yield firefox.FirefoxContext(browser, "default")


@contextmanager
def on_webkit(profile: Path) -> Iterator[Any]:
    """Run a WebKit."""
    with webkit.webkit() as browser, browser.profile(profile) as context:
        yield context


CHROMIUM = pytest.param(
    on_chromium, id="chromium", marks=pytest.mark.not_in("firefox", "webkit", reason="another engine")
)
FIREFOX = pytest.param(
    on_firefox,
    id="firefox",
    marks=pytest.mark.skipif(firefox.program() is None, reason="Firefox is not installed"),
)
WEBKIT = pytest.param(
    on_webkit,
    id="webkit",
    marks=pytest.mark.skipif(webkit.program() is None, reason="WebKit's driver is not installed"),
)


def in_engines(*engines: Any) -> pytest.MarkDecorator:
    """Run a test in each of *engines*; its fixture `start` starts them."""
    return pytest.mark.parametrize("start", engines, indirect=True)
