"""Logging in and out, and the set-up link of the first start."""

from typing import Any

from flask import Blueprint, flash, g, request, url_for
from werkzeug.wrappers import Response

from pixstore.gallery import accounts, forms, setup_link, throttle
from pixstore.gallery.access import access, end_login, get_store, log_in, own_path
from pixstore.gallery.errors import InvalidInput, TooManyAttempts
from pixstore.gallery.web import go_to, render

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
    store, name, came_from = get_store(), forms.text("name"), own_path(forms.text("next"))
    try:
        attempt = throttle.begin(store, name.strip().casefold(), request.remote_addr)
    except TooManyAttempts as error:
        answer = _form(came_from, name=name, error=InvalidInput("password", str(error)), status=429)
        answer.headers["Retry-After"] = str(error.retry_after)
        return answer
    user = accounts.authenticate(store, name, forms.text("password"))
    if user is None:
        wrong = InvalidInput("password", "The name or the password is not right.")
        return _form(came_from, name=name, error=wrong, status=422)
    throttle.forgive(store, attempt)
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


@blueprint.get("/setup/<token>")
@access(public=True)
def setup(token: str) -> Response:
    """Show the form that makes the owner's account."""
    setup_link.check(token)
    return render("setup", token=token)


@blueprint.post("/setup/<token>")
@access(public=True)
def create_owner(token: str) -> Response:
    """Make the owner's account and log in."""
    store, name = get_store(), forms.text("name")
    try:
        user = setup_link.create_owner(store, token, name, forms.new_password())
    except InvalidInput as error:
        return render("setup", token=token, name=name, error=error, status=422)
    log_in(user)
    return go_to(url_for("pictures.index"))


def _form(came_from: str | None, *, status: int = 200, **values: Any) -> Response:
    return render("login", status=status, next=came_from, **values)
