"""HTTP as bytes: what is sent need not be a request, and what comes back is read as the answers it should be."""

import http.client
import io
import socket
from contextlib import suppress
from typing import NamedTuple

SECONDS = 30


class Answer(NamedTuple):
    """One answer of a server."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class NotHttp(Exception):
    """What came back is not HTTP."""


class _Stream(io.BytesIO):
    """Stays open when ``http.client`` is done with the first of several answers."""

    def makefile(self, *_: object) -> "_Stream":
        """Be the file of a socket."""
        return self

    def close(self) -> None:
        """Go on."""


def exchange(port: int, sent: bytes) -> list[Answer]:
    """
    Send bytes to a server of this machine and return its answers; none if it just closes the connection.

    Raises:
        NotHttp: If anything but answers comes back.
        TimeoutError: If the server neither answers nor closes.
    """
    received = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        # A server that has read enough may close before everything is sent, or read.
        with suppress(OSError):
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            while data := connection.recv(65536):
                received += data
    return parse(bytes(received), is_head=sent[:5] == b"HEAD ")


def parse(received: bytes, *, is_head: bool = False) -> list[Answer]:
    """
    Return the answers that *received* consists of.

    Raises:
        NotHttp: If it does not.
    """
    stream, answers = _Stream(received), []
    while stream.tell() < len(received):
        answer = http.client.HTTPResponse(stream, method="HEAD" if is_head else "GET")
        try:
            answer.begin()
            answers.append(Answer(answer.status, answer.headers, answer.read()))
        except (http.client.HTTPException, ValueError) as error:
            raise NotHttp(f"{error!r} in {received[:200]!r}") from error
    return answers


def request(
    method: str,
    path: str,
    body: bytes = b"",
    *,
    headers: dict[str, str] | None = None,
    host: str = "localhost",
    version: str = "HTTP/1.1",
) -> bytes:
    """Return the bytes of a request as a browser would send it, on a connection for it alone."""
    fields = {"Host": host, "Connection": "close", **(headers or {})}
    if body:
        fields["Content-Length"] = str(len(body))
    lines = [f"{method} {path} {version}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body
