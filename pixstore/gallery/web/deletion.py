"""The pages that delete an account: users delete their own, an owner of the installation deletes any."""

from flask import Blueprint, url_for
from werkzeug.wrappers import Response

from pixstore.gallery import account_deletion, accounts
from pixstore.gallery.errors import AccountChanged, InvalidInput, TooManyAttempts
from pixstore.gallery.models import User
from pixstore.gallery.web import forms, known_browser
from pixstore.gallery.web.access import access, current_user, end_login, get_gallery
from pixstore.gallery.web.own_password import confirmed_account
from pixstore.gallery.web.rendering import farewell, go_to, render

blueprint = Blueprint("deletion", __name__)


@blueprint.get("/account/delete")
def ask() -> Response:
    """Ask for confirmation before deleting the user's own account, and offer to export its pictures first."""
    return _question(current_user())


@blueprint.post("/account/delete")
def delete() -> Response:
    """Delete the user's own account and log out."""
    user = current_user()
    refusal = _refusal_to_delete(user)
    if refusal is not None:
        return refusal
    end_login()
    known_browser.forget(user)
    return farewell("Your account and all its pictures have been deleted.")


@blueprint.get("/users/<user_id>/delete")
@access(owner_only=True)
def ask_about(user_id: str) -> Response:
    """Ask for confirmation before deleting another account."""
    return _question(accounts.get_user(get_gallery(), user_id))


@blueprint.post("/users/<user_id>/delete")
@access(owner_only=True)
def delete_other(user_id: str) -> Response:
    """Delete another account."""
    user = accounts.get_user(get_gallery(), user_id)
    if user.id == current_user().id:
        return go_to(url_for("deletion.ask"))
    notice = f"{user.name} and all pictures of that account have been deleted."
    return _refusal_to_delete(user) or go_to(url_for("users.index"), notice)


def _refusal_to_delete(user: User) -> Response | None:
    """Delete *user* and return ``None``. If it is refused, return the page with the reason."""
    try:
        by = confirmed_account("password")
        account_deletion.delete_user(get_gallery(), user, typed_name=forms.text("name"), by=by)
    except InvalidInput as error:
        return _question(user, error=error, status=422)
    except AccountChanged as error:
        return _question(user, error=InvalidInput("password", str(error)), status=422)
    except TooManyAttempts as error:
        answer = _question(user, error=InvalidInput("password", str(error)), status=429)
        answer.headers["Retry-After"] = str(error.retry_after)
        return answer
    return None


def _question(user: User, *, error: InvalidInput | None = None, status: int = 200) -> Response:
    gallery = get_gallery()
    return render(
        "delete_account",
        status=status,
        person=user,
        is_own=user.id == current_user().id,
        is_last_owner=account_deletion.is_last_owner(gallery, user),
        belongings=account_deletion.belongings(gallery, user),
        error=error,
        typed_name=forms.text("name"),
    )
