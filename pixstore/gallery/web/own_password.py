"""The own password, asked for again before what an open browser alone must not be enough for."""

from pixstore.gallery import accounts, throttle
from pixstore.gallery.errors import InvalidInput
from pixstore.gallery.sessions import CheckedAccount
from pixstore.gallery.web import forms
from pixstore.gallery.web.access import current_session_id, current_user, get_gallery


def confirmed_account(field: str) -> CheckedAccount:
    """
    Return the own account, whose password the form has in *field*.

    Raises:
        InvalidInput: If it is not right.
        TooManyAttempts: If it was wrong too often in this browser.
    """
    gallery = get_gallery()
    attempt = throttle.begin_known(gallery, current_session_id())
    account = accounts.authenticate(gallery, current_user().name, forms.text(field))
    if account is None:
        raise InvalidInput(field, "This is not your current password.")
    throttle.forgive(gallery, attempt)
    return account
