"""
Logins, kept on the server. The signed cookie carries a random session id; the table holds its SHA-256.

A signed cookie alone cannot be taken back. With a row behind it, logout, a new password and a disabled account end a
login at once, and somebody who reads the database cannot log in with what stands there.

Checking a password takes long enough for the password to be changed meanwhile. So a login begins in a transaction that reads
the account again, and only if the account is still what it was when the password was checked.
"""

import hashlib
import secrets
from dataclasses import dataclass, field

from peewee import Expression

from pixstore.database import lock_rows
from pixstore.gallery import Gallery
from pixstore.gallery.errors import AccountChanged
from pixstore.gallery.models import User
from pixstore.plausible_times import SLACK


@dataclass(frozen=True)
class CheckedAccount:
    """An account whose password was found right, and what it was then."""

    user: User
    password_hash: str = field(repr=False)
    login_epoch: int

    @classmethod
    def of(cls, user: User) -> "CheckedAccount":
        """Return *user* as its row says."""
        return cls(user, user.password_hash, user.login_epoch)


def start(gallery: Gallery, account: CheckedAccount) -> str:
    """
    Begin a login to *account* and return its session id, which nobody has seen before.

    Raises:
        AccountChanged: If the account was disabled, or its logins ended, after the password was checked.
    """
    with gallery.transaction():
        lock_unchanged(gallery, account)
        return _add(gallery, account.user)


def start_alone(gallery: Gallery, user: User) -> str:
    """End every login of *user*, inside the caller's transaction, and return the session id of a new one."""
    end_all(gallery, user)
    return _add(gallery, user)


def lock_unchanged(gallery: Gallery, account: CheckedAccount) -> None:
    """
    Return if *account* is what it was; until the caller's transaction ends, it stays so.

    Raises:
        AccountChanged: If it is not.
    """
    user = gallery.models.user
    query = user.select().where(user.id == account.user.id)
    now = lock_rows(query, gallery.store.database).first()
    if now is None or now.disabled_at is not None or CheckedAccount.of(now) != account:
        raise AccountChanged


def find_user(gallery: Gallery, session_id: str) -> User | None:
    """Return who is logged in under *session_id*, or ``None`` if that login is over or never was."""
    user, login = gallery.models.user, gallery.models.login_session
    is_this = (login.id_hash == _hash(session_id)) & _is_alive(gallery)
    query = user.select().join(login, on=(login.user == user.id))
    return query.where(is_this & user.disabled_at.is_null()).first()


def end(gallery: Gallery, session_id: str) -> None:
    """End one login."""
    login = gallery.models.login_session
    with gallery.transaction():
        login.delete().where(login.id_hash == _hash(session_id)).execute()


def end_all(gallery: Gallery, user: User) -> None:
    """End every login of *user*, and those that are just beginning, inside the caller's transaction."""
    login = gallery.models.login_session
    _begin_epoch(gallery, user)
    login.delete().where(login.user == user.id).execute()


def end_others(gallery: Gallery, user: User, session_id: str) -> int:
    """End every login of *user* but this one, and return how many there were."""
    login = gallery.models.login_session
    others = (login.user == user.id) & (login.id_hash != _hash(session_id))
    with gallery.transaction():
        _begin_epoch(gallery, user)
        return int(login.delete().where(others).execute())


def count(gallery: Gallery, user: User) -> int:
    """Return how many logins of *user* there are now."""
    login = gallery.models.login_session
    return int(login.select().where((login.user == user.id) & _is_alive(gallery)).count())


def _add(gallery: Gallery, user: User) -> str:
    session_id, now, login = secrets.token_urlsafe(32), gallery.now(), gallery.models.login_session
    login.delete().where(~_is_alive(gallery)).execute()
    login.create(
        id_hash=_hash(session_id),
        user=user.id,
        created_at=now,
        expires_at=now + gallery.config.session_lifetime,
    )
    return session_id


def _begin_epoch(gallery: Gallery, user: User) -> None:
    # First of all: on PostgreSQL this waits for a login that is just beginning, so that its row is found afterwards.
    account = gallery.models.user
    account.update(login_epoch=account.login_epoch + 1).where(account.id == user.id).execute()


def _is_alive(gallery: Gallery) -> Expression:
    """Return the condition for a login that is not over. One that would last longer than any can was made by a wrong clock."""
    now, login = gallery.now(), gallery.models.login_session
    latest = now + gallery.config.session_lifetime + SLACK
    is_alive: Expression = (login.expires_at > now) & (login.expires_at <= latest)
    return is_alive


def _hash(session_id: str) -> str:
    return hashlib.sha256(session_id.encode()).hexdigest()
