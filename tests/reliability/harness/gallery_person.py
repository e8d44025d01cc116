"""
Somebody with a browser at a running gallery: real HTTP over one connection that is kept open, cookies, forms, images.

    anna = GalleryPerson(server.port).logs_in("anna", PASSWORD)
    (card,) = anna.uploads(("sea.png", png()))      a picture's id, and its thumbnail's id, token and proof
    image = anna.opens(card.picture_id)             the original's id, token and proof, from the picture's own page
    anna.sees(image).data                           what the endpoint gives, decrypted; ``sees_all`` asks for many at once

Pages hold no key, so a first look asks without a token and gets the key with the ciphertext. Who has looked before may
hand over what was seen: ``anna.sees(image, before=seen)`` sends its token.

A form is opened before it is sent, as people do, and answered as htmx wants it, because that says what came of it. What
is not the answer that was hoped for raises ``Refused``, which carries it; a connection that breaks raises ``NoAnswer``.
``get``, ``post`` and ``ask`` return any answer there is.

A reading request that finds its kept connection closed, without a byte of an answer, is sent once more on a new one, as
every browser does; ``repeated`` counts these. A form is never sent twice. One person is for one thread.
"""

import http.client
import json
import re
import secrets
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from typing import NamedTuple, Self
from urllib.parse import quote, urlencode

from pixstore import wire
from pixstore.crypto import unseal
from tests.gallery_server import GalleryServer

SECONDS = 120
"""Longer than a server takes to be started again, or to wait for its database."""

ROUTE = "/pixstore-image"
HTMX = {"HX-Request": "true"}
File = tuple[str, bytes]

_CSRF = re.compile(r'name="csrf_token" value="([^"]+)"')
_IMAGE = re.compile(r'<pixstore-image image-id="([^"]+)" token="([0-9]+)" proof="([^"]+)"')
_CARD = re.compile(rf'href="/pictures/([a-z0-9]+)[^"]*">\s*{_IMAGE.pattern}')
_ALBUM = re.compile(r'href="/albums/([a-z0-9_-]+)"')
_MORE = re.compile(r'<li class="more">\s*<a href="([^"]+)"')


