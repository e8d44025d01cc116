"""Keyrings of several hosts, and master keys of every kind: the short forms."""

import pytest

from tests.torture.tools import sqlite_vfs
from tests.torture.tools.outcomes import run_program

watchable = pytest.mark.skipif(not sqlite_vfs.available(), reason="this Python's SQLite cannot be watched")


def test_a_stale_keyring_never_wins():
    """Hosts that rotate, restart and are put back to earlier copies, in any order, show every image that was acknowledged."""
    outcome = run_program("stale_keyrings", trials=2, steps=40)

    assert outcome.anomalies == []
    assert outcome.amount > 100


@pytest.mark.parametrize("seed", ["lost_keys_stay_lost", "generations_trusted"])
def test_stale_keyrings_find_keys_that_are_lost(seed):
    """Hosts that forget keys, or believe every keyring of their own generation, do not pass the test above."""
    assert run_program("stale_keyrings", trials=8, steps=60, seed=seed).anomalies


@watchable
def test_a_rotation_of_the_master_key_leaves_one_that_opens():
    """However the master key is given, a rotation that is stopped at any step leaves keys that open every image."""
    kinds = ["a plain file", "a mounted file", "a credential of systemd"]
    outcome = run_program("master_keys", kinds=kinds, stride=13)

    assert outcome.anomalies == []
    assert outcome.amount >= 18


@watchable
def test_master_keys_find_a_keyring_that_is_wrapped_too_early():
    """A rotation that wraps the keyring before the new key is in its file does not pass the test above."""
    found = run_program("master_keys", kinds=["a plain file"], stride=19, seed="keyring_before_key_file")

    assert found.anomalies
