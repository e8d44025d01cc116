"""
Logins, kept on the server. The signed cookie carries a random session id; the table holds its SHA-256.

A signed cookie alone cannot be revoked. With a row for each login, a logout, a new password and a disabled
account end a login at once. The table holds only hashes, so a reader of the database cannot log in with them.

Checking a password takes a while, and somebody may change the password in that time. So a login begins in a
transaction that reads the account again, and only if the account has not changed since the check.
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
    """An account whose password was right, with the hash and epoch that it had at the check."""

    user: User
    password_hash: str = field(repr=False)
    login_epoch: int

    @classmethod
    def of(cls, user: User) -> "CheckedAccount":
        """Return *user* with the hash and epoch of its row."""
        return cls(user, user.password_hash, user.login_epoch)


def start(gallery: Gallery, account: CheckedAccount) -> str:
    """
    Begin a login to *account* and return its new session id.

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
    Check that *account* has not changed, and lock its row until the caller's transaction ends.

    Raises:
        AccountChanged: If it has changed.
    """
    user = gallery.models.user
    query = user.select().where(user.id == account.user.id)
    now = lock_rows(query, gallery.store.database).first()
    if now is None or now.disabled_at is not None or CheckedAccount.of(now) != account:
        raise AccountChanged


def find_user(gallery: Gallery, session_id: str) -> User | None:
    """Return the user who is logged in under *session_id*, or ``None`` if there is no such login."""
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
    """End every login of *user*, also one that is just beginning, inside the caller's transaction."""
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
    # Comes first: on PostgreSQL this waits for a login that is just beginning, so the next query sees it.
    account = gallery.models.user
    account.update(login_epoch=account.login_epoch + 1).where(account.id == user.id).execute()


def _is_alive(gallery: Gallery) -> Expression:
    """Return the condition for a login that is not over. A login that ends too late was made by a wrong clock."""
    now, login = gallery.now(), gallery.models.login_session
    latest = now + gallery.config.session_lifetime + SLACK
    is_alive: Expression = (login.expires_at > now) & (login.expires_at <= latest)
    return is_alive


def _hash(session_id: str) -> str:
    return hashlib.sha256(session_id.encode()).hexdigest()
