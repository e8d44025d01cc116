"""Asks for the user's own password again, before actions for which a logged-in browser alone is not enough."""

from pixstore.gallery import accounts, throttle
from pixstore.gallery.errors import InvalidInput
from pixstore.gallery.sessions import CheckedAccount
from pixstore.gallery.web import forms
from pixstore.gallery.web.access import current_session_id, current_user, get_gallery


def confirmed_account(field: str) -> CheckedAccount:
    """
    Return the user's own account, if *field* of the form holds its password.

    Raises:
        InvalidInput: If the password is wrong.
        TooManyAttempts: If there were too many wrong passwords in this browser.
    """
    gallery = get_gallery()
    attempt = throttle.begin_known(gallery, current_session_id())
    account = accounts.authenticate(gallery, current_user().name, forms.text(field))
    if account is None:
        raise InvalidInput(field, "This is not your current password.")
    throttle.forgive(gallery, attempt)
    return account
