"""
Accounts and their passwords. No Flask, no cookies. Logins are in ``sessions``.

A new password ends every login of its account. A disabled account has no logins.
"""

import re
import unicodedata

from peewee import IntegrityError

from pixstore.gallery import Gallery, albums, passwords, sessions
from pixstore.gallery.errors import InvalidInput, NotThere
from pixstore.gallery.models import User
from pixstore.gallery.sessions import CheckedAccount
from pixstore.ids import new_key

MAX_NAME_LENGTH = 40
_NAME = re.compile(r"[^\W_](?:[\w.-]*[^\W_])?")


def normal_name(text: str) -> str:
    """Return *text* as account names are stored and looked up: the same for every letter case and Unicode form."""
    return unicodedata.normalize("NFKC", text.strip()).casefold()


def clean_name(text: str) -> str:
    """
    Return the account name that *text* stands for, as ``normal_name`` spells it.

    Raises:
        InvalidInput: If it cannot be a name.
    """
    name = normal_name(text)
    if not name:
        raise InvalidInput("name", "Please enter a name.")
    if len(name) > MAX_NAME_LENGTH or not _NAME.fullmatch(name):
        raise InvalidInput(
            "name", f"A name has at most {MAX_NAME_LENGTH} letters and digits, and . - _ between them."
        )
    return name


def check_new_password(password: str, *, name: str, field: str = "password") -> str:
    """
    Return *password* if it may be the new one of the account *name*.

    Raises:
        InvalidInput: If it is too short, too long, or the same as the name.
    """
    if len(password) < passwords.MIN_LENGTH:
        raise InvalidInput(field, f"A password needs at least {passwords.MIN_LENGTH} characters.")
    if len(password) > passwords.MAX_LENGTH:
        raise InvalidInput(field, f"A password has at most {passwords.MAX_LENGTH} characters.")
    if password.casefold() == name:
        raise InvalidInput(field, "The password must not be the name.")
    return password


def create_user(gallery: Gallery, name: str, password: str, *, is_owner: bool = False) -> User:
    """
    Make an account with its default album.

    Raises:
        InvalidInput: If the name is taken, or the name or the password is not acceptable.
    """
    name = clean_name(name)
    password_hash = passwords.hash_password(check_new_password(password, name=name))
    try:
        with gallery.transaction():
            return add_user(gallery, name, password_hash=password_hash, is_owner=is_owner)
    except IntegrityError:
        raise InvalidInput("name", f"There is already an account called {name}.") from None


def add_user(gallery: Gallery, name: str, *, password_hash: str = "", is_owner: bool = False) -> User:
    """
    Insert the rows of a new account, inside the caller's transaction.

    An account without a password is disabled.
    """
    now = gallery.now()
    user = gallery.models.user.create(
        id=new_key(),
        name=name,
        password_hash=password_hash,
        is_owner=is_owner,
        disabled_at=None if password_hash else now,
        created_at=now,
    )
    albums.add_album(gallery, user, albums.DEFAULT_TITLE, is_default=True)
    return user


def authenticate(gallery: Gallery, name: str, password: str) -> CheckedAccount | None:
    """
    Return the account if *name* and *password* are right.

    Return ``None`` otherwise, after the same amount of work.
    """
    user = find_user(gallery, name)
    password_hash = user.password_hash if user is not None and user.disabled_at is None else ""
    if not passwords.verify_password(password[: passwords.MAX_LENGTH + 1], password_hash) or user is None:
        return None
    if not passwords.needs_rehash(password_hash):
        return CheckedAccount.of(user)
    renewed = passwords.hash_password(password)
    if not _replace_hash(gallery, user, renewed):
        return authenticate(
            gallery, name, password
        )  # another request has changed the hash: check against the new one
    return CheckedAccount(user, renewed, user.login_epoch)


def set_password(gallery: Gallery, user: User, password: str, *, field: str = "password") -> None:
    """
    Give *user* a new password, end every login, and enable the account if it was disabled.

    Raises:
        InvalidInput: If the password is not acceptable.
    """
    password_hash = passwords.hash_password(check_new_password(password, name=user.name, field=field))
    with gallery.transaction():
        sessions.end_all(gallery, user)
        _update(gallery, user, password_hash=password_hash, disabled_at=None)


def change_password(
    gallery: Gallery, account: CheckedAccount, password: str, *, field: str = "password"
) -> str:
    """
    Give *account* a new password, end every login, and start a new one. All of it happens or nothing.

    Return the session id of the new login.

    Raises:
        InvalidInput: If the password is not acceptable.
        AccountChanged: If the account has changed since its present password was checked.
    """
    user = account.user
    password_hash = passwords.hash_password(check_new_password(password, name=user.name, field=field))
    with gallery.transaction():
        sessions.lock_unchanged(gallery, account)
        _update(gallery, user, password_hash=password_hash)
        return sessions.start_alone(gallery, user)


def disable_user(gallery: Gallery, user: User, *, by: User) -> None:
    """
    Disable the account of *user* and end its logins. Its pictures stay.

    Raises:
        InvalidInput: If *user* and *by* are the same account.
    """
    if user.id == by.id:
        raise InvalidInput("user", "You cannot disable your own account.")
    with gallery.transaction():
        sessions.end_all(gallery, user)
        _update(gallery, user, disabled_at=gallery.now())


def enable_user(gallery: Gallery, user: User) -> None:
    """
    Enable the account of *user* again, with its old password.

    Raises:
        InvalidInput: If the account has no password yet.
    """
    if not user.password_hash:
        raise InvalidInput("user", f"{user.name} has no password yet: set one.")
    with gallery.transaction():
        _update(gallery, user, disabled_at=None)


def list_users(gallery: Gallery) -> list[User]:
    """Return every account, ordered by name."""
    return list(gallery.models.user.select().order_by(gallery.models.user.name))


def get_user(gallery: Gallery, user_id: str) -> User:
    """
    Return the account *user_id*.

    Raises:
        NotThere: If there is none.
    """
    user = gallery.models.user.get_or_none(gallery.models.user.id == user_id)
    if user is None:
        raise NotThere("There is no such account.")
    return user


def find_user(gallery: Gallery, name: str) -> User | None:
    """Return the account called *name*, however it was typed, or ``None``."""
    try:
        name = clean_name(name)
    except InvalidInput:
        return None
    return gallery.models.user.get_or_none(gallery.models.user.name == name)


def has_owner(gallery: Gallery) -> bool:
    """Tell whether this installation has an owner yet."""
    return bool(gallery.models.user.select().where(gallery.models.user.is_owner).exists())


def _replace_hash(gallery: Gallery, user: User, renewed: str) -> bool:
    """Replace the hash in *user* by *renewed*, unless the account has another hash by now; return whether it was."""
    account = gallery.models.user
    is_same = (account.id == user.id) & (account.password_hash == user.password_hash)
    with gallery.transaction():
        return bool(account.update(password_hash=renewed).where(is_same).execute())


def _update(gallery: Gallery, user: User, **changes: object) -> None:
    gallery.models.user.update(**changes).where(gallery.models.user.id == user.id).execute()
