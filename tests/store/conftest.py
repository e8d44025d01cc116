"""Fixtures for tests of the image endpoint: its client, and one image."""

import pytest

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
