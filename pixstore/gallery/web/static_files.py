"""
Static files under a versioned prefix: ``/static/<hash of all files>/app/app.css``.

The whole tree has one hash, because ES modules import each other by relative paths: under one prefix these
paths work.

A file under the current hash never changes, so browsers cache it for a year. Under another hash (a page from
before an update, a second host that is not updated yet) the server sends the current file, and the browser
asks again next time. If the page states the integrity of such a script, the browser does not run the newer
script; a reload fetches a page and a script that match.
"""

import base64
import hashlib
from functools import cache, cached_property
from pathlib import Path

from flask import Blueprint, Flask, Response, current_app, send_from_directory, url_for

from pixstore.gallery.web.access import access

ONE_YEAR = 365 * 24 * 60 * 60

blueprint = Blueprint("static_files", __name__)


class StaticFiles:
    """The static files of one application, as they were when it started."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.version = _content_hash(directory)

    @cached_property
    def modules(self) -> list[str]:
        """Names of the ES modules that every page uses, so a browser can fetch them all at once."""
        paths = [*self.directory.glob("pixstore/*.js"), *self.directory.glob("app/*.js")]
        return ["vendor/idb.js", *sorted(path.relative_to(self.directory).as_posix() for path in paths)]

    def url(self, name: str) -> str:
        """Return the URL of the file *name*, a path relative to the directory."""
        return url_for("static_files.send", version=self.version, name=name)

    def integrity(self, name: str) -> str:
        """Return the Subresource Integrity digest of the file *name*, or an empty string if the file is missing."""
        path = self.directory / name
        if not path.is_file():
            return ""
        digest = hashlib.sha384(path.read_bytes()).digest()
        return f"sha384-{base64.b64encode(digest).decode()}"


def init_app(app: Flask, directory: Path) -> None:
    """Serve *directory* and give templates ``static(name)``, ``integrity(name)`` and ``static_modules``."""
    files = StaticFiles(directory)
    app.extensions["pixstore.static_files"] = files
    app.jinja_env.globals.update(
        static=files.url, integrity=cache(files.integrity), static_modules=files.modules
    )
    app.register_blueprint(blueprint)


@blueprint.get("/static/<version>/<path:name>")
@access(public=True, bare=True)
def send(version: str, name: str) -> Response:
    """Send the file *name*."""
    files: StaticFiles = current_app.extensions["pixstore.static_files"]
    response = send_from_directory(files.directory, name, max_age=ONE_YEAR)
    if version == files.version:
        response.cache_control.public = True
        response.cache_control.immutable = True
    else:
        response.headers["Cache-Control"] = "no-cache"
    return response


def _content_hash(directory: Path) -> str:
    """Return a hash of the names and contents of every file below *directory*."""
    digest = hashlib.sha256()
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(directory).as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
