"""
A small web server for the tests of the browser module: it serves ``static/`` under the application's content security
policy, pages that the tests write, and an image endpoint that is right to the byte and fails on demand.
"""

import base64
import json
import mimetypes
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from PIL import Image

STATIC = Path(__file__).resolve().parents[3] / "static"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
FORMAT_BYTES = {"png": 1, "webp": 2, "jpg": 3}
SUCCESS, UPDATED, NOT_FOUND, MISSING_PROOF, INVALID_PROOF, INTERNAL_ERROR = (
    bytes((n,)) for n in (0, 1, 2, 4, 5, 6)
)


def picture(width: int = 8, height: int = 6, colour: str = "teal", kind: str = "PNG") -> bytes:
    """Return the bytes of a picture in one colour."""
    out = BytesIO()
    Image.new("RGB", (width, height), colour).save(out, kind)
    return out.getvalue()


@dataclass
class Sealed:
    """One version of one image, as the store would hold it."""

    image: bytes
    format_byte: int
    token: int
    key: bytes = field(default_factory=lambda: os.urandom(32))
    iv: bytes = field(default_factory=lambda: os.urandom(12))
    ciphertext: bytes = b""
    tag: bytes = b""

    def __post_init__(self) -> None:
        sealed = AESGCM(self.key).encrypt(self.iv, bytes((self.format_byte,)) + self.image, None)
        self.ciphertext, self.tag = sealed[:-16], sealed[-16:]

    @property
    def meta(self) -> dict[str, str]:
        """The key, IV and tag, as in an image record."""
        parts = {"key": self.key, "iv": self.iv, "tag": self.tag}
        return {name: base64.b64encode(value).decode() for name, value in parts.items()}

    def updated(self) -> bytes:
        """Return the Updated payload."""
        return UPDATED + struct.pack("<Q", self.token) + self.key + self.iv + self.tag + self.ciphertext


@dataclass
class Asked:
    """One image asked for, or one refresh of records."""

    method: str
    id: str
    token: int | None
    request: int


class Endpoint:
    """The state of the server: images, pages, the requests so far, and the faults to come."""

    def __init__(self) -> None:
        self.images: dict[str, Sealed] = {}
        self.pages: dict[str, str] = {}
        self.proofs = {"proof-now"}
        self.asked: list[Asked] = []
        self.refreshed: list[list[str]] = []
        self.aborted = 0
        self.requests = 0
        self.faults: list[Callable[[Handler], bool]] = []
        self.payload_of: Callable[[str], bytes | None] = lambda _: None
        self.before_payload: Callable[[int], None] = lambda _: None
        self.takes_batches = True
        self.posts_refused = 0
        self.csp = CSP
        self.cors: dict[str, str] = {}
        self.logged_in = True
        self.clock = 1_700_000_000_000
        self.url = ""

    def add(self, image_id: str, image: bytes | None = None, kind: str = "png") -> dict:
        """Store an image, or a new version of it, and return its record without meta."""
        self.clock += 1
        self.images[image_id] = Sealed(image or picture(), FORMAT_BYTES[kind], self.clock)
        return self.record(image_id)

    def record(self, image_id: str, *, meta: bool = False) -> dict:
        """Return the record of an image as the gallery's pages have it, or with its key."""
        sealed = self.images[image_id]
        record = {"id": image_id, "token": sealed.token, "statelessProof": "proof-now"}
        return record | {"meta": sealed.meta} if meta else record

    def fail_next(self, *faults: Callable[["Handler"], bool]) -> None:
        """Let each of the next requests to the image endpoint fail with one of these faults."""
        self.faults.extend(faults)

    def payload(self, image_id: str, proof: str | None, token: int | None) -> bytes:
        """Answer for one image as the image endpoint does."""
        odd = self.payload_of(image_id)
        if odd is not None:
            return odd
        if not proof:
            return MISSING_PROOF
        if proof not in self.proofs:
            return INVALID_PROOF
        sealed = self.images.get(image_id)
        if sealed is None:
            return NOT_FOUND
        return SUCCESS + sealed.ciphertext if sealed.token == token else sealed.updated()

    def asked_ids(self) -> list[str]:
        """Return the ids asked for so far, in order."""
        return [asked.id for asked in self.asked]


