"""
How a client's requests reach a gallery.

``FlaskTransport`` calls an application in this process. ``HttpTransport`` speaks HTTP to a running server, over one
connection that is kept open, as a browser does. A connection that breaks raises ``NoAnswer``. A request that changes nothing
is sent once more on a new connection if the kept one turns out to be closed, as every browser does; ``repeated`` counts
these. A form is never sent twice. One transport is for one thread.
"""

import http.client
from collections.abc import Mapping
from typing import Protocol

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.wrappers import Response

SECONDS = 120
"""Longer than a server takes to be started again, or to wait for its database."""

SESSION_COOKIE = "pixstore"
HTMX = {"HX-Request": "true"}


class NoAnswer(Exception):
    """The connection broke before an answer was complete: nobody knows what became of the request."""

    def __init__(self, what: str, *, was_kept: bool = False) -> None:
        super().__init__(what)
        self.was_kept = was_kept
        """Whether the connection had served a request before, so that the server must have had it."""


class TurnedAway(NoAnswer):
    """There was no connection: the server cannot have seen the request."""


class Answer(Response):
    """An answer that came by HTTP, with what Flask's test client adds to those of its own."""

    @property
    def text(self) -> str:
        """The body as text."""
        return self.get_data(as_text=True)


class Transport(Protocol):
    """What a client needs of a transport."""

    cookie: str | None
    """The value of the session cookie, ``None`` if there is none."""

    def send(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], *, changes_nothing: bool
    ) -> Response:
        """Send one request and return its answer."""

    def close(self) -> None:
        """Close the connection; cookies stay."""


class FlaskTransport:
    """Flask's test client, on an application in this process."""

    def __init__(self, app: Flask, base_url: str = "http://localhost") -> None:
        self.app = app
        self.client: FlaskClient = app.test_client()
        self._base_url = base_url

    @property
    def cookie(self) -> str | None:
        """The value of the session cookie."""
        cookie = self.client.get_cookie(SESSION_COOKIE)
        return None if cookie is None else cookie.value

    @cookie.setter
    def cookie(self, value: str) -> None:
        self.client.set_cookie(SESSION_COOKIE, value)

    def send(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        changes_nothing: bool,
    ) -> Response:
        """Call the application."""
        # Over HTTPS a form has to say which page it comes from, and browsers do say it.
        referrer = {"Referer": self._base_url} if self._base_url.startswith("https:") else {}
        return self.client.open(
            path,
            method=method,
            data=body or None,
            headers={**referrer, **headers},
            base_url=self._base_url,
            buffered=True,
        )

    def close(self) -> None:
        """Do nothing: there is no connection."""


class HttpTransport:
    """HTTP to the server on *port* of this machine."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.repeated = 0
        self._cookies: dict[str, str] = {}
        self._connection: http.client.HTTPConnection | None = None

    @property
    def cookie(self) -> str | None:
        """The value of the session cookie."""
        return self._cookies.get(SESSION_COOKIE)

    @cookie.setter
    def cookie(self, value: str) -> None:
        self._cookies[SESSION_COOKIE] = value

    def send(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], *, changes_nothing: bool
    ) -> Response:
        """
        Send one request.

        Raises:
            NoAnswer: If the connection breaks. ``TurnedAway`` if there was none.
        """
        was_kept = self._connection is not None and self._connection.sock is not None
        try:
            return self._exchange(method, path, body, headers)
        except ConnectionError as error:
            self.close()
            if not (was_kept and changes_nothing):
                raise NoAnswer(f"{method} {path}: {error!r}", was_kept=was_kept) from error
            self.repeated += 1
            return self.send(method, path, body, headers, changes_nothing=False)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise NoAnswer(f"{method} {path}: {error!r}", was_kept=was_kept) from error

    def close(self) -> None:
        """Close the connection; cookies stay."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Response:
        connection = self._connected(f"{method} {path}")
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        connection.request(
            method, path, body or None, {**({"Cookie": cookies} if cookies else {}), **headers}
        )
        response = connection.getresponse()
        try:
            answer = Answer(response.read(), response.status, response.getheaders())
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise NoAnswer(f"{method} {path}: an answer that breaks off: {error!r}") from error
        self._keep_cookies(answer)
        return answer

    def _connected(self, what: str) -> http.client.HTTPConnection:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        if self._connection.sock is None:
            try:
                self._connection.connect()
            except OSError as error:
                self.close()
                raise TurnedAway(f"{what}: {error!r}") from error
        return self._connection

    def _keep_cookies(self, answer: Response) -> None:
        for line in answer.headers.getlist("Set-Cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            if value:
                self._cookies[name] = value
            else:
                self._cookies.pop(name, None)
