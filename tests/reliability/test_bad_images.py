"""Images that are odd, broken or hostile: the short form. Uploaded to a server: test_hostile_input.py."""

from tests.torture.tools.outcomes import run_program


def test_bad_images_are_refused_within_limits():
    """Hostile and broken images are accepted or refused with a reason, each within 2 s and 512 MB."""
    outcome = run_program("bad_images", mutants=600)

    assert outcome.anomalies == []
    assert outcome.figures["largest MB"] < 512


def test_bad_images_find_a_trusting_decoder():
    """A decoder that believes what an image says of itself does not pass the test above."""
    assert run_program("bad_images", mutants=20, seed="trusting_decoder").anomalies
