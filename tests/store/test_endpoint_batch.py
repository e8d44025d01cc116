"""The image endpoint, asked for many images at once."""

import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder

from pixstore import wire
from pixstore.endpoint import ImageEndpoint
from pixstore.errors import DatabaseUnavailable
from tests import images
from tests.payloads import image_of, unbatched
from tests.store.endpoint_client import (
    INTERNAL_ERROR,
    INVALID_PROOF,
    MISSING_PROOF,
    NOBODY,
    ROUTE,
    client_of,
    get,
    post,
)


def test_a_batch_is_answered_in_order(client, store):
    """The payloads of a batch come in the order that was asked, refused ones included, each behind its length."""
    first, second = store.save(images.png()), store.save(images.jpeg(size_kb=400))
    asked = [
        {"id": second.id, "proof": second.stateless_proof},
        {"id": NOBODY, "proof": "forged"},
        {"id": first.id, "proof": first.stateless_proof, "token": first.token},
        {"id": first.id},
        {"proof": first.stateless_proof},
        {"id": first.id, "proof": first.stateless_proof, "token": 1},
    ]

    response = post(client, asked)

    payloads = unbatched(response.data)
    assert response.status_code == 200
    assert image_of(wire.decode(payloads[0])) == images.jpeg(size_kb=400)
    assert payloads[1] == INVALID_PROOF
    assert isinstance(wire.decode(payloads[2]), wire.Success)
    assert payloads[3:5] == [MISSING_PROOF, b"\x03"]
    assert image_of(wire.decode(payloads[5])) == images.png()


def test_a_batch_is_what_single_requests_are(client, store):
    """The payloads of a batch are the same, byte for byte, as the answers to single requests."""
    records = [store.save(images.png(seed=seed)) for seed in range(5)]

    batch = unbatched(post(client, [{"id": r.id, "proof": r.stateless_proof} for r in records]).data)

    assert batch == [get(client, r.id, r.stateless_proof).data for r in records]


def test_headers_of_a_batch(client, record):
    """The answer to a batch may not be stored."""
    response = post(client, [{"id": record.id, "proof": record.stateless_proof}])

    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.headers["Cache-Control"] == "no-store"


def test_the_largest_batch(client, store):
    """A batch may hold a hundred images, and no more."""
    record = store.save(images.png())
    asked = [{"id": record.id, "proof": record.stateless_proof, "token": record.token}] * 100

    assert len(unbatched(post(client, asked).data)) == 100
    assert post(client, asked + asked[:1]).status_code == 400


def test_a_batch_is_streamed(store, record, monkeypatch):
    """The first payload goes out before the second blob is opened."""
    opened, open_blob = [], store.parts.blobs.open
    monkeypatch.setattr(
        store.parts.blobs, "open", lambda blob_id: opened.append(blob_id) or open_blob(blob_id)
    )
    asked = [{"id": record.id, "proof": record.stateless_proof}] * 2
    environ = EnvironBuilder(path=ROUTE, method="POST", data=json.dumps({"images": asked})).get_environ()

    body = ImageEndpoint(store)(environ, lambda *_: None)
    next(iter(body))

    assert len(opened) == 1
    body.close()


# --- what is no batch


_NOT_A_BATCH = (
    b"", b"{", b"null", b"[]", b"5", b'"images"', b"{}", b'{"images": null}', b'{"images": {}}', b'{"images": []}',
    b'{"images": [5]}', b'{"images": [[]]}', b'{"images": ["x"]}', b"\xff\xfe", b"[" * 60_000, b'{"images": ' + b"[" * 60_000,
    b'{"a":' * 10_000, b"\x00" * 70_000,
)  # fmt: skip


@pytest.mark.parametrize("body", _NOT_A_BATCH, ids=lambda body: f"{body[:20]!r} of {len(body)}")
def test_a_body_that_is_no_batch(client, body):
    """Deep, wide or wrong JSON is a bad request with a reason."""
    response = client.post(ROUTE, data=body)

    assert response.status_code == 400
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.text.endswith("\n")


_strange = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    asked=st.lists(
        st.dictionaries(st.sampled_from(["id", "proof", "token", "x"]), _strange), min_size=1, max_size=5
    )
)
@example([{"id": "\ud800", "proof": "\ud800", "token": "\ud800"}])
@example([{"id": NOBODY, "proof": "x", "token": 10**400}])
def test_any_batch_gets_its_states(store, asked):
    """Any values in the places of id, proof and token lead to one state each, and nothing is raised."""
    response = post(client_of(store), asked)

    assert response.status_code == 200
    assert len(unbatched(response.data)) == len(asked)
    assert all(len(payload) == 1 for payload in unbatched(response.data))


def test_a_body_that_cannot_be_read(store):
    """A body that breaks off or has broken chunks is a bad request, and leaves no traceback."""

    class Broken:
        def read(self, *_):
            raise OSError("invalid chunk size")

    environ = EnvironBuilder(path=ROUTE, method="POST", content_length=100).get_environ() | {
        "wsgi.input": Broken()
    }
    statuses = []

    list(ImageEndpoint(store)(environ, lambda status, _headers: statuses.append(status)))

    assert statuses == ["400 Bad Request"]


# --- trouble inside


def test_trouble_with_one_image_is_its_own(client, store, caplog):
    """A missing blob is answered as an internal error, logged without a secret, and the others are served."""
    damaged, sound = store.save(images.png()), store.save(images.png())
    with store.connected():
        store.parts.blobs.delete(store.parts.models.image.get_by_id(damaged.id).blob_id)
    asked = [{"id": record.id, "proof": record.stateless_proof} for record in (damaged, sound)]

    first, second = unbatched(post(client, asked).data)

    assert first == INTERNAL_ERROR
    assert isinstance(wire.decode(second), wire.Updated)
    assert damaged.id in caplog.text
    assert damaged.meta.key not in caplog.text
    assert damaged.stateless_proof not in caplog.text


def test_a_database_that_is_away(client, store, record, monkeypatch, caplog):
    """While the database is away every image is answered with an internal error, refused proofs as ever, and the log says why."""

    def unavailable(_image_ids):
        raise DatabaseUnavailable("the database is not available: locked")

    monkeypatch.setattr(store.parts.models, "read_images", unavailable)
    asked = [{"id": record.id, "proof": record.stateless_proof}, {"id": record.id, "proof": "forged"}]

    assert get(client, record.id, record.stateless_proof).data == INTERNAL_ERROR
    assert unbatched(post(client, asked).data) == [INTERNAL_ERROR, INVALID_PROOF]
    assert "not available" in caplog.text
