"""The floor of the image endpoint: a WSGI program that hands out one file by `sendfile`, and does nothing else."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

CHUNK_SIZE = 256 * 1024

_FILE = Path(os.environ["BENCH_FILE"])
_SIZE = _FILE.stat().st_size


def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
    """Answer any request with the file."""
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(_SIZE))])
    sent: Iterable[bytes] = environ["wsgi.file_wrapper"](_FILE.open("rb"), CHUNK_SIZE)  # gunicorn closes it
    return sent
