"""How the answers of the image endpoint go out: by sendfile, in pieces, to clients that leave, on a real socket."""

import json
import os
import socket
import threading
from contextlib import nullcontext
from urllib.parse import quote
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest
from werkzeug.test import EnvironBuilder

from pixstore import wire
from pixstore.endpoint import ImageEndpoint
from tests import stored
from tests.payloads import image_of, unbatched
from tests.store.endpoint_client import INVALID_PROOF, MISSING_PROOF, NOT_FOUND, ROUTE, proof_and_token


def _call(endpoint, path, headers=None, **environ):
    """Call *endpoint* as a bare WSGI server does; return what it gave back."""
    return endpoint(_environ(path, headers) | environ, lambda *_: None)


def _environ(path, headers):
    return EnvironBuilder(path=path, headers=headers).get_environ()


def test_a_large_image_goes_out_with_sendfile(store, record):
    """A server that can send files gets the file itself, positioned at the payload, so nothing is copied in Python."""
    given_files = []
    body = _call(
        ImageEndpoint(store),
        f"{ROUTE}/{record.id}",
        proof_and_token(record.stateless_proof, record.token),
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


def test_an_answer_with_a_key_is_a_short_head_and_the_file(store, record):
    """Of an answer with a key, the key is written first; the image goes from the file to the network (sendfile)."""
    written = []
    environ = _environ(f"{ROUTE}/{record.id}", proof_and_token(record.stateless_proof))
    file = ImageEndpoint(store)(
        environ | {"wsgi.file_wrapper": lambda file, _size: file}, lambda *_: written.append
    )
    payload = wire.decode(b"".join(written) + file.read())
    file.close()

    assert isinstance(payload, wire.Updated)
    assert [len(head) for head in written] == [wire.UPDATED_HEAD_SIZE]


def test_a_client_that_leaves_before_the_file_leaves_none_open(store, record, monkeypatch):
    """If the key cannot be sent any more, the file is closed."""
    opened, open_blob = [], store.parts.blobs.open
    monkeypatch.setattr(
        store.parts.blobs, "open", lambda blob_id: opened.append(open_blob(blob_id)) or opened[-1]
    )

    def left(_head):
        raise BrokenPipeError

    environ = _environ(f"{ROUTE}/{record.id}", proof_and_token(record.stateless_proof))
    with pytest.raises(BrokenPipeError):
        ImageEndpoint(store)(environ | {"wsgi.file_wrapper": None}, lambda *_: left)

    assert [file.closed for file in opened] == [True]


@pytest.mark.parametrize("is_shorter", (True, False))
def test_a_file_that_becomes_shorter_while_it_is_sent_breaks_the_connection(store, record, is_shorter):
    """The server is told with an error that bytes are missing, so that it closes the connection and no client waits for them."""
    sent = []
    _call(
        ImageEndpoint(store),
        f"{ROUTE}/{record.id}",
        proof_and_token(record.stateless_proof, record.token),
        **{"wsgi.file_wrapper": lambda file, _size: sent.append(file)},
    )
    if is_shorter:
        os.truncate(stored.blob_file(store, record.id), 100)

    with pytest.raises(OSError, match="shorter") if is_shorter else nullcontext():
        sent[0].close()


@pytest.mark.parametrize("token", ("current", None))
@pytest.mark.parametrize("taken", (0, 1))
def test_a_client_that_leaves_leaves_no_file_open(store, record, monkeypatch, token, taken):
    """The blob is closed, however much of the answer the client has taken."""
    opened, open_blob = [], store.parts.blobs.open
    monkeypatch.setattr(
        store.parts.blobs, "open", lambda blob_id: opened.append(open_blob(blob_id)) or opened[-1]
    )
    body = _call(
        ImageEndpoint(store),
        f"{ROUTE}/{record.id}",
        proof_and_token(record.stateless_proof, record.token if token else None),
    )

    for _ in range(taken):
        next(iter(body))
    body.close()

    assert [blob.closed for blob in opened] == [True]


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
    """An image arrives over a real socket."""
    answer = send(
        f"GET {ROUTE}/{quote(record.id)} HTTP/1.0\r\nx-pixstore-proof: {record.stateless_proof}\r\n\r\n".encode()
    )

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK")
    assert image_of(wire.decode(body)) == data


def test_a_real_server_serves_a_batch_to_a_client_that_waits(send, record, data):
    """The endpoint reads no more than the announced body, so a client that keeps its connection open gets its answer."""
    body = json.dumps({"images": [{"id": record.id, "proof": record.stateless_proof}]}).encode()

    answer = send(b"POST %s HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s" % (ROUTE.encode(), len(body), body))

    head, _, payloads = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK")
    assert image_of(wire.decode(unbatched(payloads)[0])) == data


@pytest.mark.parametrize(
    "path", (b"/%", b"/%00", b"/\xff\xfe", b"/..%2f..%2fetc%2fpasswd", b"//", b"/%0d%0aX:%20y")
)
def test_a_real_server_survives_a_hostile_path(send, record, path):
    """After a request with a hostile path the server serves the next one."""
    answer = send(b"GET " + ROUTE.encode() + path + b" HTTP/1.0\r\nx-pixstore-proof: x\r\n\r\n")

    assert answer.partition(b"\r\n\r\n")[2] in (NOT_FOUND, INVALID_PROOF)
    assert send(f"GET {ROUTE}/{record.id} HTTP/1.0\r\n\r\n".encode()).endswith(MISSING_PROOF)
