"""Fixtures for tests of the image endpoint (its client, and one image), and another host over the same store."""

from dataclasses import replace

import pytest

from pixstore.store import ImageStore
from tests import images
from tests.store.endpoint_client import client_of


@pytest.fixture(name="client")
def _client(store):
    return client_of(store)


@pytest.fixture(name="data")
def _data():
    return images.jpeg(size_kb=20)


@pytest.fixture(name="record")
def _record(store, data):
    return store.save(data, "players")


@pytest.fixture(name="other_config")
def _other_config(config, tmp_path):
    """Return the settings of another host: its own data directory over the same database, blobs and master key."""
    return replace(
        config,
        data_dir=tmp_path / "other",
        database_path=config.sqlite_path,
        image_root_dir=config.blobs_path,
        master_key_file=config.data_dir / "master.key",
    )


@pytest.fixture(name="other")
def _other(store, other_config, now):
    """Return the store as another host has it open."""
    other = ImageStore.open(other_config, now=now)
    yield other
    other.close()
