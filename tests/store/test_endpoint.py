"""
The image endpoint, asked for one image at a time, as servers call it.

Batches: test_endpoint_batch.py. How the bytes go out, also on a real socket: test_endpoint_bytes.py.
"""

from dataclasses import replace
from wsgiref.validate import validator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder

from pixstore import wire
from pixstore.endpoint import ImageEndpoint
from pixstore.store import ImageStore
from tests import images
from tests.payloads import image_of
from tests.store.endpoint_client import (
    INTERNAL_ERROR,
    INVALID_PROOF,
    MISSING_PROOF,
    NOBODY,
    NOT_FOUND,
    ROUTE,
    EndpointClient,
    client_of,
    get,
    post,
    proof_and_token,
)


def test_without_a_token_the_key_comes_along(client, record, data):
    """A client that knows nothing gets everything it needs to show the image."""
    response = get(client, record.id, record.stateless_proof)

    payload = wire.decode(response.data)
    assert (response.status_code, payload.token) == (200, record.token)
    assert image_of(payload) == data


def test_with_the_current_token_the_ciphertext_is_enough(client, record, data):
    """A client that has the key gets no key."""
    response = get(client, record.id, record.stateless_proof, record.token)

    payload = wire.decode(response.data)
    assert isinstance(payload, wire.Success)
    assert len(payload.ciphertext) == 1 + len(data)


def test_with_an_old_token_the_new_key_comes_along(client, store, record):
    """After an update the client gets the new version."""
    updated = store.update(record.id, images.png())

    payload = wire.decode(get(client, record.id, updated.stateless_proof, record.token).data)

    assert payload.token == updated.token
    assert image_of(payload) == images.png()


@pytest.mark.parametrize("token", ("", "abc", "-1", "1.0", "1e3", " 1", "٣", "9" * 400, "0x10", "None", "²"))
def test_a_token_that_is_none_is_an_unknown_one(client, record, token):
    """If the token header is no number, the client gets the key, as a client without a token does."""
    response = get(client, record.id, record.stateless_proof, token.encode().decode("latin-1"))

    assert isinstance(wire.decode(response.data), wire.Updated)


@pytest.mark.parametrize(
    "change",
    (str.upper, lambda proof: proof[:-1], lambda _: "x", lambda proof: proof + " x"),
    ids=("capitals", "cut", "short", "longer"),
)
def test_a_forged_proof(client, record, change):
    """Nothing but the proof itself opens the image."""
    assert get(client, record.id, change(record.stateless_proof)).data == INVALID_PROOF


def test_no_proof(client, record):
    """A request without a proof, or with an empty one, is told that the proof is missing, not that it is wrong."""
    assert get(client, record.id).data == MISSING_PROOF
    assert get(client, record.id, "").data == MISSING_PROOF


def test_the_proof_of_another_image(client, store, record):
    """The proof for one image does not open another."""
    other = store.save(images.png())

    assert get(client, record.id, other.stateless_proof).data == INVALID_PROOF


def test_an_old_proof(client, record, now, config):
    """A proof is good for one more window after its own, and refused after two."""
    now.forward(config.stateless_key_window_length)
    assert isinstance(wire.decode(get(client, record.id, record.stateless_proof).data), wire.Updated)

    now.forward(config.stateless_key_window_length)
    assert get(client, record.id, record.stateless_proof).data == INVALID_PROOF


def test_a_deleted_image(client, store, record):
    """A good proof of a deleted image gets "not found"."""
    store.delete(record.id)

    assert get(client, record.id, record.stateless_proof).data == NOT_FOUND


def test_whether_an_image_exists_is_not_told_without_a_proof(client, record):
    """A stranger gets the same answer for an image that exists and for one that does not."""
    for proof in (None, "forged"):
        existing, missing = (get(client, image_id, proof) for image_id in (record.id, NOBODY))
        assert (existing.data, list(existing.headers)) == (missing.data, list(missing.headers))


def test_headers_of_an_answer(client, record):
    """Every answer states its length, and may not be stored, have its type guessed, or be read from another site."""
    for response in (get(client, record.id, record.stateless_proof), get(client, record.id, "forged")):
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "application/octet-stream"
        assert int(response.headers["Content-Length"]) == len(response.data)
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert not [name for name in response.headers.keys() if name.startswith("Access-Control")]  # noqa: SIM118 - a list


def test_a_wrong_store_key_is_an_internal_error(client, store, record, caplog):
    """If the key of an image does not unwrap, the answer is an internal error without a byte of the image."""
    with store.connected():
        store.parts.models.image.update(wrapped_key=bytes(60)).where(
            store.parts.models.image.id == record.id
        ).execute()

    assert get(client, record.id, record.stateless_proof).data == INTERNAL_ERROR


# --- methods and paths


