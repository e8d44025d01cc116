"""
Logins, kept on the server. The signed cookie carries a random session id; the table holds its SHA-256.

A signed cookie alone cannot be taken back. With a row behind it, logout, a new password and a disabled account end a
login at once, and somebody who reads the database cannot log in with what stands there.
"""

import hashlib
import secrets

from pixstore.gallery import Gallery
from pixstore.gallery.models import User


def start(gallery: Gallery, user: User) -> str:
    """Begin a login of *user* and return its session id, which nobody has seen before."""
    session_id, now, login = secrets.token_urlsafe(32), gallery.now(), gallery.models.login_session
    with gallery.transaction():
        login.delete().where(login.expires_at <= now).execute()
        login.create(
            id_hash=_hash(session_id),
            user=user.id,
            created_at=now,
            expires_at=now + gallery.config.session_lifetime,
        )
    return session_id


def find_user(gallery: Gallery, session_id: str) -> User | None:
    """Return who is logged in under *session_id*, or ``None`` if that login is over or never was."""
    user, login = gallery.models.user, gallery.models.login_session
    is_this = (login.id_hash == _hash(session_id)) & (login.expires_at > gallery.now())
    query = user.select().join(login, on=(login.user == user.id))
    return query.where(is_this & user.disabled_at.is_null()).first()


def end(gallery: Gallery, session_id: str) -> None:
    """End one login."""
    login = gallery.models.login_session
    with gallery.transaction():
        login.delete().where(login.id_hash == _hash(session_id)).execute()


def end_all(gallery: Gallery, user: User) -> None:
    """End every login of *user*, inside the caller's transaction."""
    login = gallery.models.login_session
    login.delete().where(login.user == user.id).execute()


def end_others(gallery: Gallery, user: User, session_id: str) -> int:
    """End every login of *user* but this one, and return how many there were."""
    login = gallery.models.login_session
    others = (login.user == user.id) & (login.id_hash != _hash(session_id))
    with gallery.transaction():
        return int(login.delete().where(others).execute())


def count(gallery: Gallery, user: User) -> int:
    """Return how many logins of *user* there are now."""
    login = gallery.models.login_session
    current = (login.user == user.id) & (login.expires_at > gallery.now())
    return int(login.select().where(current).count())


def _hash(session_id: str) -> str:
    return hashlib.sha256(session_id.encode()).hexdigest()
