"""The application under gunicorn, as `make run` starts it: two workers, real sockets."""

import socket

import pytest

from tests.gallery_server import GalleryServer

FORM = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
CHUNKED = FORM + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Start gunicorn on a free port."""
    server = GalleryServer(tmp_path_factory.mktemp("server")).start()
    yield server
    server.stop()


def status_of(port, request):
    """Send the bytes of *request* and return the status of the answer; 0 where there is none."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return int(answer.split(b" ", 2)[1]) if answer else 0


def test_one_link_for_all_workers(server):
    """The link is printed once, although each worker makes the application."""
    path = server.setup_link().removeprefix(server.url).encode()

    for _ in range(4):  # whichever worker answers
        request = b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert status_of(server.port, request) == 200
    assert server.output.read_text().count("Set up: http") == 1


@pytest.mark.parametrize(
    "request_bytes",
    (
        CHUNKED + b"zz\r\n",
        CHUNKED + b"5\r\nabc",
        CHUNKED + b"3\r\nabcdef\r\n0\r\n\r\n",
        CHUNKED + b"-1\r\n\r\n",
        CHUNKED + b"3;\r=x\r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"0\r\nbad trailer\r\n\r\n",
        CHUNKED,
        FORM + b"Content-Length: 100\r\n\r\nabc",
        FORM + b"Content-Length: abc\r\n\r\n",
        FORM + b"Content-Length: -1\r\n\r\n",
        FORM + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"GET /%00%ff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /login HTTP/1.1\r\nHost: [\r\nConnection: close\r\n\r\n",
        b"GET /login HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n",
        b"GET /login HTTP/1.1\r\nHost: localhost\r\nCookie: pixstore=\xff\xfe\r\nConnection: close\r\n\r\n",
    ),
    ids=lambda data: repr(data.removeprefix(CHUNKED).removeprefix(FORM))[2:40],
)
def test_odd_requests_are_never_500(server, request_bytes):
    """What no browser sends is refused, or has no answer; it is never the server's fault, and the server goes on."""
    assert status_of(server.port, request_bytes) < 500

    assert (
        status_of(server.port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        == 200
    )
    assert "Traceback" not in server.output.read_text()
