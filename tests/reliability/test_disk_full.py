"""Writes that find no room: the short form."""

from tests.torture.tools.outcomes import run_program


def test_full_disks_harm_nothing():
    """Writes that fail for want of room leave every image as it was, and work again when there is room."""
    assert run_program("disk_full", failures=60).anomalies == []


def test_full_disks_find_deletion_on_error():
    """A store that removes images when the database fails does not pass the test above."""
    assert run_program("disk_full", failures=60, seed="delete_on_error").anomalies
