"""
Pictures of a user: adding, showing, changing, removing. Every function takes the user, or a scope of one, whose pictures are
meant.

A picture is an original (kept byte for byte), a thumbnail and a row; they are written in one unit of work, so they
appear, change and go together. Whoever asks for somebody else's picture gets the answer for one that does not exist.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from pixstore import formats
from pixstore.crypto import Buffer
from pixstore.database import lock_rows
from pixstore.errors import ImageNotFound
from pixstore.formats import InspectedImage
from pixstore.gallery import Gallery, albums, content_ids, descriptions, titles
from pixstore.gallery.albums import AlbumView
from pixstore.gallery.descriptions import Description
from pixstore.gallery.errors import InvalidInput, NotThere
from pixstore.gallery.models import Picture, User
from pixstore.gallery.photo_facts import PhotoFacts
from pixstore.gallery.scopes import Cursor, Scope
from pixstore.gallery.thumbnails import DecodedPicture, decode
from pixstore.ids import new_key
from pixstore.records import ImageRecord

PAGE_SIZE = 48
MAX_RECORDS = 100
FACTS = "gallery/photo-facts"
"""The purpose that photo facts are sealed for. The row id is that of the picture."""
_FACTS_BLOCK = 256


@dataclass(frozen=True)
class PictureView:
    """
    A picture as pages show it. Its records hold no keys. A record is ``None`` if the store has lost the image.

    ``taken_at`` is explained in ``models.Picture``.
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
    taken_at: int
    thumbnail: ImageRecord | None
    original: ImageRecord | None


@dataclass(frozen=True)
class Page:
    """Some pictures of a scope, and where the next page begins, if there is one."""

    pictures: list[PictureView]
    next: Cursor | None


@dataclass(frozen=True)
class Neighbours:
    """The ids of the pictures before and after a picture, in the order of its scope."""

    newer: str | None
    older: str | None


class Upload(NamedTuple):
    """The bytes of a picture to be, inspected and decoded once."""

    image: InspectedImage
    decoded: DecodedPicture

    def described(self, title: str) -> Description:
        """Return the description of this upload, with *title*."""
        image, decoded = self.image, self.decoded
        return Description(title, image.format, decoded.width, decoded.height, len(image.data))


# --- reading


def get_picture(gallery: Gallery, user: User, picture_id: str) -> Picture:
    """
    Return the row of the picture *picture_id* of *user*.

    Raises:
        NotThere: If *user* has no such picture.
    """
    row = gallery.models.picture
    picture = row.get_or_none((row.id == picture_id) & (row.user == user.id))
    if picture is None:
        raise NotThere("There is no such picture.")
    return picture


def page(gallery: Gallery, scope: Scope, *, before: Cursor | None = None, size: int = PAGE_SIZE) -> Page:
    """Return the first pictures of *scope*, or those behind *before*, in two queries."""
    rows = list(scope.newest(gallery.models.picture, before=before).limit(size + 1))
    shown = rows[:size]
    return Page(views(gallery, shown), scope.place_of(shown[-1]) if len(rows) > size else None)


def neighbours(gallery: Gallery, scope: Scope, picture: Picture) -> Neighbours:
    """Return the pictures before and after *picture* in *scope*."""
    here, model = scope.place_of(picture), gallery.models.picture
    newer = scope.oldest(model, after=here).first()
    older = scope.newest(model, before=here).first()
    return Neighbours(*(None if row is None else row.id for row in (newer, older)))


def views(gallery: Gallery, rows: Sequence[Picture]) -> list[PictureView]:
    """Return *rows* as pages show them, with one query for all records."""
    records = gallery.store.records(
        image_id for row in rows for image_id in (row.thumbnail_id, row.original_id)
    )
    return [_view(gallery, row, records) for row in rows]


def view(gallery: Gallery, row: Picture) -> PictureView:
    """Return one row as pages show it."""
    return views(gallery, [row])[0]


def facts_of(gallery: Gallery, row: Picture) -> PhotoFacts:
    """Return the facts of the photo, as read from its file."""
    if row.facts_sealed is None:
        return PhotoFacts()
    return PhotoFacts.from_json(gallery.store.open_text(row.facts_sealed, purpose=FACTS, row_id=row.id))


