"""Many operations, many images, much hostile input: the short forms."""

from tests.reliability.harness.outcomes import run_program


def test_the_store_does_what_a_dictionary_does():
    """Any order of operations, restarts and maintenance leaves the store equal to a dictionary."""
    assert run_program("state_machine", runs=25, steps=30).anomalies == []


def test_the_state_machine_finds_a_dropped_step():
    """A delete that forgets the row does not pass the test above."""
    assert run_program("state_machine", runs=20, steps=30, seed="delete_keeps_row").anomalies


def test_bad_images_are_refused_within_limits():
    """Hostile and broken images are accepted or refused with a reason, each within 2 s and 512 MB."""
    outcome = run_program("bad_images", mutants=600)

    assert outcome.anomalies == []
    assert outcome.figures["largest MB"] < 512


def test_bad_images_find_a_trusting_decoder():
    """A decoder that believes what an image says of itself does not pass the test above."""
    assert run_program("bad_images", mutants=20, seed="trusting_decoder").anomalies


def test_altered_bytes_are_refused():
    """With any byte of a blob or a row altered, or put in another's place, nothing wrong is shown, and a check finds it."""
    assert run_program("bit_flips", images=2).anomalies == []


def test_altered_bytes_find_missing_associated_data():
    """A store whose rows open in each other's place does not pass the test above."""
    assert run_program("bit_flips", images=2, seed="no_associated_data").anomalies


def test_forged_proofs_are_refused():
    """None of many forged, altered, cut, old and early proofs is accepted."""
    assert run_program("forged_proofs", tries=20_000).anomalies == []


def test_forged_proofs_find_a_short_comparison():
    """A store that compares the start of a proof only does not pass the test above."""
    assert run_program("forged_proofs", tries=5_000, seed="short_proofs").anomalies


def test_a_check_finds_everything_that_was_planted():
    """After a crash, orphans, missing files and flipped bits are named one by one, and nothing else is."""
    outcome = run_program("large_store", images=1000)

    assert outcome.anomalies == []
    assert outcome.figures["found"] == outcome.figures["planted"] == 80


def test_full_disks_harm_nothing():
    """Writes that fail at a limit of the size of files leave every image as it was, and work again with room."""
    assert run_program("disk_full", failures=60).anomalies == []


def test_full_disks_find_deletion_on_error():
    """A store that removes images when the database fails does not pass the test above."""
    assert run_program("disk_full", failures=60, seed="delete_on_error").anomalies
