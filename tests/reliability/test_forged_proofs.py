"""Proofs that are forged, altered or cut: the short form."""

from tests.torture.tools.outcomes import run_program


def test_forged_proofs_are_refused():
    """None of many forged, altered, cut, old and early proofs is accepted."""
    assert run_program("forged_proofs", tries=20_000).anomalies == []


def test_forged_proofs_find_a_short_comparison():
    """A store that compares only the start of a proof does not pass the test above."""
    assert run_program("forged_proofs", tries=5_000, seed="short_proofs").anomalies
