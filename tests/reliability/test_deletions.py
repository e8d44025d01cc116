"""Images that are deleted for good: the short form."""

import pytest

from tests.torture.tools.outcomes import run_program


def test_a_deleted_image_never_comes_back():
    """Whoever is killed, and whenever the database is lost, no image comes back whose deletion was acknowledged."""
    outcome = run_program("deletions", rounds=4)

    assert outcome.anomalies == []
    assert outcome.amount > 3


@pytest.mark.parametrize("seed", ["no_notes_on_deletions", "notes_not_read"])
def test_deletions_find_images_that_come_back(seed):
    """A store that does not note deletions, or rebuilds without a look at the notes, does not pass the test above."""
    found = run_program("deletions", rounds=4, seed=seed).anomalies

    assert any("should be ['None']" in words for words in found)


def test_deletions_find_a_reaper_that_gives_up():
    """A reaper that does not try again what somebody held does not pass the test above."""
    found = run_program("deletions", rounds=1, seconds_to_reap=1.5, seed="reaper_gives_up").anomalies

    assert "round 0: dead blobs stay, although nobody holds them" in found
