"""
Makes accounts, albums and pictures again after the database was lost, from the details in each blob.

Pictures and albums get the ids, owners and titles with which they were uploaded. An account comes back
without its password: it is disabled until somebody sets a new one (`flask pixstore reset-password`, or the
set-up link for the owner's account). A second run changes nothing: rows that exist are left as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pixstore import ids
from pixstore.details import Details
from pixstore.errors import PixstoreError
from pixstore.formats import InspectedImage
from pixstore.gallery import Gallery, accounts, albums, descriptions
from pixstore.gallery.descriptions import Description
from pixstore.gallery.models import User
from pixstore.gallery.thumbnails import decode
from pixstore.maintenance.rebuild import RebuiltImage


@dataclass
class RecoveryReport:
    """How much was made, and the ids of pictures that are lost because their original is missing or unreadable."""

    users: int = 0
    albums: int = 0
    pictures: int = 0
    lost: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _About:
    """The checked details of one image of the gallery."""

    role: str
    picture: str
    owner: str
    album: str
    album_title: str
    album_is_default: bool
    title: str
    created_at: int
    width: int
    height: int
    taken_at: int


@dataclass(frozen=True)
class _Original:
    """The original of one picture, and the id of its thumbnail."""

    about: _About
    image_id: str
    details: Details
    thumbnail_id: str | None


def recover(gallery: Gallery, images: Sequence[RebuiltImage]) -> RecoveryReport:
    """
    Make the rows of the pictures to which *images* belong, newest first, and report what was made.

    Images of other programs are left alone. A picture that has lost its thumbnail gets a new one.
    """
    done = RecoveryReport()
    row = gallery.models.picture
    with gallery.store.connected():
        for original in _originals(images, done):
            if row.get_or_none(row.id == original.about.picture) is None:
                _recover_picture(gallery, original, done)
    return done


def _originals(images: Sequence[RebuiltImage], done: RecoveryReport) -> list[_Original]:
    found: dict[str, tuple[_About, RebuiltImage]] = {}
    thumbnail_ids: dict[str, str] = {}
    for image in images:
        about = _about(image.details.extra)
        if about is not None and about.role == "original":
            found[about.picture] = (about, image)
        elif about is not None:
            thumbnail_ids[about.picture] = image.image_id
    done.lost = sorted(thumbnail_ids.keys() - found.keys())
    originals = [
        _Original(about, image.image_id, image.details, thumbnail_ids.get(about.picture))
        for about, image in found.values()
    ]
    # Newest first, so that an album gets its latest title.
    return sorted(originals, key=lambda original: original.about.created_at, reverse=True)


def _about(extra: Mapping[str, Any]) -> _About | None:
    """Return the checked *extra*, or ``None`` if another program than the gallery saved the image."""
    # Blobs of release 0.1 do not say when the photo was taken.
    extra = {"taken_at": extra.get("created_at"), **extra}
    values = {name: extra.get(name) for name in _About.__annotations__}
    if not all(isinstance(values[name], kind) for name, kind in _About.__annotations__.items()):
        return None
    about = _About(**values)  # type: ignore[arg-type] # checked above
    is_ours = about.role in {"original", "thumbnail"} and ids.is_image_id(f"{about.album}:{about.picture}")
    return about if is_ours else None


def _recover_picture(gallery: Gallery, original: _Original, done: RecoveryReport) -> None:
    about = original.about
    try:
        thumbnail_id = original.thumbnail_id or _new_thumbnail(gallery, original)
    except PixstoreError:
        done.lost.append(about.picture)
        return
    details = original.details
    description = Description(about.title, details.format, about.width, about.height, details.size)
    with gallery.transaction():
        user = _user(gallery, about.owner, done)
        gallery.models.picture.create(
            id=about.picture,
            user=user.id,
            album=_album_dir(gallery, user, about, done),
            original_id=original.image_id,
            thumbnail_id=thumbnail_id,
            created_at=about.created_at,
            updated_at=about.created_at,
            taken_at=about.taken_at,
            **descriptions.columns(gallery, description, picture_id=about.picture),
        )
    done.pictures += 1


def _new_thumbnail(gallery: Gallery, original: _Original) -> str:
    config, about = gallery.config, original.about
    image = InspectedImage(
        gallery.store.load(original.image_id), original.details.format, about.width, about.height
    )
    decoded = decode(image, max_pixels=config.max_image_pixels, box=config.thumbnail_size)
    return gallery.store.save(decoded.thumbnail, about.album, {**asdict(about), "role": "thumbnail"}).id


def _user(gallery: Gallery, name: str, done: RecoveryReport) -> User:
    user = accounts.find_user(gallery, name)
    if user is None:
        user = accounts.add_user(gallery, name)
        done.users += 1
    return user


def _album_dir(gallery: Gallery, user: User, about: _About, done: RecoveryReport) -> str:
    """
    Return the album of the picture, and make it if it is missing.

    If another user has it, return the default album.
    """
    row = gallery.models.album
    there = row.get_or_none(row.dir == about.album)
    if there is not None:
        return there.dir if there.user_id == user.id else albums.default_album(gallery, user).dir
    is_default = about.album_is_default and _gives_up_default(gallery, user)
    albums.add_album(gallery, user, about.album_title, is_default=is_default, album_dir=about.album)
    done.albums += 1
    return about.album


def _gives_up_default(gallery: Gallery, user: User) -> bool:
    """
    Remove the default album of a new account if it is empty.

    Tell whether another album can be the default now.
    """
    given, row = albums.default_album(gallery, user), gallery.models.album
    if albums.count_pictures(gallery, given):
        return False
    return bool(row.delete().where(row.dir == given.dir).execute())
