"""
What MDN's HTTP Observatory says of every page of the gallery: `make observatory`.

The scanner asks a host for its first page. So each page gets a port of its own, over HTTPS, on which it is the first page,
with the login that it needs, whose cookie is set there as the login itself set it. The answer is the application's; only
the status of pages that say "not found" or "forbidden" is changed, because the scanner looks at no page that has it.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flask import Flask

from app import create_app
from pixstore.config import Config
from pixstore.gallery import accounts
from tests.certificates import make_certificate
from tests.gallery_client import PASSWORD, GalleryClient
from tests.servers import serving
from tests.web.routes import TABLE, address, new_arguments

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HERE = Path(__file__).resolve().parent
LOWEST_SCORE = 140


class Page(NamedTuple):
    """A page, and what the login of who looks at it set as a cookie; nobody has none."""

    name: str
    path: str
    set_cookie: str

    @property
    def cookie(self) -> str:
        """The cookie as a browser sends it back."""
        return self.set_cookie.partition(";")[0]


def pages(app: Flask) -> Iterator[Page]:
    """Yield every page that a browser can ask for: as nobody, as the owner of a picture, and those that refuse."""
    gallery = app.extensions["pixstore.gallery"]
    with gallery.store.connected():
        for name in ("mine", "bystander"):
            accounts.create_user(gallery, name, PASSWORD, is_owner=name == "mine")
        arguments = new_arguments(gallery)
    logins = {"nobody": "", "mine": _logged_in(app, "mine"), "bystander": _logged_in(app, "bystander")}
    paths = {row.endpoint: address(app, row.endpoint, arguments) for row in TABLE if row.method == "GET"}
    client = app.test_client(use_cookies=False)
    for endpoint, path in [*paths.items(), ("nothing", "/nothing-here")]:
        for who, login in logins.items():
            page = Page(f"{endpoint}, {who}", path, login)
            answer = client.get(path, base_url="https://localhost", headers={"Cookie": page.cookie})
            # Others are redirects to pages that are looked at themselves; without a login, "not found" is all there is.
            if answer.mimetype == "text/html" and (
                answer.status_code == 200 or (login and answer.status_code > 400)
            ):
                yield page._replace(name=f"{page.name} ({answer.status_code})")


def _logged_in(app: Flask, name: str) -> str:
    """Log in, and return what that sets as a cookie."""
    client = GalleryClient(app, base_url="https://localhost")
    return client.post("/login", {"name": name, "password": PASSWORD}).headers["Set-Cookie"]


def as_first_page(app: Flask, page: Page) -> "WSGIApplication":
    """Return an application whose first page is *page*."""

    def respond(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/":
            environ |= {"PATH_INFO": page.path, "HTTP_COOKIE": page.cookie}

        def start(status: str, headers: list[tuple[str, str]], *rest: object) -> object:
            is_refusal = environ["PATH_INFO"] == page.path and status.startswith(("403", "404"))
            login = [("Set-Cookie", page.set_cookie)] if page.set_cookie else []
            return start_response("200 OK" if is_refusal else status, headers + login)

        return app.wsgi_app(environ, start)

    return respond


def main() -> int:
    """Look at every page and print what was said; 1 where one of them is not at its best."""
    good = True
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        certificate = make_certificate(directory)
        app = create_app(
            Config(data_dir=directory / "data", cookie_secure=True, trusted_hosts=("localhost",))
        )
        stack.enter_context(closing(app.extensions["pixstore"]))
        names = {
            f"localhost:{stack.enter_context(serving(as_first_page(app, page), certificate))}": page.name
            for page in pages(app)
        }
        scanner = subprocess.run(
            ["node", HERE / "scan.mjs", *names],
            env={**os.environ, "NODE_EXTRA_CA_CERTS": certificate[0]},
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        for line in scanner.stdout.splitlines():
            said = json.loads(line)
            is_good = said["grade"] == "A+" and said["score"] >= LOWEST_SCORE
            good &= is_good
            faults = "" if is_good else " ".join(said["failed"])
            print(f"{said['grade']:3} {said['score']:4}  {names[said['address']]} {faults}")
    return 0 if good and names else 1


if __name__ == "__main__":
    sys.exit(main())
