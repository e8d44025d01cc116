"""
How gunicorn serves the gallery: `gunicorn` in this folder is all it takes.

Settings of the environment: HOST, PORT (or a socket passed in by systemd), WEB_CONCURRENCY (processes), WEB_THREADS
(threads in each), ACCESS_LOG ("-" is the console, empty turns it off) and FORWARDED_ALLOW_IPS. Arguments of the command
line win over this file. docs/deployment.md says what belongs in front of it.
"""

import os
import re
import selectors
import sys
import time
from functools import partial
from pathlib import Path
from urllib.parse import quote

from gunicorn import glogging
from gunicorn.http.errors import ChunkMissingTerminator, InvalidChunkExtension, InvalidChunkSize, NoMoreData
from gunicorn.workers.gthread import ThreadWorker

wsgi_app = "app:app"


def _bind() -> str:
    host = os.environ.get("HOST") or "127.0.0.1"
    port = os.environ.get("PORT") or "8000"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


bind = _bind()


class Worker(ThreadWorker):
    """Told to stop, it finishes what it was asked, and waits a second only for connections on which nobody asks anything.

    Browsers and proxies keep idle connections open for a minute; a restart would take as long. But whoever was told that
    a connection stays open may be sending the next request on it already: for that second, such requests are answered.
    """

    def finish_request(self, conn, fs):
        """Keep a connection if its answer, written before this worker was told to stop, said so."""
        is_kept = not fs.cancelled() and fs.exception() is None and fs.result() is True
        if self.alive or not is_kept:
            super().finish_request(conn, fs)
            return
        conn.sock.setblocking(False)
        conn.set_timeout()
        self.keepalived_conns.append(conn)
        next_request = partial(self.on_client_socket_readable, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, next_request)

    def wait_for_and_dispatch_events(self, timeout):
        """Let idle connections expire soon, once this worker has been told to stop."""
        if not self.alive:
            soon = time.monotonic() + 1
            for connection in (*self.keepalived_conns, *self.pending_conns):
                connection.timeout = min(connection.timeout, soon)
        super().wait_for_and_dispatch_events(min(timeout, 1))


worker_class = Worker
# Two processes keep two cores busy and survive the death of one; the threads wait for disk, database and network.
# SQLite has one writer at a time, so more processes help reading only.
workers = int(os.environ.get("WEB_CONCURRENCY") or 2)
threads = int(os.environ.get("WEB_THREADS") or 8)

# Each worker opens the store for itself: SQLite connections must not be carried across a fork.
preload_app = False

# A thread may wait 15 s for SQLite's write lock, and a worker that is told to stop finishes its uploads first.
timeout = 60
graceful_timeout = 60
# Longer than the 60 s for which nginx keeps idle connections to us, so it never sends a request into one we are closing.
keepalive = 75

# No header or path of ours comes near these.
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190

# Workers report that they are alive through a file; in memory, a busy disk cannot make them look dead.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - gunicorn makes the name unguessable

# Whatever the server writes is for its own user alone.
umask = 0o077

# Nobody needs to steer the server through a socket; signals do.
control_socket_disable = True

# Proxy headers are the application's business (PIXSTORE_PROXY_HOPS); here they are believed from nobody unless named.
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "")


# The link that makes the owner's account carries its token in the path.
_TOKEN_IN_PATH = re.compile(r"^(/setup/).+", re.DOTALL)

# What reading a body raises where the client broke off, or sent chunks that are none.
_BROKEN_BODY = (ChunkMissingTerminator, InvalidChunkExtension, InvalidChunkSize, NoMoreData)


class PathLogger(glogging.Logger):
    """Log method, path, status, size and time, and nothing else: a query or a header may carry a secret."""

    def exception(self, msg, *args, **kwargs):
        """Log a traceback where the server is at fault; for a client that sends nonsense, a line is enough."""
        error = sys.exception()
        if isinstance(error, _BROKEN_BODY):
            self.warning("The rest of a body could not be read: %s", type(error).__name__)
        else:
            super().exception(msg, *args, **kwargs)

    def atoms(self, resp, req, environ, request_time):  # noqa: ARG002 - the signature is gunicorn's
        """Return what an access log line may contain, whatever its format asks for."""
        return {
            "h": environ.get("REMOTE_ADDR") or "-",
            "m": environ["REQUEST_METHOD"],
            # Quoted again, so that no path can write a line of its own into the log.
            "U": quote(
                _TOKEN_IN_PATH.sub(r"\1*", environ.get("PATH_INFO", "")), safe="/*", encoding="latin-1"
            ),
            "s": str(resp.status).split(None, 1)[0],
            "B": resp.sent,
            "M": round(request_time.total_seconds() * 1000),
        }


logger_class = PathLogger
accesslog = os.environ.get("ACCESS_LOG", "-") or None
access_log_format = "%(h)s %(m)s %(U)s %(s)s %(B)s B %(M)s ms"


def post_fork(server, worker):  # noqa: ARG001 - the signature is gunicorn's
    """Drop database connections that came through the fork, which happens only where someone turns preload_app on."""
    inherited = getattr(worker.app.callable, "extensions", {}).get("pixstore")
    if inherited is not None:
        inherited.database.dispose()