def records(gallery: Gallery, user: User, image_ids: Iterable[str]) -> list[ImageRecord]:
    """
    Return the records, without keys, of those images that belong to pictures of *user*; others are left out.

    Raises:
        InvalidInput: If too many are asked for at once.
    """
    asked = set(image_ids)
    if len(asked) > MAX_RECORDS:
        raise InvalidInput("id", f"Ask for at most {MAX_RECORDS} images at once.")
    row = gallery.models.picture
    is_asked = row.original_id.in_(asked) | row.thumbnail_id.in_(asked)
    rows = row.select(row.original_id, row.thumbnail_id).where((row.user == user.id) & is_asked)
    own = {image_id for picture in rows for image_id in (picture.original_id, picture.thumbnail_id)}
    return list(gallery.store.records(own & asked).values())


# --- changing


def add_picture(
    gallery: Gallery, user: User, album: AlbumView, data: Buffer, *, file_name: str | None
) -> PictureView:
    """
    Save *data* as a new picture of *user* in *album*. Its title is made from *file_name*.

    Raises:
        ImageRejected: If it is not an image we accept.
        NotThere: If the album has been deleted in the meantime.
    """
    return keep(gallery, user, album, decoded(gallery, data), file_name=file_name)


def decoded(gallery: Gallery, data: Buffer) -> Upload:
    """
    Return *data* inspected and decoded, ready to be kept.

    Raises:
        ImageRejected: If it is not an image we accept.
    """
    config = gallery.config
    image = formats.inspect(data, config.image_limits, decode=False)
    return Upload(image, decode(image, max_pixels=config.max_image_pixels, box=config.thumbnail_size))


def keep(
    gallery: Gallery,
    user: User,
    album: AlbumView,
    upload: Upload,
    *,
    file_name: str | None,
    only_if_new: bool = False,
    content: bytes | None = None,
) -> PictureView:
    """
    Keep *upload* as a new picture of *user* in *album*, titled after the file it came from. *content* is its content id, where
    that is known.

    Raises:
        NotThere: If the album has been deleted in the meantime.
        AlreadyThere: With *only_if_new*, if *user* has the very same file.
    """
    content_id = content or _content_id(gallery, user, upload)
    picture_id, title, now = new_key(), titles.title_of_file(file_name), gallery.now()
    photo = photo_columns(gallery, picture_id, upload.decoded.facts, added_at=now)
    description = upload.described(title)
    about = _details(picture_id, user, album, description, created_at=now, taken_at=photo["taken_at"])
    with gallery.store.unit_of_work() as work:
        kept = work.save(upload.image, album.dir, {"role": "original", **about})
        small = work.save(upload.decoded.thumbnail, album.dir, {"role": "thumbnail", **about})
        row = gallery.models.picture(
            id=picture_id,
            user=user.id,
            album=album.dir,
            original_id=kept.image_id,
            thumbnail_id=small.image_id,
            created_at=now,
            updated_at=now,
            content_id=content_id,
            **photo,
            **descriptions.columns(gallery, description, picture_id=picture_id),
        )
        if only_if_new:
            work.also(lambda: content_ids.refuse_second(gallery, user, content_id))
        work.also(lambda: albums.touch(gallery, user, album))
        work.also(lambda: row.save(force_insert=True))
    return _view(gallery, row, work.records, description=description)


def replace_picture(gallery: Gallery, user: User, picture: Picture, data: Buffer) -> PictureView:
    """
    Replace *picture* by *data*. The ids stay; original and thumbnail get a new version.

    Raises:
        ImageRejected: If it is not an image we accept.
        NotThere: If the picture has been deleted in the meantime.
    """
    upload = decoded(gallery, data)
    photo = photo_columns(gallery, picture.id, upload.decoded.facts, added_at=picture.created_at)
    content = _content_id(gallery, user, upload)
    changes = {**photo, "content_id": content, "updated_at": gallery.now()}
    description = upload.described(descriptions.open_description(gallery, picture).title)
    album = albums.get_album(gallery, user, picture.album_id)
    about = _details(
        picture.id, user, album, description, created_at=picture.created_at, taken_at=photo["taken_at"]
    )
    try:
        with gallery.store.unit_of_work() as work:
            work.update(picture.original_id, upload.image, {"role": "original", **about})
            work.update(picture.thumbnail_id, upload.decoded.thumbnail, {"role": "thumbnail", **about})
            # Take the title at that time: the picture may be renamed in the meantime.
            work.also(
                lambda: _describe(
                    gallery, user, picture.id, lambda now: upload.described(now.title), **changes
                )
            )
    except ImageNotFound:
        raise NotThere("The picture has been deleted in the meantime.") from None
    return view(gallery, get_picture(gallery, user, picture.id))


