"""Backups that overlap, that lead into the store itself, or that somebody has altered: the short forms."""

import pytest

from tests.torture.tools.outcomes import run_program


def test_overlapping_backups_are_whole():
    """Backups that are made at once, suspended or killed, while others write and sweep: each that is finished restores completely."""
    outcome = run_program("overlapping_backups", seconds=2.5, images=40)

    assert outcome.anomalies == []
    assert outcome.amount >= 1


def test_overlapping_backups_find_one_that_is_incomplete():
    """A backup that lacks blobs, and takes the place of the one before all the same, does not pass the test above."""
    assert run_program("overlapping_backups", seconds=3, images=80, seed="incomplete_backups").anomalies


def test_no_backup_is_made_into_the_store_itself():
    """However the directories of the store are spelled, linked to or mounted, a backup into them is refused and removes nothing."""
    assert run_program("backup_places", tries=12).anomalies == []


def test_backup_places_find_a_backup_that_does_not_look():
    """A backup that does not compare directories does not pass the test above."""
    assert run_program("backup_places", tries=8, seed="no_own_directories").anomalies


def test_an_altered_backup_opens_nothing():
    """Whatever is altered in a backup, it is refused, or what is restored is what was backed up; no login comes back."""
    outcome = run_program("altered_backups", alterations=20)

    assert outcome.anomalies == []


@pytest.mark.parametrize("seed", ["unchecked_backups", "logins_in_backups"])
def test_altered_backups_find_what_is_not_checked(seed):
    """A restore that does not look at the seal, or brings logins back, does not pass the test above."""
    assert run_program("altered_backups", alterations=20, seed=seed).anomalies
