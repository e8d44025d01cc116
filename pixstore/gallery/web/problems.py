"""
Turns errors into HTTP answers: each has a status, and a text for people.

A browser gets a page. htmx gets a short notice, which is shown in addition to the page.
"""

import logging
from typing import NamedTuple

import peewee
from flask import Flask
from flask_wtf.csrf import CSRFError
from htmx_flask import make_response
from werkzeug.exceptions import BadHost, HTTPException, SecurityError
from werkzeug.wrappers import Response

from pixstore.database import translated_errors
from pixstore.errors import DatabaseUnavailable, ImageNotFound, ImageRejected, StorageError, StorageFull
from pixstore.gallery.errors import (
    AccountChanged,
    AlreadyThere,
    GalleryError,
    InvalidInput,
    NotThere,
    TooBusy,
    TooManyAttempts,
)
from pixstore.gallery.web.access import htmx
from pixstore.gallery.web.rendering import render

logger = logging.getLogger(__name__)


class Problem(NamedTuple):
    """The text about an error, for people."""

    title: str
    text: str


PROBLEMS = {
    400: Problem("That did not work", "The request could not be understood. Please go back and try again."),
    403: Problem("Not for this account", "Only an owner of this gallery can do that."),
    404: Problem("Nothing here", "There is no such page, or it is not yours."),
    405: Problem("That did not work", "This address does not take that kind of request."),
    413: Problem(
        "Too much at once", "What was sent is larger than allowed. Please send fewer or smaller files."
    ),
    422: Problem("That was not accepted", "Something in the form cannot be accepted."),
    429: Problem("Please wait", "Too many attempts."),
    500: Problem("Something went wrong", "This is our fault, not yours. Please try again."),
    503: Problem("Back in a moment", "The database is not available just now. Please try again shortly."),
    507: Problem(
        "No room left", "The server has no space left, so nothing was stored. Please tell whoever runs it."
    ),
}

STATUS: dict[type[Exception], int] = {
    NotThere: 404,
    ImageNotFound: 404,
    InvalidInput: 400,
    AlreadyThere: 422,
    AccountChanged: 422,
    TooManyAttempts: 429,
    TooBusy: 503,
    ImageRejected: 422,
    StorageFull: 507,
    DatabaseUnavailable: 503,
    StorageError: 500,
}
"""The status of each error class, which also holds for its subclasses. Any other error is a 500."""

_FORM_TOO_OLD = Problem(
    "This form is too old",
    "It was open for too long, or you have logged in or out since. Please send it again.",
)


def init_app(app: Flask) -> None:
    """Answer every error of *app* with a page or a notice."""
    app.register_error_handler(HTTPException, _http_exception)
    app.register_error_handler(peewee.PeeweeException, _database_error)
    for kind in STATUS:
        app.register_error_handler(kind, _known_error)


def status_of(error: Exception) -> int:
    """Return the HTTP status for *error*."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def _http_exception(error: HTTPException) -> Response:
    response = error.get_response()
    if response.status_code < 400:
        return response  # a redirect that the routing asked for
    if isinstance(error, SecurityError | BadHost):  # no page: its links would contain that name
        return Response(
            "This server does not answer to that name.\n", response.status_code, mimetype="text/plain"
        )
    problem = _FORM_TOO_OLD if isinstance(error, CSRFError) else None
    answer = _problem_page(response.status_code, problem)
    for name in ("Allow", "Retry-After"):
        if name in response.headers:
            answer.headers[name] = response.headers[name]
    return answer


def _known_error(error: Exception) -> Response:
    status = status_of(error)
    if isinstance(error, TooBusy):
        logger.warning("an upload was sent away: too many at once")
    elif status >= 500:
        logger.error("%s", error, exc_info=error)
    text = str(error) if isinstance(error, GalleryError | ImageRejected) else None
    answer = _problem_page(status, None if text is None else Problem(PROBLEMS[status].title, text))
    if isinstance(error, TooManyAttempts | TooBusy):
        answer.headers["Retry-After"] = str(error.retry_after)
    elif status == 503:
        answer.headers["Retry-After"] = "5"
    return answer


def _database_error(error: Exception) -> Response:
    try:
        with translated_errors():
            raise error
    except StorageError as translated:
        return _known_error(translated)
    except peewee.PeeweeException:
        logger.exception("the database refused a query")
        return _problem_page(500)


def _problem_page(status: int, problem: Problem | None = None) -> Response:
    problem = problem or PROBLEMS.get(status) or PROBLEMS[500 if status >= 500 else 400]
    answer = render("problem", fragment="problem", status=status, problem=problem)
    if htmx():
        return make_response(answer, retarget="#problem", reswap="innerHTML")
    return answer
