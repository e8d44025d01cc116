"""
Gunicorn's configuration for the gallery. Start it with `gunicorn` in this folder.

Settings of the environment: HOST, PORT (or a socket passed in by systemd), WEB_CONCURRENCY (processes), WEB_THREADS
(threads in each), ACCESS_LOG ("-" is the console, empty turns it off) and FORWARDED_ALLOW_IPS. Command-line
arguments override this file. docs/deployment.md describes the proxy to put in front of it.
"""

import os
from pathlib import Path

from pixstore.gallery.serving import PathLogger, Worker

wsgi_app = "app:app"

_host = os.environ.get("HOST") or "127.0.0.1"
_port = os.environ.get("PORT") or "8000"
bind = f"[{_host}]:{_port}" if ":" in _host else f"{_host}:{_port}"

worker_class = Worker
# Two processes use two cores, and if one dies, the other still serves. Threads wait for disk, database and
# network. SQLite has one writer at a time, so more processes only speed up reading.
workers = int(os.environ.get("WEB_CONCURRENCY") or 2)
threads = int(os.environ.get("WEB_THREADS") or 8)

# Each worker opens the store itself, because SQLite connections must not survive a fork.
preload_app = False

# A thread may wait 15 s for SQLite's write lock. A worker that is told to stop finishes its uploads first.
timeout = 60
graceful_timeout = 60
# Longer than the 60 s for which nginx keeps idle connections, so nginx never uses one that is closing.
keepalive = 75

# Far above every header and path of the gallery.
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190

# Workers show that they are alive through a file. It is in memory, so a busy disk cannot make them look dead.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - gunicorn makes the name unguessable

# Only the server's own user may read the files it writes.
umask = 0o077

# The server is controlled by signals, so it needs no control socket.
control_socket_disable = True

# The application reads proxy headers (PIXSTORE_PROXY_HOPS). Gunicorn trusts only the addresses named here.
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "")

logger_class = PathLogger
accesslog = os.environ.get("ACCESS_LOG", "-") or None
access_log_format = "%(h)s %(m)s %(U)s %(s)s %(B)s B %(M)s ms"


def post_fork(server, worker):  # noqa: ARG001 - the signature is gunicorn's
    """Drop database connections inherited through the fork. There are some only if preload_app is turned on."""
    store = getattr(worker.app.callable, "extensions", {}).get("pixstore")
    if store is not None:
        store.after_fork()
