"""
Servers on this machine: a free port, waiting until a server serves, and any WSGI application on a port of its own.

    process = subprocess.Popen([...])
    wait_for_server(process, lambda: answers(port, "/healthz"), "gunicorn")
"""

import http.client
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from werkzeug.serving import WSGIRequestHandler, make_server

from tests.eventually import eventually

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

T = TypeVar("T")

START_SECONDS = 30


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_for_server(
    process: "subprocess.Popen[bytes]",
    is_ready: Callable[[], T],
    name: str,
    *,
    seconds: float = START_SECONDS,
    output: Path | None = None,
) -> T:
    """
    Wait until *is_ready* returns something true, and return that.

    Fail with what the server has printed into *output* if it ends, or if it takes longer than *seconds*.
    """

    def is_ready_or_gone() -> T | bool:
        return is_ready() or process.poll() is not None

    try:
        ready = eventually(is_ready_or_gone, seconds, f"{name} serves")
        assert process.poll() is None, f"{name} ended with status {process.returncode}"
    except AssertionError as error:
        printed = "" if output is None else output.read_text(errors="replace")
        raise AssertionError(f"{error}\n{printed}") from None
    return ready


def listens(port: int) -> bool:
    """Tell whether somebody listens on *port*."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def answers(port: int, path: str) -> bool:
    """Tell whether an HTTP server on *port* answers a request for *path* with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        with connection.getresponse() as response:
            response.read()
            return response.status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class _QuietHandler(WSGIRequestHandler):
    """Writes no log."""

    def log(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(application: "WSGIApplication", certificate: tuple[str, str] | None = None) -> Iterator[int]:
    """Serve *application* on a free port of this machine, by HTTPS if there is a *certificate*, and say which port."""
    server = make_server(
        "127.0.0.1", 0, application, threaded=True, ssl_context=certificate, request_handler=_QuietHandler
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
