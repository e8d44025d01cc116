"""
What gunicorn does differently for the gallery: how a worker stops, and what the log may say. Imports gunicorn.

``gunicorn.conf.py`` names both classes. ``Worker`` builds on the internals of gunicorn's gthread worker (release 26);
``tests/web/test_server_stops.py`` tries it on a real server.
"""

import re
import selectors
import sys
import time
from concurrent.futures import Future
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

from gunicorn import glogging
from gunicorn.http.errors import (
    ChunkMissingTerminator,
    InvalidChunkExtension,
    InvalidChunkSize,
    NoMoreData,
)
from gunicorn.workers.gthread import TConn, ThreadWorker

IDLE_SECONDS_AFTER_STOP = 1

BROKEN_BODY = (ChunkMissingTerminator, InvalidChunkExtension, InvalidChunkSize, NoMoreData)
"""What reading a body raises when the client breaks off, or sends malformed chunks."""

_TOKEN_IN_PATH = re.compile(r"^(/setup/).+", re.DOTALL)
"""The link that makes the owner's account carries its token in the path."""


class Worker(ThreadWorker):
    """
    A worker that, told to stop, finishes every request and closes idle connections within a second.

    Browsers and proxies keep idle connections open for a minute, and a restart would take as long. But a client that was told
    that its connection stays open may be sending the next request on it already: for that second, such requests are answered.
    """

    def finish_request(self, conn: TConn, fs: "Future[bool]") -> None:
        """Keep a connection if its answer, written before this worker was told to stop, said so."""
        is_kept = not fs.cancelled() and fs.exception() is None and fs.result() is True
        if self.alive or not is_kept:
            super().finish_request(conn, fs)
            return
        conn.sock.setblocking(False)
        conn.set_timeout()
        self.keepalived_conns.append(conn)
        next_request = partial(self.on_client_socket_readable, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, next_request)  # type: ignore[union-attr] # set while it runs

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Let idle connections expire soon, once this worker has been told to stop."""
        if not self.alive:
            soon = time.monotonic() + IDLE_SECONDS_AFTER_STOP
            for connection in (*self.keepalived_conns, *self.pending_conns):
                connection.timeout = min(connection.timeout, soon)
        super().wait_for_and_dispatch_events(min(timeout, IDLE_SECONDS_AFTER_STOP))


class PathLogger(glogging.Logger):
    """A log of method, path, status, size and time, and nothing else: a query or a header may carry a secret."""

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log a traceback where the server is at fault. For a client that sends nonsense, one line is enough."""
        error = sys.exception()
        if isinstance(error, BROKEN_BODY):
            self.warning("The rest of a body could not be read: %s", type(error).__name__)
        else:
            super().exception(msg, *args, **kwargs)

    def atoms(
        self,
        resp: Any,
        req: Any,  # noqa: ARG002 - the signature is gunicorn's
        environ: dict[str, Any],
        request_time: timedelta,
    ) -> dict[str, Any]:
        """Return what a line of the access log may contain, whatever its format asks for."""
        path = _TOKEN_IN_PATH.sub(r"\1*", environ.get("PATH_INFO", ""))
        return {
            "h": environ.get("REMOTE_ADDR") or "-",
            "m": environ["REQUEST_METHOD"],
            # Quoted again, so that no path can write a line of its own into the log.
            "U": quote(path, safe="/*", encoding="latin-1"),
            "s": str(resp.status).split(None, 1)[0],
            "B": resp.sent,
            "M": round(request_time.total_seconds() * 1000),
        }