class Answer(NamedTuple):
    """What came back, whatever it is."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")


class NoAnswer(Exception):
    """The connection broke before an answer was complete: nobody knows what became of the request."""

    def __init__(self, what: str, *, was_kept: bool = False) -> None:
        super().__init__(what)
        self.was_kept = was_kept
        """Whether the connection had served a request before, so that the server must have had it."""


class TurnedAway(NoAnswer):
    """There was no connection: the server cannot have seen the request."""


class Refused(Exception):
    """An answer other than the one that was hoped for."""

    def __init__(self, what: str, answer: Answer) -> None:
        super().__init__(f"{what}: {answer.status}")
        self.status, self.answer = answer.status, answer


class ImageMissing(Refused):
    """The page of a picture says that the server has lost its image."""


class Shown(NamedTuple):
    """An image as a page names it."""

    image_id: str
    token: int
    proof: str


class Card(NamedTuple):
    """A picture as a page shows it small."""

    picture_id: str
    thumbnail: Shown


@dataclass(frozen=True, repr=False)
class Seen:
    """An image that was decrypted, and what is needed to decrypt it again."""

    data: bytes
    token: int
    key: bytes
    iv: bytes
    tag: bytes


class GalleryPerson:
    """One browser at the gallery on *port* of this machine."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.repeated = 0
        self.cookies: dict[str, str] = {}
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leaves()

    # --- coming and going

    def sets_up(self, server: GalleryServer, name: str, password: str) -> Self:
        """Make the owner's account by the link that the server has printed."""
        path = server.setup_link().removeprefix(server.url)
        self._send_form(path, path, {"name": name, "password": password, "repeated": password}, hoped=303)
        return self

    def makes_account(self, name: str, password: str) -> None:
        """Make an account for somebody else."""
        self._send_form("/users", "/users", {"name": name, "password": password, "repeated": password})

    def logs_in(self, name: str, password: str) -> Self:
        """Log in."""
        self._send_form("/login", "/login", {"name": name, "password": password}, hoped=303)
        return self

    def logs_out(self) -> None:
        """Log out."""
        self._send_form("/account", "/logout", {}, hoped=303)

    def leaves(self) -> None:
        """Close the connection; the login lasts."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # --- pictures

    def uploads(self, *files: File, album: str = "", new_album: str = "") -> list[Card]:
        """Send *files*, each a name and bytes, in one form; return what was added."""
        fields = {"album": album, "new_album": new_album}
        answer = self._send_form("/upload", "/upload", fields, [("files", file) for file in files])
        added = cards(answer.text)
        if len(added) != len(files):
            raise Refused("upload", answer)
        return added

    def replaces(self, picture_id: str, file: File) -> None:
        """Put another image in the place of a picture."""
        page = f"/pictures/{picture_id}"
        self._send_form(page, f"{page}/replace", {}, [("file", file)])

    def renames(self, picture_id: str, title: str) -> None:
        """Give a picture another title."""
        self._send_form(f"/pictures/{picture_id}", f"/pictures/{picture_id}/rename", {"title": title})

    def moves(self, picture_id: str, album: str) -> None:
        """Put a picture into another album."""
        self._send_form(f"/pictures/{picture_id}", f"/pictures/{picture_id}/move", {"album": album})

    def deletes(self, picture_id: str) -> None:
        """Delete a picture."""
        page = f"/pictures/{picture_id}/delete"
        self._send_form(page, page, {}, hoped=204)

    def opens(self, picture_id: str) -> Shown:
        """Open the page of a picture and return its original."""
        answer = self._page(f"/pictures/{picture_id}")
        found = images(answer.text)
        if not found:
            raise ImageMissing("the page shows no image", answer)
        return found[0]

    def browses(self, path: str = "/") -> tuple[list[Card], str | None]:
        """Open a page of pictures; return them, newest first, and the path of the next page, if there is one."""
        page = self._page(path).text
        more = _MORE.search(page)
        return cards(page), None if more is None else unescape(more[1])

    def pictures(self) -> list[Card]:
        """Return all pictures, from page after page."""
        found, path = self.browses()
        while path is not None:
            further, path = self.browses(path)
            found += further
        return found

    def records(self, image_ids: Sequence[str]) -> list[Shown]:
        """Ask for fresh proofs of own images, as the page does for one whose proofs have become too old."""
        query = urlencode([("id", image_id) for image_id in image_ids])
        found = json.loads(self._page(f"/pictures/records?{query}").body)["records"]
        return [Shown(record["id"], record["token"], record["statelessProof"]) for record in found]

    # --- albums

    def albums(self) -> list[str]:
        """Return the albums, by what stands in their addresses."""
        return list(dict.fromkeys(_ALBUM.findall(self._page("/albums").text)))

    def makes_album(self, title: str) -> None:
        """Make an album."""
        self._send_form("/albums", "/albums", {"title": title})

    def deletes_album(self, album: str, *, with_pictures: bool = False) -> None:
        """Delete an album; its pictures stay, unless they are to go too."""
        page = f"/albums/{album}/delete"
        self._send_form(page, page, {"pictures": "delete" if with_pictures else "keep"}, hoped=204)

    # --- images

    def sees(self, image: Shown, *, before: Seen | None = None) -> Seen | None:
        """Fetch and decrypt one image; ``None`` if there is none."""
        headers = {"x-pixstore-proof": image.proof}
        if before is not None:
            headers["x-pixstore-token"] = str(before.token)
        answer = self._hoped("image", self.get(f"{ROUTE}/{quote(image.image_id, safe='')}", **headers))
        return _opened(answer, answer.body, before)

    def sees_all(self, shown: Sequence[Shown]) -> list[Seen | None]:
        """Fetch and decrypt at most 100 images in one request, as a page of thumbnails does."""
        body = json.dumps({"images": [{"id": image.image_id, "proof": image.proof} for image in shown]})
        answer = self.ask("POST", ROUTE, body.encode(), {"Content-Type": "application/json"}, reads=True)
        payloads = unbatched(self._hoped("images", answer).body)
        if len(payloads) != len(shown):
            raise Refused("a batch of another length", answer)
        return [_opened(answer, payload, None) for payload in payloads]

    # --- HTTP

    @property
    def cookie(self) -> str:
        """What the browser sends as its cookies."""
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def opens_form(self, page: str) -> str:
        """Open a page with a form and return the token that has to go with the form."""
        opened = self._page(page)
        token = _CSRF.search(opened.text)
        if token is None:
            raise Refused(f"{page} has no form", opened)
        return unescape(token[1])

    def get(self, path: str, **headers: str) -> Answer:
        """Ask for *path*."""
        return self.ask("GET", path, headers=headers, reads=True)

    def post(
        self, path: str, fields: Mapping[str, str], files: Sequence[tuple[str, File]] = (), **headers: str
    ) -> Answer:
        """Send a form, without opening a page first."""
        content_type, body = encoded_form(fields, files)
        return self.ask("POST", path, body, {"Content-Type": content_type, **headers})

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        reads: bool = False,
    ) -> Answer:
        """
        Send one request; *reads* says that it changes nothing, so that it may be sent again.

        Raises:
            NoAnswer: If the connection breaks. ``TurnedAway`` if there was none.
        """
        was_kept = self._connection is not None and self._connection.sock is not None
        try:
            return self._exchange(method, path, body, headers or {})
        except ConnectionError as error:
            self.leaves()
            if not (was_kept and reads):
                raise NoAnswer(f"{method} {path}: {error!r}", was_kept=was_kept) from error
            self.repeated += 1
            return self.ask(method, path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            self.leaves()
            raise NoAnswer(f"{method} {path}: {error!r}", was_kept=was_kept) from error

    def _exchange(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        if self._connection.sock is None:
            try:
                self._connection.connect()
            except OSError as error:
                self.leaves()
                raise TurnedAway(f"{method} {path}: {error!r}") from error
        sent = dict(headers)
        if self.cookies:
            sent["Cookie"] = self.cookie
        self._connection.request(method, path, body, sent)
        response = self._connection.getresponse()
        try:
            answer = Answer(response.status, response.headers, response.read())
        except (OSError, http.client.HTTPException) as error:
            self.leaves()
            raise NoAnswer(f"{method} {path}: an answer that breaks off: {error!r}") from error
        self._keep_cookies(answer)
        return answer

    def _keep_cookies(self, answer: Answer) -> None:
        for line in answer.headers.get_all("Set-Cookie") or ():
            name, _, value = line.partition(";")[0].partition("=")
            if value:
                self.cookies[name] = value
            else:
                self.cookies.pop(name, None)

    def _page(self, path: str) -> Answer:
        return self._hoped(path, self.get(path))

    def _send_form(
        self,
        page: str,
        action: str,
        fields: Mapping[str, str],
        files: Sequence[tuple[str, File]] = (),
        *,
        hoped: int = 200,
    ) -> Answer:
        """Open the form on *page*, fill it in and send it to *action*."""
        headers = {} if hoped == 303 else HTMX
        answer = self.post(action, {"csrf_token": self.opens_form(page), **fields}, files, **headers)
        return self._hoped(action, answer, hoped)

    @staticmethod
    def _hoped(what: str, answer: Answer, status: int = 200) -> Answer:
        if answer.status != status:
            raise Refused(what, answer)
        return answer


# --- what stands in forms, pages and payloads


def encoded_form(fields: Mapping[str, str], files: Sequence[tuple[str, File]] = ()) -> tuple[str, bytes]:
    """Return the content type and the body of a form as browsers encode it; *files* are pairs of field and file."""
    boundary = f"----{secrets.token_hex(16)}"
    parts = [(f'name="{name}"', value.encode()) for name, value in fields.items()]
    parts += [(f'name="{field}"; filename="{name}"', data) for field, (name, data) in files]
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + data + b"\r\n"
        for disposition, data in parts
    )
    return f"multipart/form-data; boundary={boundary}", body + f"--{boundary}--\r\n".encode()


def images(page: str) -> list[Shown]:
    """Return the images that *page* shows, in its order."""
    return [_shown(*groups) for groups in _IMAGE.findall(page)]


def cards(page: str) -> list[Card]:
    """Return the pictures that *page* shows small, in its order."""
    return [Card(picture_id, _shown(*groups)) for picture_id, *groups in _CARD.findall(page)]


def unbatched(body: bytes) -> list[bytes]:
    """Return the payloads of the answer to a batch."""
    payloads, at = [], 0
    while at < len(body):
        (length,) = struct.unpack_from("<I", body, at)
        payloads.append(body[at + 4 : at + 4 + length])
        at += 4 + length
    return payloads


def _shown(image_id: str, token: str, proof: str) -> Shown:
    return Shown(unescape(image_id), int(token), unescape(proof))


def _opened(answer: Answer, payload: bytes, before: Seen | None) -> Seen | None:
    found = wire.decode(payload)
    if isinstance(found, wire.Updated):
        image = unseal(found.ciphertext, key=found.key, iv=found.iv, tag=found.tag)[1]
        return Seen(bytes(image), found.token, found.key, found.iv, found.tag)
    if isinstance(found, wire.Success) and before is not None:
        image = unseal(found.ciphertext, key=before.key, iv=before.iv, tag=before.tag)[1]
        return Seen(bytes(image), before.token, before.key, before.iv, before.tag)
    if isinstance(found, wire.Refusal) and found.state is wire.WireState.NOT_FOUND:
        return None
    raise Refused(f"the endpoint answered {wire.WireState(payload[0]).name}", answer)
