"""
Which files an account has already: a keyed hash of the bytes of each original, its *content id*.

Each account has a content key of its own. It is random, made when it is first needed, and lies sealed in the row of the account.
So the database does not tell which file a picture is, nor whether two accounts have the same one. The key moves to a new
store key with the other sealed texts, and lasts as long as the account: a new service secret or master key changes no content
id. An account that was recovered without its database gets a new key, and its pictures are read again.
"""

import hmac
import secrets

from pixstore.crypto import KEY_SIZE
from pixstore.database import lock_rows
from pixstore.gallery import Gallery
from pixstore.gallery.errors import AlreadyThere, NotThere
from pixstore.gallery.models import User

CONTENT_KEY = "gallery/content-key"
"""What a content key is sealed for, with the id of its account."""


def content_id(key: bytes, data: bytes) -> bytes:
    """Return the content id of *data* in the account whose content key is *key*."""
    return hmac.digest(key, data, "sha256")


def known_key(gallery: Gallery, user: User) -> bytes | None:
    """Return the content key of *user*, or ``None`` if nothing has needed one yet."""
    account = gallery.models.user
    row = account.get_or_none(account.id == user.id)
    return None if row is None else _opened(gallery, row)


def key_of(gallery: Gallery, user: User) -> bytes:
    """
    Return the content key of *user*, made if there is none.

    Raises:
        NotThere: If the account has been deleted.
    """
    if (key := _opened(gallery, user)) is not None:
        return key
    account = gallery.models.user
    with gallery.transaction():
        row = lock_rows(account.select().where(account.id == user.id), gallery.store.database).first()
        if row is None:
            raise NotThere("There is no such account.")
        if (key := _opened(gallery, row)) is not None:
            return key
        key = secrets.token_bytes(KEY_SIZE)
        sealed = gallery.store.seal_text(key.hex(), purpose=CONTENT_KEY, row_id=user.id)
        account.update(content_key_sealed=sealed).where(account.id == user.id).execute()
        return key


def is_there(gallery: Gallery, user: User, content: bytes) -> bool:
    """Tell whether *user* has a picture with this content id."""
    picture = gallery.models.picture
    mine = (picture.user == user.id) & (picture.content_id == content)
    return bool(picture.select().where(mine).exists())


def refuse_second(gallery: Gallery, user: User, content: bytes) -> None:
    """
    Make sure, inside the caller's transaction, that *user* has no picture with this content id, and gets none meanwhile.

    Raises:
        AlreadyThere: If there is one.
    """
    account = gallery.models.user
    lock_rows(account.select(account.id).where(account.id == user.id), gallery.store.database).execute()
    if is_there(gallery, user, content):
        raise AlreadyThere


def _opened(gallery: Gallery, row: User) -> bytes | None:
    if row.content_key_sealed is None:
        return None
    return bytes.fromhex(gallery.store.open_text(row.content_key_sealed, purpose=CONTENT_KEY, row_id=row.id))
