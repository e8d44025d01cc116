"""
The image endpoint, called as servers call it.

Through Werkzeug's client with every rule of PEP 3333 checked on the way, and on a real socket.
"""

import json
import socket
import threading
from dataclasses import replace
from urllib.parse import quote
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client, EnvironBuilder

from pixstore import crypto, wire
from pixstore.endpoint import ImageEndpoint
from pixstore.errors import DatabaseUnavailable
from pixstore.store import ImageStore
from tests import images

ROUTE = "/pixstore-image"
NOBODY = "k3v9t2m5x7q4"
NOT_FOUND, MISSING_PROOF, INVALID_PROOF, INTERNAL_ERROR = b"\x02", b"\x04", b"\x05", b"\x06"


class _Client(Client):
    """A client that takes the whole answer and closes it, as a server does."""

    def open(self, *arguments, **options):
        return super().open(*arguments, buffered=True, **options)


def _client_of(store):
    return _Client(validator(ImageEndpoint(store)))


@pytest.fixture(name="client")
def _client(store):
    return _client_of(store)


@pytest.fixture(name="data")
def _data():
    return images.jpeg(size_kb=20)


@pytest.fixture(name="record")
def _record(store, data):
    return store.save(data, "players")


def _headers(proof=None, token=None):
    given_headers = {"x-pixstore-proof": proof, "x-pixstore-token": token}
    return {name: str(value) for name, value in given_headers.items() if value is not None}


def _get(client, image_id, proof=None, token=None, **options):
    path = f"{ROUTE}/{quote(image_id, safe='')}"
    return client.get(path, headers=_headers(proof, token), **options)


def _post(client, asked, path=ROUTE):
    return client.post(path, data=json.dumps({"images": asked}), content_type="application/json")


def _payloads(body):
    """Return the payloads of the answer to a batch."""
    found = []
    while body:
        size = int.from_bytes(body[:4], "little")
        assert len(body) >= 4 + size
        found.append(body[4 : 4 + size])
        body = body[4 + size :]
    return found


def _image(payload):
    return bytes(crypto.unseal(payload.ciphertext, key=payload.key, iv=payload.iv, tag=payload.tag)[1])


# --- one image


def test_without_a_token_the_key_comes_along(client, record, data):
    """A client that knows nothing gets everything it needs to show the image."""
    response = _get(client, record.id, record.stateless_proof)

    payload = wire.decode(response.data)
    assert (response.status_code, payload.token) == (200, record.token)
    assert _image(payload) == data


def test_with_the_current_token_the_ciphertext_is_enough(client, record, data):
    """A client that has the key gets no key."""
    response = _get(client, record.id, record.stateless_proof, record.token)

    payload = wire.decode(response.data)
    assert isinstance(payload, wire.Success)
    assert len(payload.ciphertext) == 1 + len(data)


def test_with_an_old_token_the_new_key_comes_along(client, store, record):
    """After an update the client gets the new version."""
    updated = store.update(record.id, images.png())

    payload = wire.decode(_get(client, record.id, updated.stateless_proof, record.token).data)

    assert payload.token == updated.token
    assert _image(payload) == images.png()


@pytest.mark.parametrize("token", ("", "abc", "-1", "1.0", "1e3", " 1", "٣", "9" * 400, "0x10", "None", "²"))
def test_a_token_that_is_none_is_an_unknown_one(client, record, token):
    """Whatever stands in the header, the client gets the key."""
    response = _get(client, record.id, record.stateless_proof, token.encode().decode("latin-1"))

    assert isinstance(wire.decode(response.data), wire.Updated)


@pytest.mark.parametrize(
    "change",
    (str.upper, lambda proof: proof[:-1], lambda _: "x", lambda proof: proof + " x"),
    ids=("capitals", "cut", "short", "longer"),
)
def test_a_forged_proof(client, record, change):
    """Nothing but the proof itself opens the image."""
    assert _get(client, record.id, change(record.stateless_proof)).data == INVALID_PROOF


def test_no_proof(client, record):
    """Missing is not the same as wrong, and an empty one is missing."""
    assert _get(client, record.id).data == MISSING_PROOF
    assert _get(client, record.id, "").data == MISSING_PROOF


