"""
Albums of a user. Every function takes the user, and finds only the albums of that user.

An album's ``dir`` is random and becomes the namespace of the image ids uploaded into it. A picture that moves to another
album keeps its image ids. Titles are sealed, so they are compared and sorted here, not in the database.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

from peewee import JOIN, fn

from pixstore.gallery import Gallery, titles
from pixstore.gallery.errors import InvalidInput, NotThere
from pixstore.gallery.models import Album, Picture, User
from pixstore.ids import new_key

DEFAULT_TITLE = "My pictures"


@dataclass(frozen=True)
class AlbumView:
    """An album with its title opened."""

    dir: str
    title: str
    is_default: bool


@dataclass(frozen=True)
class AlbumSummary:
    """An album in the list of albums. ``cover`` is the row of its newest picture."""

    album: AlbumView
    picture_count: int
    cover: Picture | None


def get_album(gallery: Gallery, user: User, album_dir: str) -> AlbumView:
    """
    Return the album *album_dir* of *user*.

    Raises:
        NotThere: If *user* has no such album.
    """
    album = gallery.models.album
    row = album.get_or_none((album.dir == album_dir) & (album.user == user.id))
    if row is None:
        raise NotThere("There is no such album.")
    return _view(gallery, row)


def default_album(gallery: Gallery, user: User) -> AlbumView:
    """Return the default album, which takes pictures without another album. Every account is made with one."""
    album = gallery.models.album
    return _view(gallery, album.get((album.user == user.id) & album.is_default))


def list_albums(gallery: Gallery, user: User) -> list[AlbumView]:
    """Return every album of *user*, the default one first, then by title."""
    return sorted((_view(gallery, row) for row in _rows(gallery, user)), key=_order)


def summarize(gallery: Gallery, user: User) -> list[AlbumSummary]:
    """Return every album of *user* with its size and cover, in two queries."""
    album, picture = gallery.models.album, gallery.models.picture
    newest = picture.alias()
    newest_id = (
        newest.select(newest.id)
        .where(newest.album == album.dir)
        .order_by(newest.created_at.desc(), newest.id.desc())
        .limit(1)
    )
    rows = (
        album.select(album, picture)
        .join(picture, JOIN.LEFT_OUTER, on=(picture.id == newest_id), attr="cover")
        .where(album.user == user.id)
    )
    mine = album.select(album.dir).where(album.user == user.id)
    sizes = (
        picture.select(picture.album, fn.COUNT(picture.id))
        .where(picture.album.in_(mine))
        .group_by(picture.album)
    )
    counts = dict(cast(Iterable[tuple[str, int]], sizes.tuples()))
    summaries = [
        AlbumSummary(_view(gallery, row), counts.get(row.dir, 0), getattr(row, "cover", None)) for row in rows
    ]
    return sorted(summaries, key=lambda summary: _order(summary.album))


def count_pictures(gallery: Gallery, album: AlbumView) -> int:
    """Return how many pictures *album* holds."""
    picture = gallery.models.picture
    return int(picture.select().where(picture.album == album.dir).count())


def create_album(gallery: Gallery, user: User, title: str, *, field: str = "title") -> AlbumView:
    """
    Make an album.

    Raises:
        InvalidInput: If the title is not acceptable, or *user* has an album of that title.
    """
    title = titles.clean_title(title, field=field)
    with gallery.transaction():
        _lock(gallery, user)
        if _find(gallery, user, title) is not None:
            raise InvalidInput(field, f"There is already an album called “{title}”.")
        return add_album(gallery, user, title)


def find_or_create_album(gallery: Gallery, user: User, title: str, *, field: str) -> AlbumView:
    """
    Return the album with this title.

    Make it if there is none, so that all files of one upload get into the same new album.

    Raises:
        InvalidInput: If the title is not acceptable.
    """
    title = titles.clean_title(title, field=field)
    with gallery.transaction():
        _lock(gallery, user)
        return _find(gallery, user, title) or add_album(gallery, user, title)


def add_album(
    gallery: Gallery, user: User, title: str, *, is_default: bool = False, album_dir: str = ""
) -> AlbumView:
    """Insert the row of a new album, inside the caller's transaction."""
    album_dir, now = album_dir or new_key(), gallery.now()
    gallery.models.album.create(
        dir=album_dir,
        user=user.id,
        title_sealed=titles.seal_title(gallery, title, of=titles.ALBUM, row_id=album_dir),
        is_default=is_default,
        created_at=now,
        updated_at=now,
    )
    return AlbumView(album_dir, title, is_default)


