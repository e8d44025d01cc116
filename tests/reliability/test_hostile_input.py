"""Hostile HTTP, forms and images, sent to a real server: the short forms."""

from itertools import chain

import pytest

from tests.torture.programs import bad_images, bad_uploads, hostile_forms, hostile_http
from tests.torture.tools.attacked_gallery import attacked
from tests.torture.tools.outcomes import Outcome


@pytest.fixture(scope="module")
def target():
    """Start a gallery that accepts every format."""
    with attacked(**bad_uploads.SETTINGS) as target:
        yield target


@pytest.fixture(scope="module")
def faulty():
    """Start a gallery with faults that each of these tests has to find."""
    with attacked("unreadable_bodies", "trusting_json", "raw_pages", "raw_decoders") as target:
        yield target


def test_odd_http_is_never_the_servers_fault(target):
    """Whatever bytes arrive on whatever route, there is no 5xx and no traceback, and the server goes on."""
    outcome = Outcome()

    hostile_http.assault(target, outcome, every=23, mutants=200)

    assert outcome.anomalies == []
    assert outcome.amount > 700


def test_odd_forms_are_never_the_servers_fault(target):
    """Odd words, forms and JSON are refused or kept, and what is kept is shown as text, never as a part of the page."""
    outcome = Outcome()

    hostile_forms.assault(target, outcome, every=29)

    assert outcome.anomalies == []
    assert outcome.amount > 500


def test_bad_images_cost_the_server_little(target):
    """Each bad image is kept or refused within 2 s and 512 MB, and what is kept comes back byte for byte."""
    outcome = Outcome()
    endless = ("endless", bad_uploads.endless_jpeg(5_000))

    bad_uploads.assault(
        target, outcome, candidates=chain([endless], bad_images.hostile(), bad_images.mutated(60))
    )

    assert outcome.anomalies == []
    assert outcome.figures["most MB"] < 512


def test_odd_http_finds_unreadable_bodies(faulty):
    """A gallery that lets the server's exceptions through does not pass the test of odd HTTP."""
    outcome = Outcome()

    hostile_http.assault(faulty, outcome, every=23, mutants=0)

    assert any("_bodies" in anomaly and "status 500" in anomaly for anomaly in outcome.anomalies)


def test_odd_forms_find_trust(faulty):
    """A gallery that trusts JSON, or writes words into pages without escaping, does not pass the test of odd forms."""
    outcome = Outcome()

    hostile_forms.assault(faulty, outcome, every=23)

    assert any(anomaly.startswith("JSON") and "status 500" in anomaly for anomaly in outcome.anomalies)
    assert any("active in the page" in anomaly for anomaly in outcome.anomalies)


def test_bad_images_find_raw_decoders(faulty):
    """A gallery that lets the exceptions of decoders through does not pass the test of bad images."""
    outcome = Outcome()

    bad_uploads.assault(faulty, outcome, candidates=bad_images.mutated(20))

    assert any("status 500" in anomaly for anomaly in outcome.anomalies)