def test_the_proof_of_another_image(client, store, record):
    """A proof is for one image."""
    other = store.save(images.png())

    assert _get(client, record.id, other.stateless_proof).data == INVALID_PROOF


def test_an_old_proof(client, record, now, config):
    """Two windows later it is refused."""
    now.forward(config.stateless_key_window_length)
    assert isinstance(wire.decode(_get(client, record.id, record.stateless_proof).data), wire.Updated)

    now.forward(config.stateless_key_window_length)
    assert _get(client, record.id, record.stateless_proof).data == INVALID_PROOF


def test_a_deleted_image(client, store, record):
    """The proof is good, the image is gone."""
    store.delete(record.id)

    assert _get(client, record.id, record.stateless_proof).data == NOT_FOUND


def test_whether_an_image_exists_is_not_told_without_a_proof(client, record):
    """A stranger gets the same answer for an image that exists and for one that does not."""
    for proof in (None, "forged"):
        existing, missing = (_get(client, image_id, proof) for image_id in (record.id, NOBODY))
        assert (existing.data, list(existing.headers)) == (missing.data, list(missing.headers))


def test_headers_of_an_answer(client, record):
    """Bytes of a known length that nobody may keep, guess the type of, or read from another site."""
    for response in (_get(client, record.id, record.stateless_proof), _get(client, record.id, "forged")):
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "application/octet-stream"
        assert int(response.headers["Content-Length"]) == len(response.data)
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert not [name for name in response.headers.keys() if name.startswith("Access-Control")]  # noqa: SIM118 - a list


# --- how the bytes go out


def _call(endpoint, path, headers=None, **environ):
    """Call *endpoint* as a bare WSGI server does; return what it gave back."""
    built = EnvironBuilder(path=path, headers=headers).get_environ() | environ
    return endpoint(built, lambda *_: None)


def test_a_large_image_goes_out_with_sendfile(store, record):
    """Where the server can send a file, it gets the file, standing at the payload: nothing is copied in Python."""
    given_files = []
    body = _call(
        ImageEndpoint(store),
        f"{ROUTE}/{record.id}",
        _headers(record.stateless_proof, record.token),
        **{
            "wsgi.file_wrapper": lambda file, size: (
                given_files.append((file.fileno(), file.tell())) or FileWrapper(file, size)
            )
        },
    )

    payload = b"".join(body)
    body.close()

    assert given_files[0][1] > 0
    assert isinstance(wire.decode(payload), wire.Success)


def test_an_answer_with_a_key_does_not_go_out_with_sendfile(store, record):
    """The key stands before what is in the file."""
    body = _call(
        ImageEndpoint(store),
        f"{ROUTE}/{record.id}",
        _headers(record.stateless_proof),
        **{"wsgi.file_wrapper": None},
    )

    assert isinstance(wire.decode(b"".join(body)), wire.Updated)


@pytest.mark.parametrize("token", ("current", None))
@pytest.mark.parametrize("taken", (0, 1))
def test_a_client_that_leaves_leaves_no_file_open(store, record, monkeypatch, token, taken):
    """However much of the answer was taken, the blob is closed."""
    opened, open_blob = [], store.parts.blobs.open
    monkeypatch.setattr(
        store.parts.blobs, "open", lambda blob_id: opened.append(open_blob(blob_id)) or opened[-1]
    )
    body = _call(
        ImageEndpoint(store),
        f"{ROUTE}/{record.id}",
        _headers(record.stateless_proof, record.token if token else None),
    )

    for _ in range(taken):
        next(iter(body))
    body.close()

    assert [blob.closed for blob in opened] == [True]


# --- methods and paths


@pytest.mark.parametrize("path", (ROUTE, f"{ROUTE}/"))
def test_without_an_id(client, path):
    """The route alone is no image."""
    response = client.get(path, headers=_headers("x"))

    assert response.status_code == 400
    assert response.text == "Missing image id\n"
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("method", ("HEAD", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "BREW"))
def test_other_methods(store, method):
    """They are not allowed, and the answer says which are."""
    response = _Client(ImageEndpoint(store)).open(f"{ROUTE}/{NOBODY}", method=method)

    assert response.status_code == 405
    assert "GET" in response.headers["Allow"]
    assert response.headers["Cache-Control"] == "no-store"


