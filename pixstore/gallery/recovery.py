"""
Accounts, albums and pictures made again from the details that each blob carries: for a store whose database was lost.

Picture and album get the ids, owner and titles they were uploaded with. An account comes back without its password: it
is disabled until somebody sets one (`flask pixstore reset-password`, or the set-up link for the account of the owner).
Running it again changes nothing; what exists already is left as it is. ``reseal_titles`` is the other thing that
maintenance asks of the gallery.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from peewee import TextField

from pixstore import ids
from pixstore.errors import PixstoreError
from pixstore.gallery import accounts, albums, titles
from pixstore.gallery.models import Album, Picture, User
from pixstore.gallery.thumbnails import make_thumbnail
from pixstore.store import ImageStore

BATCH = 500

RecoveredImage = tuple[str, str, int, Mapping[str, Any]]
"""Image id, format, size in bytes, and the details that were given to ``save``."""


@dataclass
class Recovery:
    """What was made, and the ids of pictures that could not be: their original is missing or unreadable."""

    users: int = 0
    albums: int = 0
    pictures: int = 0
    lost: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _About:
    """The details of one image of the gallery, each of the type it must have."""

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


@dataclass(frozen=True)
class _Found:
    """The images that belong to one picture."""

    about: _About
    original: tuple[str, str, int]
    thumbnail_id: str | None


def recover(store: ImageStore, images: Iterable[RecoveredImage]) -> Recovery:
    """
    Make the rows for those of *images* that belong to pictures, newest first, and tell what was made.

    Images of anybody else's making are left alone. A picture that lost its thumbnail gets a new one.
    """
    done = Recovery()
    with store.connected():
        for picture in _grouped(images, done):
            if Picture.get_or_none(Picture.id == picture.about.picture) is None:
                _recover_picture(store, picture, done)
    return done


def reseal_titles(store: ImageStore) -> int:
    """Seal every title again, under the store key that is active now; return how many there were."""
    kinds = ((Album, Album.dir, titles.ALBUM), (Picture, Picture.id, titles.PICTURE))
    return sum(_reseal(store, model, key, of) for model, key, of in kinds)


def _reseal(store: ImageStore, model: type[Album | Picture], key: "TextField[str]", of: str) -> int:
    done, last = 0, ""
    while True:
        with store.connected(), store.database.atomic():
            query = model.select(key, model.title_sealed).where(key > last).order_by(key).limit(BATCH)
            rows = cast(list[tuple[str, bytes]], list(query.tuples()))
            for row_id, sealed in rows:
                title = titles.open_title(store, sealed, of=of, row_id=row_id)
                again = titles.seal_title(store, title, of=of, row_id=row_id)
                # Not over a title that was changed since it was read.
                model.update(title_sealed=again).where(
                    (key == row_id) & (model.title_sealed == sealed)
                ).execute()
                last = row_id
        if not rows:
            return done
        done += len(rows)


def _grouped(images: Iterable[RecoveredImage], done: Recovery) -> list[_Found]:
    originals: dict[str, tuple[_About, tuple[str, str, int]]] = {}
    thumbnail_ids: dict[str, str] = {}
    for image_id, image_format, size, details in images:
        about = _about(details)
        if about is not None and about.role == "original":
            originals[about.picture] = (about, (image_id, image_format, size))
        elif about is not None:
            thumbnail_ids[about.picture] = image_id
    done.lost = sorted(thumbnail_ids.keys() - originals.keys())
    found = [_Found(about, image, thumbnail_ids.get(about.picture)) for about, image in originals.values()]
    # Newest first: an album gets the title it had last.
    return sorted(found, key=lambda picture: picture.about.created_at, reverse=True)


def _about(details: Mapping[str, Any]) -> _About | None:
    """Return *details* checked, or ``None`` where they are not the gallery's: any program may save images here."""
    values = {name: details.get(name) for name in _About.__annotations__}
    if not all(isinstance(values[name], kind) for name, kind in _About.__annotations__.items()):
        return None
    about = _About(**values)  # type: ignore[arg-type] # checked above
    is_ours = about.role in {"original", "thumbnail"} and ids.is_image_id(f"{about.album}:{about.picture}")
    return about if is_ours else None


def _recover_picture(store: ImageStore, found: _Found, done: Recovery) -> None:
    about = found.about
    image_id, image_format, size = found.original
    try:
        thumbnail_id = found.thumbnail_id or _new_thumbnail(store, image_id, about)
    except PixstoreError:
        done.lost.append(about.picture)
        return
    with store.database.atomic():
        user = _user(store, about.owner, done)
        Picture.create(
            id=about.picture,
            user=user,
            album=_album(store, user, about, done),
            title_sealed=titles.seal_title(store, about.title, of=titles.PICTURE, row_id=about.picture),
            original_id=image_id,
            thumbnail_id=thumbnail_id,
            format=image_format,
            width=about.width,
            height=about.height,
            size=size,
            created_at=about.created_at,
            updated_at=about.created_at,
        )
    done.pictures += 1


def _new_thumbnail(store: ImageStore, image_id: str, about: _About) -> str:
    config = store.config
    made = make_thumbnail(store.load(image_id), limits=config.image_limits, box=config.thumbnail_size)
    return store.save(made.data, about.album, {**asdict(about), "role": "thumbnail"}).id


def _user(store: ImageStore, name: str, done: Recovery) -> User:
    user = accounts.find_user(name)
    if user is None:
        user = accounts.add_user(store, name)
        done.users += 1
    return user


def _album(store: ImageStore, user: User, about: _About, done: Recovery) -> Album:
    album = Album.get_or_none(Album.dir == about.album)
    if album is None:
        is_default = about.album_is_default and _gives_up_default(user)
        album = albums.add_album(store, user, about.album_title, is_default=is_default, album_dir=about.album)
        done.albums += 1
    return album if album.user_id == user.id else albums.default_album(user)


def _gives_up_default(user: User) -> bool:
    """Remove the empty default album that a new account was given; tell whether the old one can be it again."""
    given = albums.default_album(user)
    return albums.count_pictures(given) == 0 and bool(given.delete_instance())
