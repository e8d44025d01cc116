"""The commands that look after a store, at a terminal, while a gallery and a program use it: the short form."""

from tests.torture.tools.outcomes import run_program


def test_commands_disturb_nobody():
    """Maintenance commands, killed or not, lose nothing, disturb nobody, and report the truth."""
    outcome = run_program("commands_under_load", images=100, clients=2, kills=1)

    assert outcome.anomalies == []
    assert outcome.amount >= 50


def test_commands_find_an_impatient_sweep():
    """A sweep that takes every blob for an old one does not pass the test above."""
    outcome = run_program(
        "commands_under_load", images=50, clients=1, kills=0, only=["sweep"], seed="impatient_sweep"
    )

    assert "sweep removed blobs of an upload under way" in outcome.anomalies


def test_commands_find_keys_that_go_early():
    """A rotation that drops the older store keys at once does not pass the test of the commands."""
    arguments = {"images": 50, "clients": 1, "kills": 0, "only": ["re-encrypt"]}

    assert run_program("commands_under_load", **arguments, seed="retire_keys_early").anomalies
