"""
The image endpoint as a WSGI application, the same under every framework. Imports ``store``, ``answers``, ``wire``.

    GET  {route}/{id}     headers x-pixstore-proof, x-pixstore-token (optional)       200, a wire payload, always
    POST {route}          {"images": [{"id", "proof", "token"?}, …]}, at most 100     200, payloads behind u32 LE lengths
    OPTIONS               204            {route} without an id: 400            other methods: 405

A payload may carry a key, so nothing here may be stored by a browser or a proxy. The proof is the permission: no session
is asked for.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from pixstore.answers import CHUNK_SIZE, SHORTER, Answer, Question
from pixstore.errors import PixstoreError
from pixstore.store import ImageStore
from pixstore.wire import TOKEN_LIMIT, batch_length

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MAX_BATCH = 100
MAX_BATCH_BODY = 64 * 1024
ALLOWED_METHODS = "GET, POST, OPTIONS"

_TOKEN_DIGITS = len(str(TOKEN_LIMIT))


class BadRequest(PixstoreError):
    """The body of a batch request is not valid. The answer is 400 with the message of this error."""


class ImageEndpoint:
    """Serves the images of *store* below ``store.config.default_endpoint_route``."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store
        self._route = store.config.default_endpoint_route
        self._headers = _fixed_headers(store.config.access_control_allow_origin)

    def mounted_on(self, application: "WSGIApplication") -> "WSGIApplication":
        """Return a WSGI application that serves images itself and hands every other path to *application*."""

        def dispatch(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
            path = environ.get("PATH_INFO", "")
            is_ours = path == self._route or path.startswith(f"{self._route}/")
            return self(environ, start_response) if is_ours else application(environ, start_response)

        return dispatch

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        method = environ["REQUEST_METHOD"]
        image_id = environ.get("PATH_INFO", "")[len(self._route) + 1 :]
        if method == "OPTIONS":
            return self._respond(start_response, "204 No Content", [])
        if method == "GET":
            if not image_id:
                return self._refuse(start_response, "400 Bad Request", "Missing image id\n")
            return self._serve_one(environ, start_response, _question(environ, image_id))
        if method == "POST" and not image_id:
            return self._serve_batch(environ, start_response)
        return self._refuse(start_response, "405 Method Not Allowed", "Method not allowed\n")

    def _serve_one(
        self, environ: "WSGIEnvironment", start_response: "StartResponse", question: Question
    ) -> Iterable[bytes]:
        answer = self._store.answer(
            question.image_id, proof=question.proof, client_token=question.client_token
        )
        headers = [("Content-Type", "application/octet-stream"), ("Content-Length", str(answer.size))]
        write = start_response("200 OK", headers + self._headers)
        if answer.blob is None or "wsgi.file_wrapper" not in environ:
            return _Body(answer.chunks(), answer.close)
        try:
            if answer.head:
                write(answer.head)  # the rest is sent from the file, not copied through this program
        except BaseException:
            answer.close()
            raise
        sent: Iterable[bytes] = environ["wsgi.file_wrapper"](
            _SentFile(answer.blob, answer.blob_size), CHUNK_SIZE
        )
        return sent

    def _serve_batch(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        try:
            questions = _batch_questions(_read_body(environ))
        except BadRequest as error:
            return self._refuse(start_response, "400 Bad Request", f"{error}\n")
        start_response("200 OK", [("Content-Type", "application/octet-stream"), *self._headers])
        answers = self._store.answers(questions)
        return _framed(answers)

    def _refuse(self, start_response: "StartResponse", status: str, words: str) -> Iterable[bytes]:
        body = words.encode()
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
        if status.startswith("405"):
            headers.append(("Allow", ALLOWED_METHODS))
        return self._respond(start_response, status, headers, body)

    def _respond(
        self, start_response: "StartResponse", status: str, headers: list[tuple[str, str]], body: bytes = b""
    ) -> Iterable[bytes]:
        start_response(status, headers + self._headers)
        return [body] if body else []


class _SentFile:
    """
    A blob that a server sends from its file. Closing it raises ``OSError`` if the file became shorter in the meantime.

    Then the server closes the connection. Otherwise, the client would wait for the missing bytes.
    """

    def __init__(self, blob: BinaryIO, size: int) -> None:
        self._blob = blob
        self._end = blob.tell() + size
        self.fileno, self.read, self.seek, self.tell = blob.fileno, blob.read, blob.seek, blob.tell

    def close(self) -> None:
        """Close the blob."""
        with self._blob:
            if os.fstat(self._blob.fileno()).st_size < self._end:
                raise OSError(SHORTER)


class _Body:
    """Chunks of a response. The server calls ``close`` at the end, even if it has read no chunk."""

    def __init__(self, chunks: Iterator[bytes], close: Callable[[], None]) -> None:
        self._chunks = chunks
        self.close = close

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks


def _framed(answers: Iterator[Answer]) -> Iterator[bytes]:
    """Yield each payload behind its length. A small one is one piece, so a thumbnail takes one write."""
    for answer in answers:
        if answer.size <= CHUNK_SIZE:
            payload = answer.to_bytes()
            yield batch_length(len(payload)) + payload
        else:
            yield batch_length(answer.size)
            yield from answer.chunks()


def _fixed_headers(allowed_origin: str | None) -> list[tuple[str, str]]:
    headers = [
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
    ]
    if allowed_origin is None:
        return [*headers, ("Cross-Origin-Resource-Policy", "same-origin")]
    return [
        *headers,
        ("Cross-Origin-Resource-Policy", "cross-origin"),
        ("Access-Control-Allow-Origin", allowed_origin),
        ("Access-Control-Allow-Methods", "GET, POST, OPTIONS"),
        ("Access-Control-Allow-Headers", "x-pixstore-proof, x-pixstore-token"),
        ("Vary", "Origin"),
    ]


def _question(environ: "WSGIEnvironment", image_id: str) -> Question:
    return Question(
        image_id, environ.get("HTTP_X_PIXSTORE_PROOF"), _token(environ.get("HTTP_X_PIXSTORE_TOKEN"))
    )


def _token(value: object) -> int | None:
    """Return *value* (a number or decimal digits) as a token, or ``None``: then the client gets the key."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _TOKEN_DIGITS:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _read_body(environ: "WSGIEnvironment") -> bytes:
    """Return the body. Read no more than Content-Length: servers need not signal its end (PEP 3333)."""
    announced = environ.get("CONTENT_LENGTH") or ("" if environ.get("wsgi.input_terminated") else "0")
    length = int(announced) if announced.isascii() and announced.isdigit() else MAX_BATCH_BODY + 1
    try:
        body: bytes = environ["wsgi.input"].read(min(length, MAX_BATCH_BODY + 1))
    except Exception:  # noqa: BLE001 - servers raise all kinds of errors for a broken connection or broken chunks
        raise BadRequest("The body could not be read") from None
    if len(body) > MAX_BATCH_BODY:
        raise BadRequest(f"The body is larger than {MAX_BATCH_BODY} bytes")
    return body


def _batch_questions(body: bytes) -> list[Question]:
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("The body is not JSON") from None
    images = document.get("images") if isinstance(document, dict) else None
    if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
        raise BadRequest('Expected {"images": [{"id", "proof", "token"?}, …]}')
    if not 1 <= len(images) <= MAX_BATCH:
        raise BadRequest(f"Expected 1 to {MAX_BATCH} images")
    return [
        Question(_text(image.get("id")), _text(image.get("proof")), _token(image.get("token")))
        for image in images
    ]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
