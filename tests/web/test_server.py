"""The application under gunicorn, as `make run` starts it: two workers, real sockets."""

import http.client
import socket

import pytest

from tests.eventually import eventually
from tests.gallery_server import GalleryServer
from tests.raw_http import exchange, request

FORM = "application/x-www-form-urlencoded"
UNNAMED = b"--x\r\nContent-Disposition: form-data\r\n\r\nSea\r\n--x--\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Start gunicorn on a free port."""
    server = GalleryServer(tmp_path_factory.mktemp("server")).start()
    yield server
    server.stop()


def test_one_link_for_all_workers(server):
    """The link is printed once, although each worker makes the application."""
    path = server.setup_link().removeprefix(server.url)

    for _ in range(4):  # whichever worker answers
        assert statuses(server, request("GET", path)) == [200]
    assert server.output.read_text().count("Set up: http") == 1


def statuses(server, sent):
    """Send bytes and return the statuses of the answers."""
    return [answer.status for answer in exchange(server.port, sent)]


@pytest.mark.parametrize(
    "sent",
    (
        request("POST", "/login", headers={"Content-Type": FORM, "Transfer-Encoding": "chunked"}) + b"zz\r\n",
        request("GET", "/login", host="."),
        request("GET", "/login", host="a" * 64),
        request("GET", "/healthz", host="a" * 64),
        request("GET", "/login?next=\xff"),
        request("GET", "/?before=\xff"),
        request("POST", "/login", UNNAMED, headers={"Content-Type": "multipart/form-data; boundary=x"}),
    ),
    ids=("chunks", "empty host", "long host", "health", "query", "query of nobody", "part without a name"),
)
def test_what_cannot_be_understood_is_refused(server, sent):
    """A request that makes no sense is a 400, and no fault of the server's; reliability/test_hostile_input.py sends thousands."""
    assert statuses(server, sent) == [400]

    assert "Traceback" not in server.output.read_text()


def test_a_page_address_that_is_none_is_ignored(server):
    """Where htmx names a page that has no readable address, the login leads to the first page."""
    headers = {"HX-Request": "true", "HX-Current-URL": "http://["}

    (answer,) = exchange(server.port, request("GET", "/albums", headers=headers))

    assert answer.status == 401
    assert answer.headers["HX-Redirect"] == "/login"


def test_a_client_that_is_still_sending_sees_why_it_was_refused(server):
    """A body that is too large is not read, and yet the answer reaches a client that sends all of it first."""
    body = bytes(2**25)
    headers = {"Content-Type": FORM, "Content-Length": str(len(body))}

    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(request("POST", "/login", headers=headers))
        connection.sendall(body)
        with http.client.HTTPResponse(connection) as answer:
            answer.begin()

            assert answer.status == 413
            assert b"larger than allowed" in answer.read()


def test_a_body_nobody_reads_may_be_anything(server):
    """Broken chunks behind a request whose body is not looked at are one line in the log, not a traceback."""
    assert statuses(
        server,
        request("GET", "/login", headers={"Transfer-Encoding": "chunked", "Connection": "x"}) + b"zz\r\n",
    ) == [200]

    eventually(lambda: "The rest of a body could not be read: InvalidChunkSize" in server.output.read_text())
    assert "Traceback" not in server.output.read_text()
