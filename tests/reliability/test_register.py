"""Several processes and threads at once, by the library and by HTTP, judged by ``history.check``: the short forms."""

import pytest

from tests.torture.tools.outcomes import run_program


def test_every_image_is_a_register():
    """While others update, delete and maintain the store, no read is older than what was acknowledged before it."""
    outcome = run_program("register", operations=3000)

    assert outcome.anomalies == []
    assert outcome.amount >= 3000


@pytest.mark.parametrize("seed", ["altered_read", "in_place_overwrite"])
def test_the_register_test_finds_stale_and_torn_reads(seed):
    """A store that now and then reads an old row, or writes in place, does not pass the test above."""
    assert run_program("register", operations=3000, maintain=False, seed=seed).anomalies


def test_library_and_gallery_share_registers():
    """Through gunicorn and the library at once, no read is older than what was acknowledged before it."""
    outcome = run_program("register", operations=800, through_http=2)

    assert outcome.anomalies == []
    assert outcome.figures["through HTTP"] >= 50


def test_library_and_gallery_find_an_overwrite_in_place():
    """A gallery over a store that writes in place does not pass the test above."""
    arguments = {"operations": 500, "through_http": 2, "maintain": False}

    assert run_program("register", **arguments, seed="in_place_overwrite").anomalies