def rename_album(gallery: Gallery, user: User, album: AlbumView, title: str) -> None:
    """
    Give *album* another title.

    Raises:
        InvalidInput: If the title is not acceptable, or another album of *user* has it.
    """
    title = titles.clean_title(title)
    row = gallery.models.album
    with gallery.transaction():
        _lock(gallery, user)
        namesake = _find(gallery, user, title)
        if namesake is not None and namesake.dir != album.dir:
            raise InvalidInput("title", f"There is already an album called “{title}”.")
        sealed = titles.seal_title(gallery, title, of=titles.ALBUM, row_id=album.dir)
        row.update(title_sealed=sealed, updated_at=gallery.now()).where(row.dir == album.dir).execute()


def delete_album(gallery: Gallery, user: User, album: AlbumView, *, with_pictures: bool) -> None:
    """
    Remove *album*.

    Its pictures are deleted with it, or move to the default album. All of it happens or nothing.

    Raises:
        InvalidInput: If it is the default album, or pictures were added to it in the meantime.
    """
    if album.is_default:
        raise InvalidInput("album", "The album for pictures without another album cannot be deleted.")
    picture = gallery.models.picture
    with gallery.store.unit_of_work() as work:
        doomed = list(picture.select().where(picture.album == album.dir)) if with_pictures else []
        image_ids = [image_id for row in doomed for image_id in (row.original_id, row.thumbnail_id)]
        for image_id in existing_images(gallery, image_ids):
            work.delete(image_id)
        work.also(_remover(gallery, user, album, doomed=len(doomed) if with_pictures else None))


def existing_images(gallery: Gallery, image_ids: list[str]) -> list[str]:
    """
    Return the ids of images that the store still has.

    A picture that has lost an image must still be removable.
    """
    # A query takes a limited number of values.
    portions = (image_ids[start : start + 1000] for start in range(0, len(image_ids), 1000))
    return [image_id for portion in portions for image_id in gallery.store.records(portion)]


def touch(gallery: Gallery, user: User, album: AlbumView) -> None:
    """
    Note, inside the caller's transaction, that *album* has changed.

    This locks the album until the transaction ends, so nobody can delete it. Call it before you count its pictures.

    Raises:
        NotThere: If it has been deleted.
    """
    row = gallery.models.album
    mine = (row.dir == album.dir) & (row.user == user.id)
    if not row.update(updated_at=gallery.now()).where(mine).execute():
        raise NotThere("The album has been deleted in the meantime.")


def _remover(gallery: Gallery, user: User, album: AlbumView, *, doomed: int | None) -> Callable[[], None]:
    row, picture = gallery.models.album, gallery.models.picture

    def remove() -> None:
        inside = picture.album == album.dir
        if doomed is None:
            picture.update(album=default_album(gallery, user).dir).where(inside).execute()
        elif picture.delete().where(inside).execute() != doomed:
            raise InvalidInput("album", "The album has changed in the meantime. Please look again.")
        if not row.delete().where(row.dir == album.dir).execute():
            raise NotThere("There is no such album.")

    return remove


def _view(gallery: Gallery, row: Album) -> AlbumView:
    title = titles.open_title(gallery, row.title_sealed, of=titles.ALBUM, row_id=row.dir)
    return AlbumView(row.dir, title, row.is_default)


def _rows(gallery: Gallery, user: User) -> list[Album]:
    album = gallery.models.album
    return list(album.select().where(album.user == user.id))


def _find(gallery: Gallery, user: User, title: str) -> AlbumView | None:
    for row in _rows(gallery, user):
        album = _view(gallery, row)
        if album.title.casefold() == title.casefold():
            return album
    return None


def _lock(gallery: Gallery, user: User) -> None:
    """
    Make other transactions that change the albums of *user* wait.

    PostgreSQL locks the row; SQLite has one writer anyway.
    """
    row = gallery.models.user
    row.update(created_at=row.created_at).where(row.id == user.id).execute()


def _order(album: AlbumView) -> tuple[bool, str, str]:
    return not album.is_default, album.title.casefold(), album.dir
