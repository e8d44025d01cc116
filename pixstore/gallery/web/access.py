"""
The gate in front of every view: opens a database connection, finds the logged-in user, limits the body.

A view is closed unless it says otherwise with ``@access(public=True)``, so a new view cannot be left open by
mistake.

The order of the steps matters. A request without a login is refused before any byte of its body is read. The
limit of the body, and a place for a large form (``intake``), are settled before the form is parsed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast
from urllib.parse import SplitResult, unquote, urlsplit

from flask import Flask, current_app, g, jsonify, redirect, request, session, url_for
from htmx_flask import make_response
from htmx_flask.requests import HtmxAwareRequest, HtmxHeaders
from werkzeug.exceptions import BadRequest, Forbidden
from werkzeug.wrappers import Response

from pixstore.config import Config
from pixstore.gallery import Gallery, sessions
from pixstore.gallery.intake import Intake
from pixstore.gallery.models import User

MAX_FORM_BYTES = 64 * 1024
"""Largest form without files, in bytes. A form with files may hold as much beside its files."""

_SESSION_ID = "session_id"
_View = TypeVar("_View", bound=Callable[..., object])


@dataclass(frozen=True, kw_only=True)
class AccessRule:
    """Who may call a view, and how large a body it accepts. Every default is the strictest choice."""

    public: bool = False
    """Everybody, logged in or not."""
    owner_only: bool = False
    """Only owners of the installation."""
    for_programs: bool = False
    """Answer 401 if nobody is logged in: a program cannot use the login page."""
    bare: bool = False
    """The view needs neither the database nor the session."""
    body_limit: Callable[[Config], int] | None = None
    """Returns the largest body of a form with files, in bytes. Default: ``MAX_FORM_BYTES``."""


_CLOSED = AccessRule()


def access(
    *,
    public: bool = False,
    owner_only: bool = False,
    for_programs: bool = False,
    bare: bool = False,
    body_limit: Callable[[Config], int] | None = None,
) -> Callable[[_View], _View]:
    """Give a view its ``AccessRule``."""
    rule = AccessRule(
        public=public, owner_only=owner_only, for_programs=for_programs, bare=bare, body_limit=body_limit
    )

    def mark(view: _View) -> _View:
        view.access_rule = rule  # type: ignore[attr-defined] # read by rule_of
        return view

    return mark


def rule_of(view: object) -> AccessRule:
    """Return the rule that ``access`` gave to *view*, or the strictest one."""
    rule: AccessRule = getattr(view, "access_rule", _CLOSED)
    return rule


# --- the request and its user


def get_gallery() -> Gallery:
    """Return the gallery of the current application."""
    gallery: Gallery = current_app.extensions["pixstore.gallery"]
    return gallery


def get_intake() -> Intake:
    """Return the ``Intake`` that all upload forms of this process share."""
    intake: Intake = current_app.extensions["pixstore.intake"]
    return intake


def htmx() -> HtmxHeaders:
    """Return the htmx headers of the request. They are false if htmx did not send it."""
    headers: HtmxHeaders = cast(HtmxAwareRequest, request).htmx
    return headers


def current_user() -> User:
    """Return the logged-in user. Only for views that are not public."""
    user: User | None = g.get("user")
    if user is None:
        raise RuntimeError("a public view asked who is logged in")
    return user


def log_in(session_id: str) -> None:
    """Log this browser in under the new *session_id*, and end the login that it had before."""
    end_login()
    session[_SESSION_ID] = session_id
    session.permanent = True


def end_login() -> None:
    """End the login of this browser, if there is one, and forget everything in its session."""
    session_id = session.get(_SESSION_ID)
    if session_id is not None:
        sessions.end(get_gallery(), session_id)
    session.clear()


def current_session_id() -> str:
    """Return the session id of this login."""
    session_id: str = session[_SESSION_ID]
    return session_id


def way_back(target: str | None) -> str | None:
    """Return *target* if it is a path of this application, as a browser writes it. Return ``None`` otherwise."""
    return own_path(target, root=request.script_root)


def own_path(target: str | None, *, root: str) -> str | None:
    """
    Return *target* if it is a path below *root*.

    Return ``None`` otherwise: a login must not redirect to another site.

    *root* is the prefix under which a proxy serves this application, or empty.
    """
    if not target or not target.isprintable() or "\\" in target:
        return None
    parts = _split(target)
    # Browsers treat these as "." and "..", also when they are written with %2e.
    climbs = any(unquote(step) in {".", ".."} for step in parts.path.split("/"))
    is_below = target.startswith(f"{root}/") and not target.startswith("//")
    return target if is_below and not climbs and not parts.scheme and not parts.netloc else None


def _split(url: str) -> SplitResult:
    """Return the parts of *url*. If it is not a valid URL, all of them are empty."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


# --- the gate


def init_app(app: Flask) -> None:
    """Put the gate in front of every view of *app*."""
    app.before_request(_refuse_unreadable)
    app.before_request(_open_connection)
    app.before_request(_recognize)
    app.before_request(_turn_away)
    app.before_request(_limit_body)
    app.teardown_request(_close_connection)
    app.teardown_request(_give_place_back)


def _refuse_unreadable() -> None:
    try:
        request.query_string.decode()
    except UnicodeDecodeError:
        raise BadRequest from None


def _open_connection() -> None:
    if _rule().bare:
        return
    connection = get_gallery().store.connected()
    connection.__enter__()
    g.connection = connection


def _close_connection(_: BaseException | None) -> None:
    connection = g.pop("connection", None)
    if connection is not None:
        connection.__exit__(None, None, None)


def _recognize() -> None:
    session_id = None if _rule().bare else session.get(_SESSION_ID)
    g.user = None if session_id is None else sessions.find_user(get_gallery(), session_id)


def _turn_away() -> Response | None:
    rule = _rule()
    if request.endpoint is None or rule.public:
        return None  # without an endpoint it is a 404 or 405, the same for everybody
    if g.user is None:
        return _to_login(rule)
    if rule.owner_only and not g.user.is_owner:
        raise Forbidden
    return None


def _limit_body() -> None:
    body_limit = _rule().body_limit
    # A form of any other type is read into memory as a whole, so it keeps the small limit.
    if body_limit is None or request.mimetype != "multipart/form-data":
        return
    request.max_content_length = limit = body_limit(get_gallery().config)
    if (request.content_length or 0) <= limit:  # a larger body is refused without reading it
        place = get_intake().place_for(request.content_length)
        place.__enter__()
        g.place = place


def _give_place_back(_: BaseException | None) -> None:
    place = g.pop("place", None)
    if place is not None:
        place.__exit__(None, None, None)


def _rule() -> AccessRule:
    return rule_of(current_app.view_functions.get(request.endpoint or ""))


def _to_login(rule: AccessRule) -> Response:
    if rule.for_programs:
        return make_response(jsonify(error="Please log in."), 401)
    if htmx():
        parts = _split(htmx().current_url or "")
        came_from = way_back(f"{parts.path}?{parts.query}".rstrip("?"))
        return make_response("", 401, redirect=url_for("login.show", next=came_from))
    here = request.script_root + request.full_path.rstrip("?")
    came_from = way_back(here) if request.method == "GET" else None
    is_start = came_from == url_for("pictures.index")
    return redirect(url_for("login.show", next=None if is_start else came_from), 303)
