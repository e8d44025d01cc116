"""
Changes three things in gunicorn: how a worker stops, how it answers a request without reading all of its
body, and what the log contains. Imports gunicorn.

``gunicorn.conf.py`` names both classes. ``Worker`` depends on internals of gunicorn's gthread worker (release
26); ``tests/web/test_server_stops.py`` tests it with a real server.
"""

import ctypes
import re
import selectors
import socket
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

from gunicorn import glogging
from gunicorn.http.body import Body
from gunicorn.http.errors import (
    ChunkMissingTerminator,
    InvalidChunkExtension,
    InvalidChunkSize,
    NoMoreData,
)
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker

IDLE_SECONDS_AFTER_STOP = 1

LINGER_SECONDS, LINGER_IDLE_SECONDS = 60, 5
"""How long the rest of a body is read and discarded, and how long the client may send nothing meanwhile."""

_LARGE_BLOCK = 2**20
_M_MMAP_THRESHOLD = -3

MAX_LINGERING = 32
_LINGER_PIECE, _LINGER_LOOK_SECONDS = 2**16, 0.05

_BODY_PIECE = 2**16

BROKEN_BODY = (ChunkMissingTerminator, InvalidChunkExtension, InvalidChunkSize, NoMoreData)
"""The errors of reading a body if the client disconnects or sends malformed chunks."""

_TOKEN_IN_PATH = re.compile(r"^(/setup/).+", re.DOTALL)
"""The set-up link of the owner's account has its token in the path."""


class PieceBody(Body):
    """
    The body of a request, read from the connection in large pieces.

    gunicorn's own asks for one kilobyte at a time, and copies what is left over each time: for a photo of 3 MB that takes 8 ms
    in which no other thread runs, and this 2 ms.
    """

    def read(self, size: int | None = None) -> bytes:
        """Return *size* bytes, or what there is before the end."""
        wanted: int = self.getsize(size)
        if self.buf.tell():  # somebody has read a line before
            rest: bytes = super().read(size)
            return rest
        pieces = []
        while wanted and (piece := self.reader.read(min(wanted, _BODY_PIECE))):
            pieces.append(piece)
            wanted -= len(piece)
        return b"".join(pieces)


class Worker(ThreadWorker):
    """
    A worker that finishes its requests before it stops, and then closes idle connections within a second.

    Browsers and proxies keep idle connections open for a minute, so a restart would take as long. But a
    client whose connection was kept open may already be sending its next request. So such requests are
    answered for one more second.

    The worker also keeps a connection open while the client is still sending a body that was refused.
    Otherwise the client would see a broken connection instead of the answer. A separate thread reads and
    discards the rest of the body.
    """

    def __init__(self, *rest: Any, **named: Any) -> None:
        super().__init__(*rest, **named)
        self._lingering: set[TConn] = set()
        self._linger_places = threading.BoundedSemaphore(MAX_LINGERING)

    def init_process(self) -> None:
        """Start the worker in its own process."""
        _give_large_blocks_back()
        super().init_process()

    def _keepalive_after(self, conn: TConn, keepalive: bool) -> bool:
        is_kept = bool(super()._keepalive_after(conn, keepalive))
        if not is_kept and _has_more_to_send(conn) and self._linger_places.acquire(blocking=False):
            self._lingering.add(conn)
            threading.Thread(target=self._linger, args=(conn.sock.dup(),), daemon=True).start()
        return is_kept

    def _linger(self, connection: socket.socket) -> None:
        """Read and discard the rest of the body on *connection*, whose request has been answered; then close it."""
        try:
            with connection, suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(LINGER_IDLE_SECONDS)
                until, waste = time.monotonic() + LINGER_SECONDS, bytearray(_LINGER_PIECE)
                while connection.recv_into(waste) and time.monotonic() < until:
                    pass
        finally:
            self._linger_places.release()

    def handle_request(self, req: Any, conn: TConn) -> bool:
        """Answer a request whose body is read in large pieces."""
        if type(req.body) is Body:
            req.body = PieceBody(req.body.reader)
            if isinstance(req.unreader, SocketUnreader):
                req.unreader.mxchunk = _BODY_PIECE
        keepalive: bool = super().handle_request(req, conn)
        return keepalive

    def finish_request(self, conn: TConn, fs: "Future[bool]") -> None:
        """Keep the connection if its answer promised that, even if this worker was told to stop meanwhile."""
        if conn in self._lingering:
            self._lingering.discard(conn)
            self.nr_conns -= 1
            conn.close()
            return
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
        """Make idle connections expire soon if this worker has been told to stop."""
        if not self.alive:
            soon = time.monotonic() + IDLE_SECONDS_AFTER_STOP
            for connection in (*self.keepalived_conns, *self.pending_conns):
                connection.timeout = min(connection.timeout, soon)
        super().wait_for_and_dispatch_events(min(timeout, IDLE_SECONDS_AFTER_STOP))


def _has_more_to_send(conn: TConn) -> bool:
    """Tell whether a part of the request's body has not arrived yet."""
    with suppress(OSError, *BROKEN_BODY):
        deadline = time.monotonic() + _LINGER_LOOK_SECONDS
        return conn.parser is not None and not conn.parser.finish_body(deadline=deadline)
    return False


def _give_large_blocks_back() -> None:
    """
    Make the C library return the memory of images to the system when it is freed.

    By default, glibc raises its threshold (mallopt(3), M_MMAP_THRESHOLD) after the first large block and
    keeps later ones, separately for each thread. That can waste some hundred megabytes. Other C libraries
    have no such setting.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK)


class PathLogger(glogging.Logger):
    """Logs only address, method, path, status, size and time: a query or a header may carry a secret."""

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log a traceback for a fault of the server, but only one line for a client's broken body."""
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
        """Return the only values that a line of the access log may contain, whatever its format."""
        path = _TOKEN_IN_PATH.sub(r"\1*", environ.get("PATH_INFO", ""))
        return {
            "h": environ.get("REMOTE_ADDR") or "-",
            "m": environ["REQUEST_METHOD"],
            # Quoted again, so that no path can add a line to the log.
            "U": quote(path, safe="/*", encoding="latin-1"),
            "s": str(resp.status).split(None, 1)[0],
            "B": resp.sent,
            "M": round(request_time.total_seconds() * 1000),
        }
