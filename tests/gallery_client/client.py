"""
Somebody with a browser at a gallery, in verbs.

    anna = GalleryClient(app).logs_in("anna")             an application in this process
    anna = GalleryClient(server.port).logs_in("anna")     a running server, over one connection

    (card,) = anna.uploads(("sea.png", png()))            a picture's id, and its thumbnail's id, token and proof
    image = anna.opens(card.picture_id)                   the original's id, token and proof, from the picture's own page
    anna.sees(image).data                                 what the endpoint gives, decrypted

A verb opens the page with the form first, as people do, and sends the form as htmx does, because that answer says what came
of it. If it is not the answer that was hoped for, the verb raises ``Refused``, which carries the answer. ``get``, ``post``,
``sends``, ``sends_upload`` and ``ask`` return whatever answer there is.

Pages hold no key, so a first look asks without a token and gets the key with the ciphertext. Somebody who has looked before
may send the token of what was seen: ``anna.sees(image, before=seen)``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote, urlencode

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.wrappers import Response

from pixstore import wire
from tests.gallery_client import forms, pages
from tests.gallery_client.forms import File
from tests.gallery_client.pages import Card, Shown
from tests.gallery_client.transports import HTMX, SESSION_COOKIE, FlaskTransport, HttpTransport
from tests.payloads import unbatched, unsealed

PASSWORD = "correct horse battery"
ROUTE = "/pixstore-image"


class Refused(Exception):
    """An answer other than the one that was hoped for."""

    def __init__(self, what: str, answer: Response) -> None:
        super().__init__(f"{what}: {answer.status_code}")
        self.status, self.answer = answer.status_code, answer


class ImageMissing(Refused):
    """The page of a picture says that the server has lost its image."""


@dataclass(frozen=True, repr=False)
class Seen:
    """An image that was decrypted, and what is needed to decrypt it again."""

    data: bytes
    token: int
    key: bytes
    iv: bytes
    tag: bytes


class GalleryClient:
    """One browser, without JavaScript unless it asks as htmx does; at an application, or at a server on a port."""

    def __init__(self, gallery: Flask | int, *, base_url: str = "http://localhost") -> None:
        self.transport = (
            HttpTransport(gallery) if isinstance(gallery, int) else FlaskTransport(gallery, base_url)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leaves()

    @property
    def app(self) -> Flask:
        """The application, if it is in this process."""
        return self.transport.app

    @property
    def flask(self) -> FlaskClient:
        """Flask's own client with the cookies of this one: for requests that no browser sends."""
        return self.transport.client

    # --- coming and going

    def sets_up(self, path: str, name: str, password: str = PASSWORD) -> Self:
        """Make the owner's account by the link that the server has printed; *path* is where the link leads."""
        self._sends_form(path, path, {"name": name, "password": password, "repeated": password}, hoped=303)
        return self

    def makes_account(self, name: str, password: str = PASSWORD) -> None:
        """Make an account for somebody else."""
        self._sends_form("/users", "/users", {"name": name, "password": password, "repeated": password})

    def logs_in(self, name: str, password: str = PASSWORD) -> Self:
        """Log in."""
        self._sends_form("/login", "/login", {"name": name, "password": password}, hoped=303)
        return self

    def logs_out(self) -> None:
        """Log out."""
        self._sends_form("/account", "/logout", {}, hoped=303)

    def leaves(self) -> None:
        """Close the connection; the login lasts."""
        self.transport.close()

    @property
    def cookie(self) -> str | None:
        """The value of the session cookie."""
        return self.transport.cookie

    @property
    def cookie_header(self) -> str:
        """The session cookie as the value of a header."""
        return f"{SESSION_COOKIE}={self.cookie}"

    def takes_over(self, cookie: str) -> Self:
        """Use the session cookie of another browser."""
        self.transport.cookie = cookie
        return self

    # --- pictures

    def uploads(self, *files: tuple[str, bytes], album: str = "", new_album: str = "") -> list[Card]:
        """Send *files*, each a name and bytes, in one form; return what was added."""
        answer = self._sends_form(
            "/upload", "/upload", {"album": album, "new_album": new_album}, [File(*file) for file in files]
        )
        added = pages.cards(answer.text)
        if len(added) != len(files):
            raise Refused("upload", answer)
        return added

    def replaces(self, picture_id: str, file: tuple[str, bytes]) -> None:
        """Put another image in the place of a picture."""
        page = f"/pictures/{picture_id}"
        self._sends_form(page, f"{page}/replace", {}, [File(*file, field="file")])

    def renames(self, picture_id: str, title: str) -> None:
        """Give a picture another title."""
        self._sends_form(f"/pictures/{picture_id}", f"/pictures/{picture_id}/rename", {"title": title})

    def moves(self, picture_id: str, album: str) -> None:
        """Put a picture into another album."""
        self._sends_form(f"/pictures/{picture_id}", f"/pictures/{picture_id}/move", {"album": album})

    def deletes(self, picture_id: str) -> None:
        """Delete a picture."""
        page = f"/pictures/{picture_id}/delete"
        self._sends_form(page, page, {}, hoped=204)

    def opens(self, picture_id: str) -> Shown:
        """Open the page of a picture and return its original."""
        answer = self._opens_page(f"/pictures/{picture_id}")
        found = pages.images(answer.text)
        if not found:
            raise ImageMissing("the page shows no image", answer)
        return found[0]

    def browses(self, path: str = "/") -> tuple[list[Card], str | None]:
        """Open a page of pictures; return them, newest first, and the path of the next page, if there is one."""
        page = self._opens_page(path).text
        return pages.cards(page), pages.next_page(page)

    def pictures(self) -> list[Card]:
        """Return all pictures, from page after page."""
        found, path = self.browses()
        while path is not None:
            further, path = self.browses(path)
            found += further
        return found

    def records(self, image_ids: Sequence[str]) -> list[Shown]:
        """Ask for fresh proofs of one's own images, as a page does whose proofs have become too old."""
        answer = self._hoped("records", self.get("/pictures/records", query={"id": list(image_ids)}))
        found = json.loads(answer.data)["records"]
        return [Shown(record["id"], record["token"], record["statelessProof"]) for record in found]

    # --- albums

    def albums(self) -> list[str]:
        """Return the albums, as their addresses name them."""
        return pages.albums(self._opens_page("/albums").text)

    def makes_album(self, title: str) -> None:
        """Make an album."""
        self._sends_form("/albums", "/albums", {"title": title})

    def deletes_album(self, album: str, *, with_pictures: bool = False) -> None:
        """Delete an album; its pictures stay, unless they are to go too."""
        page = f"/albums/{album}/delete"
        self._sends_form(page, page, {"pictures": "delete" if with_pictures else "keep"}, hoped=204)

    # --- images

    def sees(self, image: Shown, *, before: Seen | None = None) -> Seen | None:
        """Fetch and decrypt one image; ``None`` if there is none."""
        headers = {"x-pixstore-proof": image.proof}
        if before is not None:
            headers["x-pixstore-token"] = str(before.token)
        path = f"{ROUTE}/{quote(image.image_id, safe='')}"
        answer = self._hoped("image", self.get(path, headers=headers))
        return _opened(answer, answer.data, before)

    def sees_all(self, shown: Sequence[Shown]) -> list[Seen | None]:
        """Fetch and decrypt at most 100 images in one request, as a page of thumbnails does."""
        asked = json.dumps({"images": [{"id": image.image_id, "proof": image.proof} for image in shown]})
        headers = {"Content-Type": "application/json"}
        answer = self._hoped("images", self.ask("POST", ROUTE, asked.encode(), headers, changes_nothing=True))
        payloads = unbatched(answer.data)
        if len(payloads) != len(shown):
            raise Refused("a batch of another length", answer)
        return [_opened(answer, payload, None) for payload in payloads]

    # --- requests, with whatever answer

    def get(
        self,
        path: str,
        *,
        htmx: bool = False,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Ask for *path*."""
        asked = path if query is None else f"{path}?{urlencode(query, doseq=True)}"
        given = {**(HTMX if htmx else {}), **(headers or {})}
        return self.ask("GET", asked, headers=given, changes_nothing=True)

    def post(self, path: str, fields: Mapping[str, str] | None = None, *, htmx: bool = False) -> Response:
        """Send a form without files, with the token that forms have now."""
        body = forms.urlencoded({"csrf_token": self.token(), **(fields or {})})
        return self._posts(path, forms.URLENCODED, body, htmx=htmx)

    def sends(
        self, path: str, field: str, *files: tuple[str, bytes], htmx: bool = False, **fields: str
    ) -> Response:
        """Send a form with *files*, each a name and bytes, in its *field*."""
        sent = {"csrf_token": self.token(), **fields}
        body = forms.multipart(sent.items(), [File(*file, field=field) for file in files])
        return self._posts(path, forms.MULTIPART, body, htmx=htmx)

    def sends_upload(
        self, *files: tuple[str, bytes], album: str = "", new_album: str = "", htmx: bool = False
    ) -> Response:
        """Send the form that uploads *files*, whatever comes of it."""
        return self.sends("/upload", "files", *files, album=album, new_album=new_album, htmx=htmx)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        changes_nothing: bool = False,
    ) -> Response:
        """Send one request."""
        return self.transport.send(method, path, body, headers or {}, changes_nothing=changes_nothing)

    def token(self) -> str:
        """Return the token of the forms that this browser sees now, logged in or not."""
        for path in ("/account", "/login"):
            token = pages.csrf_token(self.get(path).text)
            if token is not None:
                return token
        raise AssertionError("no form was found")

    def opens_form(self, page: str) -> str:
        """Open a page with a form and return the token that has to go with the form."""
        opened = self._opens_page(page)
        token = pages.csrf_token(opened.text)
        if token is None:
            raise Refused(f"{page} has no form", opened)
        return token

    # --- parts of the above

    def _opens_page(self, path: str) -> Response:
        return self._hoped(path, self.get(path))

    def _sends_form(
        self,
        page: str,
        action: str,
        fields: Mapping[str, str],
        files: Sequence[File] = (),
        *,
        hoped: int = 200,
    ) -> Response:
        """Open the form on *page*, fill it in and send it to *action*."""
        sent = {"csrf_token": self.opens_form(page), **fields}
        if files:
            content_type, body = forms.MULTIPART, forms.multipart(sent.items(), files)
        else:
            content_type, body = forms.URLENCODED, forms.urlencoded(sent)
        return self._hoped(action, self._posts(action, content_type, body, htmx=hoped != 303), hoped)

    def _posts(self, path: str, content_type: str, body: bytes, *, htmx: bool) -> Response:
        return self.ask("POST", path, body, {"Content-Type": content_type, **(HTMX if htmx else {})})

    @staticmethod
    def _hoped(what: str, answer: Response, status: int = 200) -> Response:
        if answer.status_code != status:
            raise Refused(what, answer)
        return answer


def _opened(answer: Response, payload: bytes, before: Seen | None) -> Seen | None:
    found = wire.decode(payload)
    if isinstance(found, wire.Updated):
        image = unsealed(found.ciphertext, found.key, found.iv, found.tag)
        return Seen(image, found.token, found.key, found.iv, found.tag)
    if isinstance(found, wire.Success) and before is not None:
        image = unsealed(found.ciphertext, before.key, before.iv, before.tag)
        return Seen(image, before.token, before.key, before.iv, before.tag)
    if isinstance(found, wire.Refusal) and found.state is wire.WireState.NOT_FOUND:
        return None
    raise Refused(f"the endpoint answered {wire.WireState(payload[0]).name}", answer)
