"""The page on which owners manage the accounts of this installation."""

from collections.abc import Callable

from flask import Blueprint
from werkzeug.wrappers import Response

from pixstore.gallery import accounts
from pixstore.gallery.errors import InvalidInput
from pixstore.gallery.web import forms
from pixstore.gallery.web.access import access, current_user, get_gallery
from pixstore.gallery.web.rendering import render

blueprint = Blueprint("users", __name__)


@blueprint.get("/users")
@access(owner_only=True)
def index() -> Response:
    """Show every account."""
    return _page()


@blueprint.post("/users")
@access(owner_only=True)
def create() -> Response:
    """Make an account."""
    name = forms.text("name")
    is_owner = forms.text("is_owner") == "yes"
    return _after(
        lambda: accounts.create_user(get_gallery(), name, forms.new_password(), is_owner=is_owner),
        "The account has been made.",
        name=name,
    )


@blueprint.post("/users/<user_id>/password")
@access(owner_only=True)
def reset_password(user_id: str) -> Response:
    """Give an account a new password, and enable it if it was disabled."""
    user = accounts.get_user(get_gallery(), user_id)
    return _after(
        lambda: accounts.set_password(get_gallery(), user, forms.new_password()),
        f"{user.name} has a new password; earlier logins have ended.",
        about=user_id,
    )


@blueprint.post("/users/<user_id>/disable")
@access(owner_only=True)
def disable(user_id: str) -> Response:
    """Disable an account."""
    user = accounts.get_user(get_gallery(), user_id)
    return _after(
        lambda: accounts.disable_user(get_gallery(), user, by=current_user()),
        f"{user.name} cannot log in any more.",
        about=user_id,
    )


@blueprint.post("/users/<user_id>/enable")
@access(owner_only=True)
def enable(user_id: str) -> Response:
    """Enable an account again."""
    user = accounts.get_user(get_gallery(), user_id)
    return _after(
        lambda: accounts.enable_user(get_gallery(), user), f"{user.name} can log in again.", about=user_id
    )


def _after(change: Callable[[], object], notice: str, **values: object) -> Response:
    try:
        change()
    except InvalidInput as error:
        return _page(error=error, **values)
    return _page(notice=notice)


def _page(*, error: InvalidInput | None = None, **values: object) -> Response:
    return render(
        "users",
        fragment="users",
        status=200 if error is None else 422,
        users=accounts.list_users(get_gallery()),
        error=error,
        **values,
    )