def test_posting_to_an_image(client, record):
    """A batch is asked of the route, not of one image."""
    assert _post(client, [], path=f"{ROUTE}/{record.id}").status_code == 405


@pytest.mark.parametrize("path", (ROUTE, f"{ROUTE}/{NOBODY}"))
def test_options(client, path):
    """No content, and without a setting nothing for other origins."""
    response = client.options(path)

    assert (response.status_code, response.data) == (204, b"")
    assert not [name for name in response.headers.keys() if name.startswith("Access-Control")]  # noqa: SIM118 - a list


@pytest.mark.parametrize("origin", ("*", "https://example.org"))
def test_another_origin_may_read_where_it_is_set(config, now, origin):
    """With the setting every answer, the refused and the preflight included, carries the headers of CORS."""
    store = ImageStore.open(replace(config, access_control_allow_origin=origin), now=now)
    client = _client_of(store)

    for response in (
        client.options(f"{ROUTE}/x"),
        _get(client, NOBODY),
        client.get(ROUTE),
        _post(client, "x"),
    ):
        assert response.headers["Access-Control-Allow-Origin"] == origin
        assert response.headers["Access-Control-Allow-Headers"] == "x-pixstore-proof, x-pixstore-token"
        assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert "Access-Control-Allow-Credentials" not in response.headers
    store.close()


def test_the_route_is_a_setting(config, now):
    """Another route, of several parts, works the same."""
    store = ImageStore.open(replace(config, default_endpoint_route="/api/v1/img"), now=now)
    record = store.save(images.png())
    client = _client_of(store)

    response = client.get(f"/api/v1/img/{record.id}", headers=_headers(record.stateless_proof))

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

    response = _Client(validator(ImageEndpoint(store).mounted_on(validator(application)))).get(path)

    assert (response.data == b"application") is (served_by == "application")


# --- hostile paths


@pytest.mark.parametrize(
    "path",
    ("%", "%%", "%2", "%zz", "%00", "%0d%0aX-Injected:%20yes", "..", "../../../etc/passwd", "%2e%2e%2fetc%2fpasswd", "%ff%fe",
     "a" * 3000, "players:", ":", "players%3A", "PLAYERS:K3V9", "%F0%9F%98%80", "'; DROP TABLE image; --", "k3v9t2m5x7q4/extra"),
)  # fmt: skip
def test_a_hostile_path_gets_its_state(client, record, path):
    """Whatever the path, the answer is a state byte and says nothing of what was sent."""
    response = client.get(f"{ROUTE}/{path}", headers=_headers(record.stateless_proof))

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


# --- a batch


def test_a_batch_is_answered_in_order(client, store):
    """Each payload stands behind its length, in the order that was asked, the refused ones too."""
    first, second = store.save(images.png()), store.save(images.jpeg(size_kb=400))
    asked = [
        {"id": second.id, "proof": second.stateless_proof},
        {"id": NOBODY, "proof": "forged"},
        {"id": first.id, "proof": first.stateless_proof, "token": first.token},
        {"id": first.id},
        {"proof": first.stateless_proof},
        {"id": first.id, "proof": first.stateless_proof, "token": 1},
    ]

    response = _post(client, asked)

    payloads = _payloads(response.data)
    assert response.status_code == 200
    assert _image(wire.decode(payloads[0])) == images.jpeg(size_kb=400)
    assert payloads[1] == INVALID_PROOF
    assert isinstance(wire.decode(payloads[2]), wire.Success)
    assert payloads[3:5] == [MISSING_PROOF, b"\x03"]
    assert _image(wire.decode(payloads[5])) == images.png()


def test_a_batch_is_what_single_requests_are(client, store):
    """One implementation: asked one by one, the payloads are the same to the byte."""
    records = [store.save(images.png(seed=seed)) for seed in range(5)]

    batch = _payloads(_post(client, [{"id": r.id, "proof": r.stateless_proof} for r in records]).data)

    assert batch == [_get(client, r.id, r.stateless_proof).data for r in records]


def test_headers_of_a_batch(client, record):
    """Nobody may keep it, either."""
    response = _post(client, [{"id": record.id, "proof": record.stateless_proof}])

    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.headers["Cache-Control"] == "no-store"


