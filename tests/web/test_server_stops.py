"""What gunicorn does when a service manager stops or restarts it."""

import http.client
import signal
import socket
import threading
import time

import pytest

from tests.eventually import eventually
from tests.gallery_server import GalleryServer

# Far below the minute for which a server finishes uploads, and for which browsers keep idle connections.
SOON = 20


@pytest.fixture
def server(tmp_path):
    """Start gunicorn on a free port; a test may stop it."""
    server = GalleryServer(tmp_path).start()
    yield server
    server.stop()


def connection_to(server):
    """Return an open connection on which nothing has been asked."""
    return socket.create_connection(("127.0.0.1", server.port), timeout=30)


def used_connection_to(server):
    """Return an open connection on which a request has been answered."""
    connection = connection_to(server)
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    with http.client.HTTPResponse(connection) as answer:
        answer.begin()
        assert answer.read() == b"ok\n"
    return connection


def test_idle_connections_do_not_delay_a_stop(server):
    """A browser that keeps its connections open, used ones or new ones, does not keep the server from stopping."""
    with used_connection_to(server), connection_to(server):
        start = time.monotonic()
        server.stop()

        assert time.monotonic() - start < SOON


def test_a_request_under_way_is_answered(server):
    """What somebody is sending when the server is told to stop still arrives and is answered."""
    body = b"name=x&password=y"
    head = (
        "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with connection_to(server) as busy, used_connection_to(server) as idle:
        busy.sendall(head.encode() + body[:3])
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        assert idle.recv(1) == b""  # closed: a worker has heard of the stop

        busy.sendall(body[3:])
        answer = http.client.HTTPResponse(busy)
        answer.begin()

        assert answer.status == 400  # it carries no CSRF token
        answer.close()
        stopping.join()


def test_workers_are_exchanged_soon(server):
    """After SIGHUP other workers serve, and the old ones leave although a connection stays open."""
    before = set(server.workers())
    with used_connection_to(server):
        server.signal(signal.SIGHUP)

        eventually(lambda: len(set(server.workers()) - before) == 2, SOON)
        eventually(lambda: not before & set(server.workers()), SOON)
