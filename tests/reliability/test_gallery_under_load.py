"""A real gunicorn under people who use it, with workers that are killed, exchanged and stopped: the short forms."""

from tests.torture.tools.outcomes import run_program

SHORT_DAY = {"seconds": 2, "clients": 8, "threads": 2, "warm_up": 0.4, "growth": 0.25}


def test_killed_workers_lose_nothing():
    """When workers are killed, no acknowledged change is lost, and no answer is a 5xx."""
    outcome = run_program("kill_9_workers", seconds=2, clients=6)

    assert outcome.anomalies == []
    assert outcome.amount >= 50


def test_killed_workers_find_an_overwrite_in_place():
    """A gallery that writes a new version over the old one does not pass the test above."""
    assert run_program("kill_9_workers", seconds=1, clients=4, seed="in_place_overwrite").anomalies


def test_reloads_and_stops_disturb_nobody():
    """Workers that are exchanged or stopped answer what they were asked, and proofs stay good."""
    outcome = run_program("reload_and_stop", rounds=1, clients=12)

    assert outcome.anomalies == []
    assert outcome.figures["slow uploads"] == 6


def test_reloads_and_stops_find_faults():
    """A gallery whose workers each have their own secret, or close connections at once, does not pass the test above."""
    outcome = run_program("reload_and_stop", rounds=1, clients=1, seed="per_process_secret hasty_close")

    assert "2 proofs void after a reload" in outcome.anomalies
    assert "slow 0: answered (303, 0), there" in outcome.anomalies


def test_people_use_a_gallery():
    """Many people at once see what they uploaded, without an error, and the server uses no more memory or files."""
    outcome = run_program("mixed_load", **SHORT_DAY)

    assert outcome.anomalies == []
    assert outcome.amount >= 50


def test_people_who_use_a_gallery_find_leaks():
    """A gallery that keeps memory and open files with every page does not pass the test above."""
    seed = "leaking_memory leaking_descriptors"
    outcome = run_program("mixed_load", **SHORT_DAY, seed=seed)

    assert [words.split(" ")[0] for words in outcome.anomalies] == ["memory", "descriptors"]


def test_many_large_uploads_take_little_memory():
    """Many large forms at once are all taken in, some later than others, within a bound on memory, while others look on."""
    outcome = run_program("large_uploads", forms=8, form_mb=60, most_mb=380)

    assert outcome.anomalies == []
    assert outcome.figures["ordinary requests"] >= 10


def test_many_large_uploads_find_forms_in_memory():
    """A gallery that takes every form into memory at once does not pass the test above."""
    outcome = run_program("large_uploads", forms=8, form_mb=60, most_mb=380, seed="forms_in_memory")

    assert "MB of memory" in outcome.anomalies[0]
