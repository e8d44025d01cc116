"""The commands that look after a store, at a terminal, while a gallery and a program use it."""

from tests.reliability.harness.outcomes import run_program


def test_commands_disturb_nobody():
    """Whoever checks, sweeps, re-encrypts, backs up or rebuilds, killed or not, loses nothing and is told the truth."""
    outcome = run_program("commands_load", images=100, clients=2, kills=1)

    assert outcome.anomalies == []
    assert outcome.amount >= 50


def test_commands_find_an_impatient_sweep():
    """A sweep that takes every blob for one of long ago does not pass the test above."""
    outcome = run_program(
        "commands_load", images=50, clients=1, kills=0, only=["sweep"], seed="impatient_sweep"
    )

    assert "sweep removed blobs of an upload under way" in outcome.anomalies


def test_commands_find_keys_that_go_early():
    """A rotation that forgets the older store keys at once does not pass the test above."""
    arguments = {"images": 50, "clients": 1, "kills": 0, "only": ["re-encrypt"]}

    assert run_program("commands_load", **arguments, seed="retire_keys_early").anomalies