@pytest.mark.parametrize("path", (ROUTE, f"{ROUTE}/"))
def test_without_an_id(client, path):
    """A request for the route without an id is a bad request."""
    response = client.get(path, headers=proof_and_token("x"))

    assert response.status_code == 400
    assert response.text == "Missing image id\n"
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("method", ("HEAD", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "BREW"))
def test_other_methods(store, method):
    """Methods other than GET, POST and OPTIONS are not allowed, and the answer names those that are."""
    response = EndpointClient(ImageEndpoint(store)).open(f"{ROUTE}/{NOBODY}", method=method)

    assert response.status_code == 405
    assert "GET" in response.headers["Allow"]
    assert response.headers["Cache-Control"] == "no-store"


def test_posting_to_an_image(client, record):
    """A POST to the address of one image is not allowed."""
    assert post(client, [], path=f"{ROUTE}/{record.id}").status_code == 405


@pytest.mark.parametrize("path", (ROUTE, f"{ROUTE}/{NOBODY}"))
def test_options(client, path):
    """The answer to OPTIONS is empty, and without a setting lets no other origin in."""
    response = client.options(path)

    assert (response.status_code, response.data) == (204, b"")
    assert not [name for name in response.headers.keys() if name.startswith("Access-Control")]  # noqa: SIM118 - a list


@pytest.mark.parametrize("origin", ("*", "https://example.org"))
def test_another_origin_may_read_where_it_is_set(config, now, origin):
    """With the setting every answer, the refused and the preflight included, carries the headers of CORS."""
    store = ImageStore.open(replace(config, access_control_allow_origin=origin), now=now)
    client = client_of(store)

    for response in (
        client.options(f"{ROUTE}/x"),
        get(client, NOBODY),
        client.get(ROUTE),
        post(client, "x"),
    ):
        assert response.headers["Access-Control-Allow-Origin"] == origin
        assert response.headers["Access-Control-Allow-Headers"] == "x-pixstore-proof, x-pixstore-token"
        assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert "Access-Control-Allow-Credentials" not in response.headers
    store.close()


def test_the_route_is_a_setting(config, now):
    """The endpoint can be put at another route, also of several parts."""
    store = ImageStore.open(replace(config, default_endpoint_route="/api/v1/img"), now=now)
    record = store.save(images.png())
    client = client_of(store)

    response = client.get(f"/api/v1/img/{record.id}", headers=proof_and_token(record.stateless_proof))

    assert isinstance(wire.decode(response.data), wire.Updated)
    store.close()


@pytest.mark.parametrize(
    ("path", "served_by"),
    (
        (ROUTE, "endpoint"),
        (f"{ROUTE}/", "endpoint"),
        (f"{ROUTE}/{NOBODY}", "endpoint"),
        (f"{ROUTE}s", "application"),
        ("/", "application"),
        (f"/x{ROUTE}", "application"),
    ),
)
def test_mounted_before_an_application(store, path, served_by):
    """The endpoint takes its own paths and no other."""

    def application(_environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"application"]

    response = EndpointClient(validator(ImageEndpoint(store).mounted_on(validator(application)))).get(path)

    assert (response.data == b"application") is (served_by == "application")


# --- hostile paths


@pytest.mark.parametrize(
    "path",
    ("%", "%%", "%2", "%zz", "%00", "%0d%0aX-Injected:%20yes", "..", "../../../etc/passwd", "%2e%2e%2fetc%2fpasswd", "%ff%fe",
     "a" * 3000, "players:", ":", "players%3A", "PLAYERS:K3V9", "%F0%9F%98%80", "'; DROP TABLE image; --", "k3v9t2m5x7q4/extra"),
)  # fmt: skip
def test_a_hostile_path_gets_its_state(client, record, path):
    """Whatever the path, the answer is a state byte and says nothing of what was sent."""
    response = client.get(f"{ROUTE}/{path}", headers=proof_and_token(record.stateless_proof))

    assert response.status_code == 200
    assert response.data in (NOT_FOUND, INVALID_PROOF)
    assert "X-Injected" not in response.headers


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    raw=st.binary(max_size=50),
    proof=st.text(st.characters(codec="latin-1")),
    token=st.text(st.characters(codec="latin-1")),
)
@example(b"\x00", "\xff", "\xff")
def test_any_request_gets_a_state(store, raw, proof, token):
    """Any bytes in path, proof and token lead to one of the states, and nothing is raised."""
    environ = EnvironBuilder(path=ROUTE).get_environ()
    environ["PATH_INFO"] = f"{ROUTE}/x{raw.decode('latin-1')}"
    environ["HTTP_X_PIXSTORE_PROOF"], environ["HTTP_X_PIXSTORE_TOKEN"] = proof, token
    statuses = []

    body = b"".join(ImageEndpoint(store)(environ, lambda status, _headers: statuses.append(status)))

    assert statuses == ["200 OK"]
    assert body in (NOT_FOUND, MISSING_PROOF, INVALID_PROOF)
