"""Logging in and out."""

from typing import Any

from flask import Blueprint, flash, g, request, url_for
from werkzeug.wrappers import Response

from pixstore.gallery import accounts, throttle
from pixstore.gallery.errors import InvalidInput, TooManyAttempts
from pixstore.gallery.web import forms
from pixstore.gallery.web.access import access, end_login, get_gallery, log_in, own_path
from pixstore.gallery.web.rendering import go_to, render

blueprint = Blueprint("login", __name__)


@blueprint.get("/login")
@access(public=True)
def show() -> Response:
    """Show the login form; who is logged in already goes on."""
    came_from = own_path(request.args.get("next"))
    if g.user is not None:
        return go_to(came_from or url_for("pictures.index"))
    return _form(came_from)


@blueprint.post("/login")
@access(public=True)
def enter() -> Response:
    """Log in, under a limit on wrong passwords."""
    gallery, name, came_from = get_gallery(), forms.text("name"), own_path(forms.text("next"))
    try:
        attempt = throttle.begin(gallery, name.strip().casefold(), request.remote_addr)
    except TooManyAttempts as error:
        answer = _form(came_from, name=name, error=InvalidInput("password", str(error)), status=429)
        answer.headers["Retry-After"] = str(error.retry_after)
        return answer
    user = accounts.authenticate(gallery, name, forms.text("password"))
    if user is None:
        wrong = InvalidInput("password", "The name or the password is not right.")
        return _form(came_from, name=name, error=wrong, status=422)
    throttle.forgive(gallery, attempt)
    log_in(user)
    return go_to(came_from or url_for("pictures.index"))


@blueprint.post("/logout")
@access(public=True)
def leave() -> Response:
    """Log out, and have the browser drop everything it keeps of us."""
    end_login()
    flash("You are logged out.")
    answer = go_to(url_for("login.show"))
    answer.headers["Clear-Site-Data"] = '"storage"'
    return answer


def _form(came_from: str | None, *, status: int = 200, **values: Any) -> Response:
    return render("login", status=status, next=came_from, **values)
