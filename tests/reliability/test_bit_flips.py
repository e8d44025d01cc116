"""Every byte of blobs and rows altered: the short form."""

from tests.torture.tools.outcomes import run_program


def test_altered_bytes_are_refused():
    """When any byte of a blob or a row is altered or exchanged, nothing wrong is shown, and a check finds it."""
    assert run_program("bit_flips", images=2).anomalies == []


def test_altered_bytes_find_missing_associated_data():
    """A store whose rows open in each other's place does not pass the test above."""
    assert run_program("bit_flips", images=2, seed="no_associated_data").anomalies
