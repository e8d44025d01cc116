"""The site that these tests open: it delivers both frontends and no image."""

from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING

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
