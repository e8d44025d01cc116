"""The page of the set-up link, on which the owner's account is made at the first start."""

from flask import Blueprint, url_for
from werkzeug.wrappers import Response

from pixstore.gallery import sessions, setup_link
from pixstore.gallery.errors import InvalidInput
from pixstore.gallery.sessions import CheckedAccount
from pixstore.gallery.web import forms, known_browser
from pixstore.gallery.web.access import access, get_gallery, log_in
from pixstore.gallery.web.rendering import go_to, render

blueprint = Blueprint("setup", __name__)


@blueprint.get("/setup/<token>")
@access(public=True)
def show(token: str) -> Response:
    """Show the form for the owner's account."""
    setup_link.check(get_gallery(), token)
    return render("setup", token=token)


@blueprint.post("/setup/<token>")
@access(public=True)
def create_owner(token: str) -> Response:
    """Make the owner's account and log in."""
    gallery, name = get_gallery(), forms.text("name")
    try:
        user = setup_link.create_owner(gallery, token, name, forms.new_password())
    except InvalidInput as error:
        return render("setup", token=token, name=name, error=error, status=422)
    log_in(sessions.start(gallery, CheckedAccount.of(user)))
    known_browser.remember(user)
    return go_to(url_for("pictures.index"))
