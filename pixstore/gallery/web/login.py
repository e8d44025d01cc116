"""Logging in and out."""

from typing import Any

from flask import Blueprint, g, request, url_for
from werkzeug.wrappers import Response

from pixstore.gallery import accounts, sessions, throttle
from pixstore.gallery.errors import AccountChanged, InvalidInput, TooManyAttempts
from pixstore.gallery.throttle import Attempt
from pixstore.gallery.web import forms, known_browser
from pixstore.gallery.web.access import access, end_login, get_gallery, log_in, way_back
from pixstore.gallery.web.rendering import farewell, go_to, render

blueprint = Blueprint("login", __name__)


@blueprint.get("/login")
@access(public=True)
def show() -> Response:
    """Show the login form. A user who is already logged in is redirected."""
    came_from = way_back(request.args.get("next"))
    if g.user is not None:
        return go_to(came_from or url_for("pictures.index"))
    return _form(came_from)


@blueprint.post("/login")
@access(public=True)
def enter() -> Response:
    """Log in. After wrong passwords, refuse attempts that come too early."""
    gallery, name, came_from = get_gallery(), forms.text("name"), way_back(forms.text("next"))
    try:
        attempt = _attempt(name)
    except TooManyAttempts as error:
        answer = _form(came_from, name=name, error=InvalidInput("password", str(error)), status=429)
        answer.headers["Retry-After"] = str(error.retry_after)
        return answer
    try:
        account = accounts.authenticate(gallery, name, forms.text("password"))
        if account is None:
            raise InvalidInput("password", "The name or the password is not right.")
        session_id = sessions.start(gallery, account)
    except InvalidInput as error:
        return _form(came_from, name=name, error=error, status=422)
    except AccountChanged as error:
        return _form(came_from, name=name, error=InvalidInput("password", str(error)), status=422)
    throttle.forgive(gallery, attempt)
    log_in(session_id)
    known_browser.remember(account.user)
    return go_to(came_from or url_for("pictures.index"))


@blueprint.post("/logout")
@access(public=True)
def leave() -> Response:
    """Log out, and make the browser delete everything this site stored in it."""
    end_login()
    return farewell("You are logged out.")


def _attempt(name: str) -> Attempt:
    device = known_browser.device_of(accounts.find_user(get_gallery(), name))
    if device is not None:
        return throttle.begin_known(get_gallery(), device)
    return throttle.begin(get_gallery(), name, request.remote_addr)


def _form(came_from: str | None, *, status: int = 200, **values: Any) -> Response:
    return render("login", status=status, next=came_from, **values)
