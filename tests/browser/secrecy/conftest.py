"""A browser with files, and a gallery of its own for each test: a profile is looked at whole."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import images
from tests.browser.secrecy.profiles import Start, on_chromium
from tests.gallery_server import GalleryServer


@pytest.fixture
def start(request: pytest.FixtureRequest) -> Start:
    """Return a function that runs the engine that the test names on a profile, and ends it."""
    if request.param is on_chromium:
        browser = request.getfixturevalue("browser")
        return lambda profile: on_chromium(profile, browser)
    return request.param


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """Where a browser keeps its files."""
    profile = tmp_path / "profile"
    profile.mkdir()
    return profile


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GalleryServer]:
    """Return a running gallery."""
    server = GalleryServer(tmp_path).start()
    yield server
    server.stop()


@pytest.fixture
def photo(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that makes the file of a picture."""

    def photo(name: str) -> Path:
        path, size_kb = tmp_path / name, 40 + len(name)
        is_jpeg = path.suffix == ".jpg"
        path.write_bytes(images.jpeg(size_kb=size_kb) if is_jpeg else images.png(size_kb=size_kb, width=200))
        return path

    return photo
