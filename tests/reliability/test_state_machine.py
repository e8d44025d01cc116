"""Random sequences of everything a store can do, against a dictionary: the short form."""

from tests.torture.tools.outcomes import run_program


def test_the_store_does_what_a_dictionary_does():
    """Any order of operations, restarts and maintenance leaves the store equal to a dictionary."""
    assert run_program("state_machine", runs=25, steps=30).anomalies == []


def test_the_state_machine_finds_a_dropped_step():
    """A store whose delete keeps the row does not pass the test above."""
    assert run_program("state_machine", runs=20, steps=30, seed="delete_keeps_row").anomalies
