"""
A gallery to be attacked: real gunicorn, its owner logged in, and a judge of whatever comes back.

Whatever is sent, no answer may be a 5xx, nothing but HTTP may come back, no script of the sender may come to life in a
page, no worker may die, and the server's output may hold neither a traceback nor the session of the owner.
"""

import re
import sqlite3
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from flask import Flask

from pixstore.gallery.web import static_files
from pixstore.gallery.web.pages import PAGES
from tests.gallery_client import GalleryClient, pages
from tests.gallery_server import GalleryServer
from tests.images import png
from tests.raw_http import Answer, NotHttp, exchange, request
from tests.torture.tools import seeded_gallery
from tests.torture.tools.active_content import active_elements
from tests.torture.tools.outcomes import Outcome

NAME = "owner"
THREADS = 6
DESTRUCTIVE = {"login.leave", "pictures.delete", "albums.delete"}
"""Endpoints that get no token of a form from ``Target.headers``, so all they do is read the request."""


class Route(NamedTuple):
    """A method and a path of the gallery, with <names> where it takes arguments."""

    endpoint: str
    method: str
    path: str


@cache
def routes() -> list[Route]:
    """Return every route, the image endpoint included."""
    flask = Flask(__name__)
    for page in (*PAGES, static_files):
        flask.register_blueprint(page.blueprint)
    known = [
        Route(rule.endpoint, method, re.sub(r"<(?:\w+:)?(\w+)>", r"<\1>", rule.rule))
        for rule in flask.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        if rule.endpoint != "static"
    ]
    endpoint = "/pixstore-image"
    return sorted(
        [*known, Route("image", "GET", f"{endpoint}/<image_id>"), Route("images", "POST", endpoint)]
    )


class Target:
    """A running gallery with an owner, an album, a picture and another account."""

    def __init__(self, server: GalleryServer) -> None:
        self.server = server
        self.owner = GalleryClient(server.port).sets_up(server.setup_path(), NAME)
        self.owner.makes_account("bystander")
        self.csrf = ""
        self.arguments: dict[str, str] = {"token": "guess", "version": "0", "name": "nothing.css"}
        self.renew()

    @property
    def port(self) -> int:
        """The port of the server."""
        return self.server.port

    @property
    def session(self) -> dict[str, str]:
        """Return the headers of a logged-in user with a CSRF token."""
        return {"Cookie": self.owner.cookie_header, "X-CSRFToken": self.csrf}

    def headers(self, route: Route) -> dict[str, str]:
        """Return the headers for *route*: with the session, unless the route would end what other requests need."""
        return self.session if route.endpoint not in DESTRUCTIVE else {"Cookie": self.owner.cookie_header}

    def path(self, route: Route, **arguments: str) -> str:
        """Return the path of *route* to what this gallery holds, or to *arguments*."""
        known = {**self.arguments, **arguments}
        return re.sub(r"<(\w+)>", lambda name: known[name[1]], route.path)

    def renew(self) -> None:
        """See to it that there is a login, a picture and an album again; the limits on wrong passwords begin anew."""
        with (
            closing(sqlite3.connect(self.server.data_dir / "pixstore.sqlite", timeout=30)) as database,
            database,
        ):
            database.execute("DELETE FROM gallery_login_attempt")
        if self.owner.get("/account").status_code != 200:
            self.owner.logs_in(NAME)
        self.csrf = self.owner.opens_form("/account")
        (card,) = self.owner.uploads(("sea.png", png()), new_album="Attacked")
        self.arguments |= {
            "picture_id": card.picture_id,
            "album_dir": pages.albums(self.owner.get(f"/pictures/{card.picture_id}").text)[0],
            "user_id": pages.user_ids(self.owner.get("/users").text)[0],
            "image_id": card.thumbnail.image_id,
            "proof": card.thumbnail.proof,
        }


# --- what comes back


def attack(target: Target, cases: Iterable[tuple[str, bytes]], outcome: Outcome) -> None:
    """Send each of *cases*, several at a time, and note whatever should not come back."""
    with ThreadPoolExecutor(THREADS) as threads:
        for name, words in threads.map(partial(_try, target.port), cases):
            outcome.amount += 1
            outcome.anomalies += [f"{name[:120]}: {word}" for word in words]


def _try(port: int, case: tuple[str, bytes]) -> tuple[str, list[str]]:
    name, sent = case
    try:
        return name, [words for answer in exchange(port, sent) for words in faults_of(answer, sent)]
    except (NotHttp, OSError) as error:
        return name, [repr(error)[:300]]


def faults_of(answer: Answer, sent: bytes) -> list[str]:
    """Return the faults of *answer*."""
    faults = []
    # A transfer coding that is not implemented is answered with 501 (RFC 9112, section 6.1).
    is_refusal = answer.status == 501 and b"transfer-encoding" in sent.lower()
    is_busy = answer.status == 503 and "Retry-After" in answer.headers
    if answer.status >= 500 and not is_refusal and not is_busy:
        faults.append(f"status {answer.status}")
    if answer.headers.get_content_type() == "text/html":
        faults += [f"active in the page: {element}" for element in active_elements(answer.body)]
    return faults


@contextmanager
def judged(target: Target, outcome: Outcome) -> Iterator[None]:
    """Note what became of the server in the meantime, when everything has been sent."""
    before = len(target.server.output.read_bytes())
    workers = target.server.workers()
    yield
    output = target.server.output.read_bytes()[before:]
    outcome.anomalies += [f"traceback: {last}" for last in tracebacks(output.decode("utf-8", "replace"))]
    if target.owner.cookie.encode() in output:
        outcome.anomalies.append("the session of the owner is in the log")
    if target.server.workers() != workers:
        outcome.anomalies.append("a worker died")
    (health,) = exchange(target.port, request("GET", "/healthz"))
    if health.status != 200:
        outcome.anomalies.append(f"the server is not well: {health.status}")


def tracebacks(output: str) -> list[str]:
    """Return the last line of each traceback in *output*, once each."""
    _, *found = re.split(r"^Traceback .*\n", output, flags=re.MULTILINE)
    last_lines = (
        next((line for line in rest.splitlines() if not line.startswith(" ")), "?") for rest in found
    )
    return list(dict.fromkeys(line[:200] for line in last_lines))


@contextmanager
def attacked(*seeds: str, **settings: str) -> Iterator[Target]:
    """Start a gallery with the faults *seeds* put into it."""
    with TemporaryDirectory(prefix="pixstore-hostile-") as directory:
        server = seeded_gallery.start(Path(directory), " ".join(seeds) or None, **settings)
        try:
            target = Target(server)
            yield target
            target.owner.leaves()
        finally:
            server.stop()
