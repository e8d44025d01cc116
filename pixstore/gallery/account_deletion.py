"""
Deletes an account with its pictures, albums and logins. One transaction removes all of it, or nothing.

The last owner of the installation cannot be deleted, because somebody must be able to manage the accounts.
"""

from typing import NamedTuple

from peewee import IntegrityError

from pixstore.database import lock_rows
from pixstore.errors import ImageNotFound
from pixstore.gallery import Gallery, accounts, albums, sessions
from pixstore.gallery.errors import InvalidInput, NotThere
from pixstore.gallery.models import User
from pixstore.gallery.sessions import CheckedAccount


class Belongings(NamedTuple):
    """How many albums and pictures are deleted with an account."""

    albums: int
    pictures: int


def belongings(gallery: Gallery, user: User) -> Belongings:
    """Return what would be deleted with *user*."""
    album, picture = gallery.models.album, gallery.models.picture
    return Belongings(
        int(album.select().where(album.user == user.id).count()),
        int(picture.select().where(picture.user == user.id).count()),
    )


def is_last_owner(gallery: Gallery, user: User) -> bool:
    """Tell whether *user* is the only enabled owner, who alone can manage the accounts."""
    account = gallery.models.user
    others = account.is_owner & account.disabled_at.is_null() & (account.id != user.id)
    return bool(user.is_owner) and not account.select().where(others).exists()


def delete_user(gallery: Gallery, user: User, *, typed_name: str, by: CheckedAccount) -> None:
    """
    Remove *user* with every picture, album and login, if *typed_name* is the name of the account.

    Raises:
        InvalidInput: If it is another name, if *user* is the last owner, or if pictures were added or removed
            in the meantime.
        AccountChanged: If the account *by* has changed since its password was checked.
        NotThere: If *user* is deleted already.
    """
    if accounts.normal_name(typed_name) != user.name:
        raise InvalidInput("name", f"Please type the name of the account, {user.name}.")
    _refuse_last_owner(gallery, user)
    image_ids = _image_ids(gallery, user)
    try:
        with gallery.store.unit_of_work() as work:
            for image_id in albums.existing_images(gallery, image_ids):
                work.delete(image_id)
            work.also(lambda: _remove_pictures(gallery, user, count=len(image_ids) // 2))
            work.also(lambda: _remove_account(gallery, user, by))
    except (ImageNotFound, IntegrityError):
        raise _changed() from None


def _image_ids(gallery: Gallery, user: User) -> list[str]:
    """Return the ids of the original and the thumbnail of every picture."""
    picture = gallery.models.picture
    query = picture.select(picture.original_id, picture.thumbnail_id).where(picture.user == user.id)
    rows = gallery.store.database.execute(query).fetchall()
    return [image_id for row in rows for image_id in row]


def _remove_pictures(gallery: Gallery, user: User, *, count: int) -> None:
    """
    Remove the rows of pictures and albums, inside the unit's transaction.

    Refuse if the number of pictures is not *count*.
    """
    album, picture = gallery.models.album, gallery.models.picture
    if picture.delete().where(picture.user == user.id).execute() != count:
        raise _changed()
    album.delete().where(album.user == user.id).execute()


def _remove_account(gallery: Gallery, user: User, by: CheckedAccount) -> None:
    """Remove the account and its logins, inside the unit's transaction."""
    account = gallery.models.user
    # If two owners delete their accounts at the same time, one waits here for the other.
    lock_rows(account.select().where(account.is_owner).order_by(account.id), gallery.store.database).execute()
    sessions.lock_unchanged(gallery, by)
    _refuse_last_owner(gallery, user)
    sessions.end_all(gallery, user)
    if not account.delete().where(account.id == user.id).execute():
        raise NotThere("There is no such account.")


def _refuse_last_owner(gallery: Gallery, user: User) -> None:
    if is_last_owner(gallery, user):
        raise InvalidInput("account", "The only owner of this gallery cannot be deleted.")


def _changed() -> InvalidInput:
    return InvalidInput("account", "Pictures were added or removed just now. Please look again.")