class Handler(BaseHTTPRequestHandler):
    """Translates HTTP to the endpoint's state."""

    protocol_version = "HTTP/1.1"
    # Head and body are two writes; together with delayed acknowledgements that would cost 40 ms.
    disable_nagle_algorithm = True
    server: "Server"

    @property
    def endpoint(self) -> Endpoint:
        """The state behind this server."""
        return self.server.endpoint

    def log_message(self, *_: object) -> None:
        """Say nothing: the tests look at ``Endpoint.asked``."""

    def do_GET(self) -> None:
        """Serve a page, a static file, an image or records."""
        path = urlsplit(self.path).path
        if path.startswith("/pixstore-image/"):
            self._image(unquote(path.removeprefix("/pixstore-image/")))
        elif path == "/records":
            self._records(parse_qs(urlsplit(self.path).query).get("id", []))
        elif path.startswith("/static/"):
            self._static(path)
        elif path == "/favicon.ico":
            self.answer(204, b"", "image/x-icon")
        elif path in self.endpoint.pages:
            self.answer(200, self.endpoint.pages[path].encode(), "text/html; charset=utf-8")
        else:
            self.answer(404, b"not found", "text/plain")

    def do_OPTIONS(self) -> None:
        """Answer a preflight."""
        self.answer(204, b"", "text/plain")

    def do_POST(self) -> None:
        """Serve a batch of images, as a stream."""
        body = self.rfile.read(int(self.headers["content-length"]))
        if not self.endpoint.takes_batches:
            self.endpoint.posts_refused += 1
            self.answer(404, b"not found", "text/plain")
            return
        images = json.loads(body)["images"]
        self.endpoint.requests += 1
        request = self.endpoint.requests
        self.endpoint.asked += [Asked("POST", one["id"], one.get("token"), request) for one in images]
        if self._goes_wrong():
            return
        self._head(200, "application/octet-stream", {"transfer-encoding": "chunked"})
        with self._counting_aborts():
            for number, one in enumerate(images):
                self.endpoint.before_payload(number)
                payload = self.endpoint.payload(one["id"], one.get("proof"), one.get("token"))
                self.chunk(struct.pack("<I", len(payload)) + payload)
            self.chunk(b"")

    def chunk(self, data: bytes) -> None:
        """Send one chunk; an empty one ends the answer."""
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def answer(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        """Send a whole answer."""
        self._head(status, kind, {"content-length": str(len(body))} | (headers or {}))
        with self._counting_aborts():
            self.wfile.write(body)

    def hang_up(self) -> None:
        """Close the connection in the middle of things."""
        self.close_connection = True

    def _image(self, image_id: str) -> None:
        token = self.headers["x-pixstore-token"]
        token = int(token) if token is not None else None
        self.endpoint.requests += 1
        self.endpoint.asked.append(Asked("GET", image_id, token, self.endpoint.requests))
        if self._goes_wrong():
            return
        self.endpoint.before_payload(0)
        payload = self.endpoint.payload(image_id, self.headers["x-pixstore-proof"], token)
        self.answer(200, payload, "application/octet-stream")

    def _records(self, ids: list[str]) -> None:
        self.endpoint.refreshed.append(ids)
        if not self.endpoint.logged_in:
            self.answer(302, b"", "text/plain", {"location": "/login"})
            return
        records = [self.endpoint.record(one) for one in ids if one in self.endpoint.images]
        self.answer(200, json.dumps({"records": records}).encode(), "application/json")

    def _static(self, path: str) -> None:
        # /static/<version>/pixstore/index.js
        file = STATIC.joinpath(*path.split("/")[3:]).resolve()
        if not file.is_relative_to(STATIC) or not file.is_file():
            self.answer(404, b"not found", "text/plain")
            return
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        self.answer(200, file.read_bytes(), kind, {"cache-control": "max-age=31536000, immutable"})

    def _goes_wrong(self) -> bool:
        return bool(self.endpoint.faults) and self.endpoint.faults.pop(0)(self)

    def _head(self, status: int, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-security-policy", self.endpoint.csp)
        self.send_header("x-content-type-options", "nosniff")
        for name, value in ({"cache-control": "no-store"} | self.endpoint.cors | headers).items():
            self.send_header(name, value)
        self.end_headers()

    @contextmanager
    def _counting_aborts(self) -> Iterator[None]:
        try:
            yield
        except (BrokenPipeError, ConnectionResetError):
            self.endpoint.aborted += 1
            self.close_connection = True


class Server(ThreadingHTTPServer):
    """The endpoint on a free port of this machine."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.endpoint = Endpoint()
        self.endpoint.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """Ignore a browser that hangs up: that is not an error."""


@contextmanager
def serving() -> Iterator[Endpoint]:
    """Run a server for the length of a test."""
    server = Server()
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield server.endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def status(code: int, headers: dict[str, str] | None = None) -> Callable[[Handler], bool]:
    """Return a fault: an answer with this status."""

    def fault(handler: Handler) -> bool:
        handler.answer(code, b"", "text/plain", headers)
        return True

    return fault


def hang_up(handler: Handler) -> bool:
    """Close the connection instead of answering."""
    handler.hang_up()
    return True


def stop_after(payloads: int) -> Callable[[Handler], bool]:
    """Return a fault: a batch answer that breaks off after so many payloads."""

    def fault(handler: Handler) -> bool:
        asked = [one for one in handler.endpoint.asked if one.request == handler.endpoint.requests]
        handler._head(200, "application/octet-stream", {"transfer-encoding": "chunked"})
        for one in asked[:payloads]:
            payload = handler.endpoint.payload(one.id, "proof-now", one.token)
            handler.chunk(struct.pack("<I", len(payload)) + payload)
        time.sleep(0.2)  # a browser drops what it has not handed over when the connection breaks
        handler.hang_up()
        return True

    return fault
