"""Crashes at every step, SIGKILL under load, power cuts: every committed image is there, byte for byte."""

import os
import shutil

import pytest

from tests.reliability.harness import device_cut, sqlite_vfs
from tests.reliability.harness.outcomes import run_program

watchable = pytest.mark.skipif(not sqlite_vfs.available(), reason="this Python's SQLite cannot be watched")
traceable = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("strace"), reason="needs root and strace; make torture installs it"
)
mountable = pytest.mark.skipif(not device_cut.available(), reason="needs root, loop devices and xfsprogs")


@watchable
@pytest.mark.parametrize(
    ("scenarios", "stride"),
    [
        (["save", "update", "delete"], 5),
        (["unit of work", "sweep", "open", "rotate the store key"], 11),
        (["rotate the master key", "re-encrypt", "check and repair"], 23),
        (["rebuild", "backup", "restore"], 31),
    ],
)
def test_a_crash_at_any_step_leaves_every_image_old_or_new(scenarios, stride):
    """Killed, failing or interrupted before or after any step, an operation leaves orphans at most, and sweep takes them."""
    outcome = run_program("fault_points", scenarios=scenarios, stride=stride)

    assert outcome.anomalies == []
    assert outcome.amount > 20


@watchable
@pytest.mark.parametrize("seed", ["old_blob_first", "in_place_overwrite"])
def test_fault_points_find_a_store_that_loses_images(seed):
    """A store that removes or overwrites the old version too early does not pass the test above."""
    assert run_program("fault_points", scenarios=["update"], faults=["KILL"], seed=seed).anomalies


def test_what_was_acknowledged_survives_kill_9():
    """With four processes writing, all killed again and again, nothing acknowledged is lost, stale or unreadable."""
    outcome = run_program("kill_loop", rounds=12)

    assert outcome.anomalies == []
    assert outcome.amount > 50


def test_kill_9_finds_blobs_that_are_overwritten():
    """A store that writes a new version over the old one does not pass the test above."""
    assert run_program("kill_loop", rounds=5, seed="in_place_overwrite").anomalies


@watchable
def test_what_was_acknowledged_survives_a_power_cut():
    """With everything gone that was not synced, every acknowledged image is there."""
    outcome = run_program("power_cut", operations=12)

    assert outcome.anomalies == []
    assert outcome.amount > 30


@watchable
@pytest.mark.parametrize("seed", ["wal_normal", "no_fsync", "no_directory_sync"])
def test_power_cuts_find_a_missing_sync(seed):
    """A store that leaves out one kind of sync does not pass the test above."""
    assert run_program("power_cut", operations=6, lucky=0, seed=seed).anomalies


@mountable
@pytest.mark.parametrize("filesystem", ["ext4", "xfs"])
def test_a_real_file_system_survives_a_power_cut(filesystem):
    """On ext4 and xfs, shut down under running writers, nothing acknowledged is lost."""
    assert run_program("device_cut", filesystem=filesystem, rounds=2).anomalies == []


@traceable
def test_a_failing_system_call_harms_nothing():
    """With EIO, ENOSPC or SIGKILL at one system call of an operation, the store answers clearly and loses nothing."""
    outcome = run_program("syscalls", stride=97)

    assert outcome.anomalies == []
    assert outcome.amount > 20


def test_rotation_under_load_survives_being_killed():
    """Keys are rotated while others read and update and the one who rotates is killed: nothing becomes unreadable."""
    assert run_program("rotation_load", images=150, kills=5).anomalies == []
