"""A real gunicorn under people who log in, change passwords and guess at them: the short forms."""

import pytest

from tests.torture.tools.outcomes import run_program


def test_no_login_outlives_what_ends_it():
    """However many log in while a password is changed or an account disabled, no login by the old password is alive after it."""
    outcome = run_program("ended_logins", seconds=2.5, workers=2)

    assert outcome.anomalies == []
    assert outcome.amount >= 1


def test_ended_logins_find_logins_that_are_not_looked_at_again():
    """A gallery that begins a login without another look at the account does not pass the test above."""
    found = run_program("ended_logins", seconds=5, workers=2, seed="hasty_logins").anomalies

    assert any(words.endswith("a login by the old password is alive") for words in found)


def test_nobody_gets_more_guesses_than_the_limits_allow():
    """In whatever spelling, from wherever and however many at once: no more are let through, and the person is never kept out."""
    outcome = run_program("guesses", bursts=8, seconds=3)

    assert outcome.anomalies == []
    assert outcome.figures["logins of the person"] >= 1


@pytest.mark.parametrize(("seed", "seconds"), [("typed_spelling", 0), ("unknown_browsers", 4)])
def test_guesses_find_a_throttle_that_is_misled(seed, seconds):
    """A gallery that counts by the typed spelling, or knows no browser again, does not pass the test above."""
    assert run_program("guesses", bursts=3, seconds=seconds, seed=seed).anomalies