def rename_picture(gallery: Gallery, user: User, picture: Picture, title: str) -> None:
    """
    Give *picture* another title.

    Raises:
        InvalidInput: If the title is not acceptable.
        NotThere: If the picture has been deleted in the meantime.
    """
    title = titles.clean_title(title)
    with gallery.transaction():
        _describe(gallery, user, picture.id, lambda now: replace(now, title=title), updated_at=gallery.now())


def move_picture(gallery: Gallery, user: User, picture: Picture, album: AlbumView) -> None:
    """
    Put *picture* into another album of the same user.

    Raises:
        NotThere: If the picture or the album has been deleted in the meantime.
    """
    with gallery.transaction():
        albums.touch(gallery, user, album)
        _change(gallery, user, picture.id, {"album": album.dir, "updated_at": gallery.now()})


def delete_picture(gallery: Gallery, user: User, picture: Picture) -> None:
    """
    Remove *picture*, its images and its row.

    Raises:
        NotThere: If it has been deleted in the meantime.
    """
    row = gallery.models.picture

    def remove() -> None:
        if not row.delete().where((row.id == picture.id) & (row.user == user.id)).execute():
            raise NotThere("The picture has been deleted in the meantime.")

    try:
        with gallery.store.unit_of_work() as work:
            for image_id in (picture.original_id, picture.thumbnail_id):
                if gallery.store.exists(image_id):  # a picture whose image was lost must still be removable
                    work.delete(image_id)
            work.also(remove)
    except ImageNotFound:
        raise NotThere("The picture has been deleted in the meantime.") from None


# --- parts of the above


def _view(
    gallery: Gallery,
    row: Picture,
    image_records: dict[str, ImageRecord],
    *,
    description: Description | None = None,
) -> PictureView:
    """Return *row* as pages show it. With *description*, the sealed one need not be opened."""
    description = description or descriptions.open_description(gallery, row)
    return PictureView(
        id=row.id,
        title=description.title,
        album_dir=row.album_id,
        format=description.format,
        width=description.width,
        height=description.height,
        size=description.size,
        created_at=row.created_at,
        updated_at=row.updated_at,
        taken_at=row.taken_at,
        thumbnail=image_records.get(row.thumbnail_id),
        original=image_records.get(row.original_id),
    )


def _content_id(gallery: Gallery, user: User, upload: Upload) -> bytes:
    return content_ids.content_id(content_ids.key_of(gallery, user), upload.image.data)


def photo_columns(gallery: Gallery, picture_id: str, facts: PhotoFacts, *, added_at: int) -> dict[str, Any]:
    """Return the columns for the facts of the photo."""
    text = titles.padded(facts.to_json(), _FACTS_BLOCK)
    sealed = gallery.store.seal_text(text, purpose=FACTS, row_id=picture_id)
    return {"taken_at": added_at if facts.taken_at is None else facts.taken_at, "facts_sealed": sealed}


def _details(
    picture_id: str,
    user: User,
    album: AlbumView,
    description: Description,
    *,
    created_at: int,
    taken_at: int,
) -> dict[str, Any]:
    """Return the details from which ``recovery`` can make the rows again without the database."""
    return {
        "picture": picture_id,
        "owner": user.name,
        "album": album.dir,
        "album_title": album.title,
        "album_is_default": album.is_default,
        "title": description.title,
        "created_at": created_at,
        "taken_at": taken_at,
        "width": description.width,
        "height": description.height,
    }


def _describe(
    gallery: Gallery,
    user: User,
    picture_id: str,
    change: Callable[[Description], Description],
    **changes: object,
) -> None:
    """Change the description of a picture, and other columns, inside the caller's transaction."""
    row = gallery.models.picture
    mine = row.select().where((row.id == picture_id) & (row.user == user.id))
    current = lock_rows(mine, gallery.store.database).first()
    if current is None:
        raise NotThere("The picture has been deleted in the meantime.")
    description = change(descriptions.open_description(gallery, current))
    sealed = descriptions.columns(gallery, description, picture_id=picture_id)
    _change(gallery, user, picture_id, {**sealed, **changes})


def _change(gallery: Gallery, user: User, picture_id: str, changes: dict[str, Any]) -> None:
    row = gallery.models.picture
    mine = (row.id == picture_id) & (row.user == user.id)
    if not row.update(**changes).where(mine).execute():
        raise NotThere("The picture has been deleted in the meantime.")
