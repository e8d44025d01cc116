"""Fixtures that every kind of test shares, named for what they give. Those of one kind stand beside its tests."""

import os

import pytest
from hypothesis import settings

from pixstore.config import Config
from pixstore.store import ImageStore
from tests.clock import Clock
from tests.gallery_server import GalleryServer
from tests.log_watch import LogWatch

# How long one example takes says nothing on a machine that does other things, too.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

pytest.register_assert_rewrite("tests.store.blob_store_contract")

pytest_plugins = ["tests.gallery_fixtures"]


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch):
    """Keep ``PIXSTORE_*`` variables of whoever runs the tests out of them."""
    for name in [name for name in os.environ if name.startswith("PIXSTORE_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def _no_key_in_any_log():
    """Fail the last test if a key that was used in any of them stands in a log, of this process or of a server."""
    watch = LogWatch()
    with watch.watching():
        yield
    for server in GalleryServer.started:
        if server.output.exists() and server.data_dir.exists():
            watch.read(server.output.read_text(errors="replace"))
            watch.learn_store(server.data_dir)
    assert not watch.found()


@pytest.fixture
def now():
    """Return a clock that stands still until a test moves it."""
    return Clock()


@pytest.fixture
def config(tmp_path):
    """Return the default settings, in a data directory that does not exist yet."""
    return Config(data_dir=tmp_path / "data")


@pytest.fixture
def store(config, now):
    """Return an open store on a real SQLite file and real image files."""
    store = ImageStore.open(config, now=now)
    yield store
    store.close()
