"""The own account: password, logins, and what this browser keeps."""

from flask import Blueprint, request, url_for
from werkzeug.wrappers import Response

from pixstore.gallery import accounts, sessions, throttle
from pixstore.gallery.errors import InvalidInput, TooManyAttempts
from pixstore.gallery.web import forms
from pixstore.gallery.web.access import current_session_id, current_user, get_gallery, log_in
from pixstore.gallery.web.rendering import go_to, render

blueprint = Blueprint("account", __name__)


@blueprint.get("/account")
def show() -> Response:
    """Show the account."""
    return _page()


@blueprint.post("/account/password")
def change_password() -> Response:
    """Change the password, which ends every other login."""
    gallery, user = get_gallery(), current_user()
    try:
        attempt = throttle.begin(gallery, user.name, request.remote_addr)
        if accounts.authenticate(gallery, user.name, forms.text("current")) is None:
            raise InvalidInput("current", "This is not your current password.")
        throttle.forgive(gallery, attempt)
        accounts.set_password(gallery, user, forms.new_password())
    except InvalidInput as error:
        return _page(error=error, status=422)
    except TooManyAttempts as error:
        return _page(error=InvalidInput("current", str(error)), status=429)
    log_in(user)
    return go_to(url_for("account.show"), "Your password has been changed, and every other login has ended.")


@blueprint.post("/account/sessions/end")
def end_other_sessions() -> Response:
    """End every login but this one."""
    ended = sessions.end_others(get_gallery(), current_user(), current_session_id())
    notice = "There was no other login." if ended == 0 else "Every other login has ended."
    return go_to(url_for("account.show"), notice)


def _page(*, error: InvalidInput | None = None, status: int = 200) -> Response:
    gallery, user = get_gallery(), current_user()
    return render(
        "account",
        fragment="password_form",
        status=status,
        error=error,
        other_sessions=sessions.count(gallery, user) - 1,
    )