def test_the_largest_batch(client, store):
    """A hundred images are a batch, read in one query; one more is not."""
    record = store.save(images.png())
    asked = [{"id": record.id, "proof": record.stateless_proof, "token": record.token}] * 100

    assert len(_payloads(_post(client, asked).data)) == 100
    assert _post(client, asked + asked[:1]).status_code == 400


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
    response = _post(_client_of(store), asked)

    assert response.status_code == 200
    assert len(_payloads(response.data)) == len(asked)
    assert all(len(payload) == 1 for payload in _payloads(response.data))


def test_a_body_that_cannot_be_read(store):
    """A client that breaks off, or sends chunks that are none, gets a bad request and no traceback."""

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

    first, second = _payloads(_post(client, asked).data)

    assert first == INTERNAL_ERROR
    assert isinstance(wire.decode(second), wire.Updated)
    assert damaged.id in caplog.text
    assert damaged.meta.key not in caplog.text
    assert damaged.stateless_proof not in caplog.text


def test_a_database_that_is_away(client, store, record, monkeypatch, caplog):
    """Every image gets its state, and the log says why; refused proofs stay refused."""

    def unavailable(_image_ids):
        raise DatabaseUnavailable("the database is not available: locked")

    monkeypatch.setattr(store.parts.models, "read_images", unavailable)
    asked = [{"id": record.id, "proof": record.stateless_proof}, {"id": record.id, "proof": "forged"}]

    assert _get(client, record.id, record.stateless_proof).data == INTERNAL_ERROR
    assert _payloads(_post(client, asked).data) == [INTERNAL_ERROR, INVALID_PROOF]
    assert "not available" in caplog.text


def test_a_wrong_store_key_is_an_internal_error(client, store, record, caplog):
    """Where the key does not unwrap, no byte of the image goes out."""
    with store.connected():
        store.parts.models.image.update(wrapped_key=bytes(60)).where(
            store.parts.models.image.id == record.id
        ).execute()

    assert _get(client, record.id, record.stateless_proof).data == INTERNAL_ERROR


# --- on a socket


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(name="send")
def _send(store):
    """Return a function that sends bytes to a real server and gives back what comes within two seconds."""
    failed = []
    server = make_server("127.0.0.1", 0, validator(ImageEndpoint(store)), handler_class=_Quiet)
    server.handle_error = lambda *_: failed.append(1)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def send(request):
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=2) as connection:
            connection.sendall(request)
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        return answer

    yield send
    server.shutdown()
    thread.join()
    server.server_close()
    assert failed == []


def test_a_real_server_serves_an_image(send, record, data):
    """From the socket to the picture."""
    answer = send(
        f"GET {ROUTE}/{quote(record.id)} HTTP/1.0\r\nx-pixstore-proof: {record.stateless_proof}\r\n\r\n".encode()
    )

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK")
    assert _image(wire.decode(body)) == data


def test_a_real_server_serves_a_batch_to_a_client_that_waits(send, record, data):
    """A client keeps its connection open for the answer: the endpoint reads no more than the body that was announced."""
    body = json.dumps({"images": [{"id": record.id, "proof": record.stateless_proof}]}).encode()

    answer = send(b"POST %s HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s" % (ROUTE.encode(), len(body), body))

    head, _, payloads = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK")
    assert _image(wire.decode(_payloads(payloads)[0])) == data


@pytest.mark.parametrize(
    "path", (b"/%", b"/%00", b"/\xff\xfe", b"/..%2f..%2fetc%2fpasswd", b"//", b"/%0d%0aX:%20y")
)
def test_a_real_server_survives_a_hostile_path(send, record, path):
    """One unauthenticated request ends nothing: the next one is served."""
    answer = send(b"GET " + ROUTE.encode() + path + b" HTTP/1.0\r\nx-pixstore-proof: x\r\n\r\n")

    assert answer.partition(b"\r\n\r\n")[2] in (NOT_FOUND, INVALID_PROOF)
    assert send(f"GET {ROUTE}/{record.id} HTTP/1.0\r\n\r\n".encode()).endswith(MISSING_PROOF)
