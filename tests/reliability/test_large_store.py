"""A large store after a crash: the short form, with few images."""

from tests.torture.tools.outcomes import run_program


def test_a_check_finds_everything_that_was_planted():
    """After a crash a check names every orphan, missing file and flipped bit that was planted, and nothing else."""
    outcome = run_program("large_store", images=1000)

    assert outcome.anomalies == []
    assert outcome.figures["found"] == outcome.figures["planted"] == 80
