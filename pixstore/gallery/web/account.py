"""The page of the user's own account: password, logins, export of all pictures, cache of this browser."""

from threading import BoundedSemaphore

from flask import Blueprint, url_for
from werkzeug.wrappers import Response

from pixstore.gallery import accounts, sessions
from pixstore.gallery.errors import AccountChanged, InvalidInput, TooManyAttempts
from pixstore.gallery.export import export_pictures
from pixstore.gallery.web import forms, known_browser
from pixstore.gallery.web.access import current_session_id, current_user, get_gallery, log_in
from pixstore.gallery.web.own_password import confirmed_account
from pixstore.gallery.web.rendering import go_to, local_iso, render

MAX_EXPORTS = 2
"""
Most exports that a process makes at a time.

Each keeps a thread and one original in memory until it is received.
"""

blueprint = Blueprint("account", __name__)
_exports = BoundedSemaphore(MAX_EXPORTS)


@blueprint.get("/account")
def show() -> Response:
    """Show the account."""
    return _page()


@blueprint.post("/account/password")
def change_password() -> Response:
    """Change the password, which ends every other login."""
    gallery, user = get_gallery(), current_user()
    try:
        session_id = accounts.change_password(gallery, confirmed_account("current"), forms.new_password())
    except InvalidInput as error:
        return _page(error=error, status=422)
    except AccountChanged as error:
        return _page(error=InvalidInput("current", str(error)), status=422)
    except TooManyAttempts as error:
        return _page(error=InvalidInput("current", str(error)), status=429, retry_after=error.retry_after)
    log_in(session_id)
    known_browser.remember(accounts.get_user(gallery, user.id))
    return go_to(url_for("account.show"), "Your password has been changed, and every other login has ended.")


@blueprint.post("/account/sessions/end")
def end_other_sessions() -> Response:
    """End every login but this one."""
    gallery, user = get_gallery(), current_user()
    ended = sessions.end_others(gallery, user, current_session_id())
    known_browser.remember(accounts.get_user(gallery, user.id))
    notice = "There was no other login." if ended == 0 else "Every other login has ended."
    return go_to(url_for("account.show"), notice)


@blueprint.post("/account/export")
def export() -> Response:
    """
    Send every picture of the account as a zip file, which ends early if the login does.

    Only a form of this site can start it: a link on another site must not save pictures to the disk of the
    user.
    """
    gallery, user, session_id = get_gallery(), current_user(), current_session_id()
    if not _exports.acquire(blocking=False):
        busy = InvalidInput(
            "export", "The server is busy with other exports. Please try again in a few minutes."
        )
        return _page(error=busy, status=503, retry_after=60)
    pieces = export_pictures(
        gallery, user, is_allowed=lambda: sessions.find_user(gallery, session_id) is not None
    )
    answer = Response(pieces, mimetype="application/zip")
    answer.call_on_close(_exports.release)
    day = local_iso(gallery.now())[:10]
    answer.headers["Content-Disposition"] = f'attachment; filename="pixstore-{day}.zip"'
    answer.headers["X-Accel-Buffering"] = "no"  # nginx would buffer the whole file first
    return answer


def _page(
    *, error: InvalidInput | None = None, status: int = 200, retry_after: int | None = None
) -> Response:
    gallery, user = get_gallery(), current_user()
    answer = render(
        "account",
        fragment="password_form",
        status=status,
        error=error,
        other_sessions=sessions.count(gallery, user) - 1,
    )
    if retry_after is not None:
        answer.headers["Retry-After"] = str(retry_after)
    return answer
