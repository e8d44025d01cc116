"""
Logins, kept on the server. The signed cookie carries a random session id; the table holds its SHA-256.

A signed cookie alone cannot be taken back. With a row behind it, logout, a new password and a disabled account end a
login at once, and somebody who reads the database cannot log in with what stands there.
"""

import hashlib
import secrets

from pixstore.gallery.models import LoginSession, User
from pixstore.store import ImageStore


def start(store: ImageStore, user: User) -> str:
    """Begin a login of *user* and return its session id, which nobody has seen before."""
    session_id, now = secrets.token_urlsafe(32), store.now()
    with store.database.atomic():
        LoginSession.delete().where(LoginSession.expires_at <= now).execute()
        LoginSession.create(
            id_hash=_hash(session_id),
            user=user,
            created_at=now,
            expires_at=now + store.config.session_lifetime,
        )
    return session_id


def find_user(store: ImageStore, session_id: str) -> User | None:
    """Return who is logged in under *session_id*, or ``None`` if that login is over or never was."""
    is_this = (LoginSession.id_hash == _hash(session_id)) & (LoginSession.expires_at > store.now())
    query = User.select().join(LoginSession).where(is_this & User.disabled_at.is_null())
    return query.first()


def end(store: ImageStore, session_id: str) -> None:
    """End one login."""
    with store.database.atomic():
        LoginSession.delete().where(LoginSession.id_hash == _hash(session_id)).execute()


def end_all(user: User) -> None:
    """End every login of *user*, inside the caller's transaction."""
    LoginSession.delete().where(LoginSession.user == user).execute()


def end_others(store: ImageStore, user: User, session_id: str) -> int:
    """End every login of *user* but this one, and return how many there were."""
    others = (LoginSession.user == user) & (LoginSession.id_hash != _hash(session_id))
    with store.database.atomic():
        return int(LoginSession.delete().where(others).execute())


def count(store: ImageStore, user: User) -> int:
    """Return how many logins of *user* there are now."""
    current = (LoginSession.user == user) & (LoginSession.expires_at > store.now())
    return int(LoginSession.select().where(current).count())


def _hash(session_id: str) -> str:
    return hashlib.sha256(session_id.encode()).hexdigest()
