"""
What gunicorn serves while browsers are compared: images as in production, and a page that can load every frontend.

BENCH_FRONTEND names npm's frontend in one file; the store is that of the PIXSTORE_* variables.
"""

import mimetypes
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pixstore.config import Config
from pixstore.endpoint import ImageEndpoint
from pixstore.store import ImageStore

ROOT = Path(__file__).resolve().parents[2]
PAGE = b"<!doctype html><html lang=en><title>bench</title><body></body></html>"
FILES = {
    "/npm.js": Path(os.environ["BENCH_FRONTEND"]),
    "/sides.js": Path(__file__).with_name("sides.js"),
    "/image.jpg": Path(os.environ["BENCH_FRONTEND"]).with_name("image.jpg"),
    **{
        f"/{path.relative_to(ROOT)}": path
        for folder in ("pixstore", "vendor")
        for path in (ROOT / "static" / folder).glob("*.js")
    },
}


def site(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Answer with the page or one of the files."""
    path = environ["PATH_INFO"]
    if path == "/":
        body, kind = PAGE, "text/html"
    elif path in FILES:
        body, kind = FILES[path].read_bytes(), mimetypes.guess_type(path)[0] or "application/octet-stream"
    else:
        start_response("404 Not Found", [("Content-Length", "0")])
        return []
    start_response("200 OK", [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


application = ImageEndpoint(ImageStore.open(Config.from_env())).mounted_on(site)
