"""
How gunicorn serves the gallery: `gunicorn` in this folder is all it takes.

Settings of the environment: HOST, PORT (or a socket passed in by systemd), WEB_CONCURRENCY (processes), WEB_THREADS
(threads in each), ACCESS_LOG ("-" is the console, empty turns it off) and FORWARDED_ALLOW_IPS. Arguments of the command
line win over this file. docs/deployment.md says what belongs in front of it.
"""

import os
from pathlib import Path

from pixstore.gallery.serving import PathLogger, Worker

wsgi_app = "app:app"

_host = os.environ.get("HOST") or "127.0.0.1"
_port = os.environ.get("PORT") or "8000"
bind = f"[{_host}]:{_port}" if ":" in _host else f"{_host}:{_port}"

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

# Proxy headers are the application's business (PIXSTORE_PROXY_HOPS). Here they are believed from nobody but those named.
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "")

logger_class = PathLogger
accesslog = os.environ.get("ACCESS_LOG", "-") or None
access_log_format = "%(h)s %(m)s %(U)s %(s)s %(B)s B %(M)s ms"


def post_fork(server, worker):  # noqa: ARG001 - the signature is gunicorn's
    """Drop database connections that came through the fork, which happens only where someone turns preload_app on."""
    store = getattr(worker.app.callable, "extensions", {}).get("pixstore")
    if store is not None:
        store.after_fork()
