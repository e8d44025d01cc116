"""Crashes at every step, SIGKILL under load, power cuts, failing system calls: the short forms."""

import os
import shutil

import pytest

from tests.torture.programs import power_cut_device
from tests.torture.tools import sqlite_vfs
from tests.torture.tools.outcomes import run_program

watchable = pytest.mark.skipif(not sqlite_vfs.available(), reason="this Python's SQLite cannot be watched")
traceable = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("strace"), reason="needs root and strace; make torture installs it"
)
mountable = pytest.mark.skipif(
    not power_cut_device.available(), reason="needs root, loop devices and xfsprogs"
)


@watchable
@pytest.mark.parametrize(
    ("scenarios", "stride"),
    [
        (["save", "update", "delete"], 11),
        (["unit of work", "sweep", "open", "rotate the store key"], 37),
        (["rotate the master key", "re-encrypt", "check and repair"], 71),
        (["rebuild", "backup", "restore"], 199),
    ],
)
def test_a_crash_at_any_step_leaves_every_image_old_or_new(scenarios, stride):
    """An operation that is stopped before or after any step leaves every image old or new, and at most orphans, which a sweep removes."""
    outcome = run_program("fault_points", scenarios=scenarios, stride=stride)

    assert outcome.anomalies == []
    assert outcome.amount > 20


@watchable
@pytest.mark.parametrize("seed", ["old_blob_first", "in_place_overwrite"])
def test_fault_points_find_a_store_that_loses_images(seed):
    """A store that removes or overwrites the old version too early does not pass the test above."""
    assert run_program("fault_points", scenarios=["update"], faults=["KILL"], seed=seed).anomalies


def test_what_was_acknowledged_survives_kill_9():
    """When four writing processes are killed again and again, nothing acknowledged is lost, stale or unreadable."""
    outcome = run_program("kill_9", rounds=12)

    assert outcome.anomalies == []
    assert outcome.amount > 50


def test_kill_9_finds_blobs_that_are_overwritten():
    """A store that writes a new version over the old one does not pass the test above."""
    assert run_program("kill_9", rounds=5, seed="in_place_overwrite").anomalies


@watchable
def test_what_was_acknowledged_survives_a_power_cut():
    """When all that was not synced is gone, every acknowledged image is there."""
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
    """When ext4 or xfs is shut down under running writers, nothing acknowledged is lost."""
    assert run_program("power_cut_device", filesystem=filesystem, rounds=2).anomalies == []


@traceable
def test_a_failing_system_call_harms_nothing():
    """If one system call fails or the process is killed there, the error is clear and nothing is lost."""
    outcome = run_program("system_calls", stride=211)

    assert outcome.anomalies == []
    assert outcome.amount > 20
