"""Fixtures for stores without a gallery: the same store at another place, as another host would have it."""

import shutil
from dataclasses import replace

import pytest

from pixstore.store import ImageStore


@pytest.fixture
def elsewhere(store, config, tmp_path):
    """Return the settings of a store that does not exist yet, but has the same master key."""
    other = replace(config, data_dir=tmp_path / "elsewhere")
    other.data_dir.mkdir()
    shutil.copy(config.data_dir / "master.key", other.data_dir)
    return other


@pytest.fixture
def other_process(store, config, now):
    """Return the same store, open a second time."""
    other = ImageStore.open(config, now=now)
    yield other
    other.close()
