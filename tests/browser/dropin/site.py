"""Servers for these tests: a site that delivers both frontends, and any WSGI application on a port of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING

from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

STATIC = Path(__file__).resolve().parents[3] / "static"
NPM_FRONTEND = "/npm.js"
OUR_MODULE = "/static/pixstore/index.js"


def site(bundle: Path) -> "WSGIApplication":
    """Return an application with an empty page, npm's frontend bundled, and our module as it stands."""

    @Request.application
    def respond(request: Request) -> Response:
        if request.path == "/":
            return Response("<!doctype html><html lang=en><title>t</title></html>", mimetype="text/html")
        file = bundle if request.path == NPM_FRONTEND else STATIC / request.path.removeprefix("/static/")
        if (file != bundle and not file.resolve().is_relative_to(STATIC)) or not file.is_file():
            return Response("not here", 404)
        return Response(file.read_bytes(), mimetype=guess_type(file.name)[0])

    return respond


@contextmanager
def serving(application: "WSGIApplication") -> Iterator[int]:
    """Serve *application* on a free port of this machine, and say which."""
    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
