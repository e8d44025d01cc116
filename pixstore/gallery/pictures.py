"""
Pictures of a user: adding, showing, changing, removing. Every function takes the user whose pictures are meant.

A picture is an original (kept byte for byte), a thumbnail and a row; they are written in one unit of work, so they
appear, change and go together. Who asks for somebody else's picture gets the answer for one that does not exist.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from peewee import Expression

from pixstore.errors import ImageNotFound
from pixstore.gallery import albums, titles
from pixstore.gallery.errors import InvalidInput, NotThere
from pixstore.gallery.models import Album, Picture, User
from pixstore.gallery.thumbnails import Thumbnail, make_thumbnail
from pixstore.ids import new_key
from pixstore.records import ImageRecord
from pixstore.store import ImageStore

PAGE_SIZE = 48
MAX_RECORDS = 100

_CURSOR = re.compile(r"([0-9]{1,15})-([a-z0-9]{1,64})", re.ASCII)


class Cursor(NamedTuple):
    """A place in the order newest first: right behind the picture it names."""

    created_at: int
    id: str

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """
        Undo ``str``.

        Raises:
            InvalidInput: If *text* is no place.
        """
        match = _CURSOR.fullmatch(text)
        if match is None:
            raise InvalidInput("before", "This link is damaged.")
        return cls(int(match[1]), match[2])

    def __str__(self) -> str:
        return f"{self.created_at}-{self.id}"


@dataclass(frozen=True)
class PictureView:
    """
    A picture as pages show it.

    ``image`` is the record of what is to be shown, thumbnail or original, without its key; ``None`` where the store has
    lost the image.
    """

    id: str
    title: str
    album_dir: str
    format: str
    width: int
    height: int
    size: int
    created_at: int
    updated_at: int
    image: ImageRecord | None


@dataclass(frozen=True)
class Page:
    """Some pictures, newest first, and where the next page begins, if there is one."""

    pictures: list[PictureView]
    next: Cursor | None


@dataclass(frozen=True)
class Neighbours:
    """The pictures beside one, by id, in the order in which it was found."""

    newer: str | None
    older: str | None


# --- reading


def get_picture(user: User, picture_id: str) -> Picture:
    """
    Return the picture *picture_id* of *user*.

    Raises:
        NotThere: If *user* has none like that.
    """
    picture = Picture.get_or_none((Picture.id == picture_id) & (Picture.user == user))
    if picture is None:
        raise NotThere("There is no such picture.")
    return picture


def page(
    store: ImageStore,
    user: User,
    *,
    album: Album | None = None,
    before: Cursor | None = None,
    size: int = PAGE_SIZE,
) -> Page:
    """Return the newest pictures of *user* (in *album*), or those behind *before*, in two queries."""
    wanted = _of(user, album)
    if before is not None:
        wanted &= _older_than(before)
    rows = list(
        Picture.select().where(wanted).order_by(Picture.created_at.desc(), Picture.id.desc()).limit(size + 1)
    )
    shown = rows[:size]
    following = Cursor(shown[-1].created_at, shown[-1].id) if len(rows) > size else None
    return Page(thumbnails(store, shown), following)


def neighbours(user: User, picture: Picture, *, album: Album | None = None) -> Neighbours:
    """Return what stands before and after *picture* among the pictures of *user* (in *album*)."""
    here, every = Cursor(picture.created_at, picture.id), _of(user, album)
    newer = (
        Picture.select(Picture.id).where(every & _newer_than(here)).order_by(Picture.created_at, Picture.id)
    )
    older = Picture.select(Picture.id).where(every & _older_than(here))
    older = older.order_by(Picture.created_at.desc(), Picture.id.desc())
    return Neighbours(*(None if row is None else row.id for row in (newer.first(), older.first())))


def thumbnails(store: ImageStore, rows: Sequence[Picture]) -> list[PictureView]:
    """Return *rows* as pages show them small, with one query for all records."""
    records = store.records(row.thumbnail_id for row in rows)
    return [_view(store, row, records.get(row.thumbnail_id)) for row in rows]


def original(store: ImageStore, picture: Picture) -> PictureView:
    """Return *picture* as its own page shows it."""
    return _view(store, picture, store.records([picture.original_id]).get(picture.original_id))


def records(store: ImageStore, user: User, image_ids: Iterable[str]) -> list[ImageRecord]:
    """
    Return the records, without keys, of those images that belong to pictures of *user*; others are left out.

    Raises:
        InvalidInput: If too many are asked for at once.
    """
    asked = set(image_ids)
    if len(asked) > MAX_RECORDS:
        raise InvalidInput("id", f"Ask for at most {MAX_RECORDS} images at once.")
    is_asked = Picture.original_id.in_(asked) | Picture.thumbnail_id.in_(asked)
    rows = list(
        Picture.select(Picture.original_id, Picture.thumbnail_id).where((Picture.user == user) & is_asked)
    )
    own = {image_id for row in rows for image_id in (row.original_id, row.thumbnail_id)}
    return list(store.records(own & asked).values())


# --- changing


def add_picture(
    store: ImageStore, user: User, album: Album, data: bytes, *, file_name: str | None
) -> Picture:
    """
    Keep *data* as a new picture of *user* in *album*, titled after the file it came from.

    Raises:
        ImageRejected: If it is not an image we accept.
        NotThere: If the album has been deleted in the meantime.
    """
    thumbnail = _thumbnail(store, data)
    picture_id, title, now = new_key(), titles.title_of_file(file_name), store.now()
    about = _details(picture_id, user, albums.view(store, album), title, now, thumbnail)
    with store.unit_of_work() as work:
        kept = work.save(data, album.dir, {"role": "original", **about})
        small = work.save(thumbnail.data, album.dir, {"role": "thumbnail", **about})

        def insert() -> None:
            albums.touch(store, user, album.dir)
            Picture.create(
                id=picture_id,
                user=user,
                album=album,
                title_sealed=titles.seal_title(store, title, of=titles.PICTURE, row_id=picture_id),
                original_id=kept.image_id,
                thumbnail_id=small.image_id,
                format=kept.format,
                width=thumbnail.width,
                height=thumbnail.height,
                size=len(data),
                created_at=now,
                updated_at=now,
            )

        work.also(insert)
    return get_picture(user, picture_id)


def replace_picture(store: ImageStore, user: User, picture: Picture, data: bytes) -> Picture:
    """
    Put *data* in the place of *picture*: same ids, new version of original and thumbnail.

    Raises:
        ImageRejected: If it is not an image we accept.
        NotThere: If the picture has been deleted in the meantime.
    """
    thumbnail = _thumbnail(store, data)
    title = titles.open_title(store, picture.title_sealed, of=titles.PICTURE, row_id=picture.id)
    about = _details(
        picture.id, user, albums.view(store, picture.album), title, picture.created_at, thumbnail
    )
    try:
        with store.unit_of_work() as work:
            kept = work.update(picture.original_id, data, {"role": "original", **about})
            work.update(picture.thumbnail_id, thumbnail.data, {"role": "thumbnail", **about})
            changes = {
                "format": kept.format,
                "width": thumbnail.width,
                "height": thumbnail.height,
                "size": len(data),
                "updated_at": store.now(),
            }
            work.also(lambda: _change(user, picture.id, changes))
    except ImageNotFound:
        raise NotThere("The picture has been deleted in the meantime.") from None
    return get_picture(user, picture.id)


def rename_picture(store: ImageStore, user: User, picture: Picture, title: str) -> None:
    """
    Give *picture* another title.

    Raises:
        InvalidInput: If the title is not acceptable.
    """
    sealed = titles.seal_title(store, titles.clean_title(title), of=titles.PICTURE, row_id=picture.id)
    with store.database.atomic():
        _change(user, picture.id, {"title_sealed": sealed, "updated_at": store.now()})


def move_picture(store: ImageStore, user: User, picture: Picture, album: Album) -> None:
    """
    Put *picture* into another album of the same user.

    Raises:
        NotThere: If the picture or the album has been deleted in the meantime.
    """
    with store.database.atomic():
        albums.touch(store, user, album.dir)
        _change(user, picture.id, {"album": album, "updated_at": store.now()})


def delete_picture(store: ImageStore, user: User, picture: Picture) -> None:
    """
    Remove *picture*, its images and its row.

    Raises:
        NotThere: If it has been deleted in the meantime.
    """

    def remove() -> None:
        if not Picture.delete().where((Picture.id == picture.id) & (Picture.user == user)).execute():
            raise NotThere("The picture has been deleted in the meantime.")

    try:
        with store.unit_of_work() as work:
            for image_id in (picture.original_id, picture.thumbnail_id):
                if store.exists(image_id):  # a picture whose image was lost must still be removable
                    work.delete(image_id)
            work.also(remove)
    except ImageNotFound:
        raise NotThere("The picture has been deleted in the meantime.") from None


# --- parts of the above


def _view(store: ImageStore, row: Picture, image: ImageRecord | None) -> PictureView:
    return PictureView(
        id=row.id,
        title=titles.open_title(store, row.title_sealed, of=titles.PICTURE, row_id=row.id),
        album_dir=row.album_id,
        format=row.format,
        width=row.width,
        height=row.height,
        size=row.size,
        created_at=row.created_at,
        updated_at=row.updated_at,
        image=image,
    )


def _thumbnail(store: ImageStore, data: bytes) -> Thumbnail:
    return make_thumbnail(data, limits=store.config.image_limits, box=store.config.thumbnail_size)


def _details(
    picture_id: str, user: User, album: albums.AlbumView, title: str, created_at: int, shown: Thumbnail
) -> dict[str, Any]:
    """Return what ``recovery`` needs to make the rows again from the blobs alone."""
    return {
        "picture": picture_id,
        "owner": user.name,
        "album": album.dir,
        "album_title": album.title,
        "album_is_default": album.is_default,
        "title": title,
        "created_at": created_at,
        "width": shown.width,
        "height": shown.height,
    }


def _change(user: User, picture_id: str, changes: dict[str, Any]) -> None:
    mine = (Picture.id == picture_id) & (Picture.user == user)
    if not Picture.update(**changes).where(mine).execute():
        raise NotThere("The picture has been deleted in the meantime.")


def _of(user: User, album: Album | None) -> Expression:
    mine: Expression = Picture.user == user
    return mine if album is None else mine & (Picture.album == album)


# The first half of each condition is implied by the second; it lets the index find the place.


def _older_than(place: Cursor) -> Expression:
    condition: Expression = (Picture.created_at <= place.created_at) & (
        (Picture.created_at < place.created_at) | (Picture.id < place.id)
    )
    return condition


def _newer_than(place: Cursor) -> Expression:
    condition: Expression = (Picture.created_at >= place.created_at) & (
        (Picture.created_at > place.created_at) | (Picture.id > place.id)
    )
    return condition
