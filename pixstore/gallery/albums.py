"""
Albums of a user. Every function takes the user whose albums are meant: nobody else's are found.

An album's ``dir`` is random and becomes the namespace of the image ids uploaded into it. A picture that moves to another
album keeps its image ids. Titles are sealed, so they are compared and sorted here, not in the database.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

from peewee import JOIN, fn

from pixstore.gallery import titles
from pixstore.gallery.errors import InvalidInput, NotThere
from pixstore.gallery.models import Album, Picture, User
from pixstore.ids import new_key
from pixstore.store import ImageStore

DEFAULT_TITLE = "My pictures"


@dataclass(frozen=True)
class AlbumView:
    """An album as pages show it."""

    dir: str
    title: str
    is_default: bool


@dataclass(frozen=True)
class AlbumSummary:
    """An album in the list of albums. ``cover`` is its newest picture."""

    album: AlbumView
    picture_count: int
    cover: Picture | None


def get_album(user: User, album_dir: str) -> Album:
    """
    Return the album *album_dir* of *user*.

    Raises:
        NotThere: If *user* has none like that.
    """
    album = Album.get_or_none((Album.dir == album_dir) & (Album.user == user))
    if album is None:
        raise NotThere("There is no such album.")
    return album


def default_album(user: User) -> Album:
    """Return the album that takes what has no other; every account is made with one."""
    return Album.get((Album.user == user) & Album.is_default)


def view(store: ImageStore, album: Album) -> AlbumView:
    """Return *album* with its title opened."""
    title = titles.open_title(store, album.title_sealed, of=titles.ALBUM, row_id=album.dir)
    return AlbumView(album.dir, title, album.is_default)


def list_albums(store: ImageStore, user: User) -> list[AlbumView]:
    """Return every album of *user*, the default one first, then by title."""
    return sorted((view(store, album) for album in Album.select().where(Album.user == user)), key=_order)


def summarize(store: ImageStore, user: User) -> list[AlbumSummary]:
    """Return every album of *user* with its size and cover, in two queries."""
    newest = Picture.alias()
    newest_id = (
        newest.select(newest.id)
        .where(newest.album == Album.dir)
        .order_by(newest.created_at.desc(), newest.id.desc())
        .limit(1)
    )
    rows = (
        Album.select(Album, Picture)
        .join(Picture, JOIN.LEFT_OUTER, on=(Picture.id == newest_id), attr="cover")
        .where(Album.user == user)
    )
    mine = Album.select(Album.dir).where(Album.user == user)
    sizes = (
        Picture.select(Picture.album, fn.COUNT(Picture.id))
        .where(Picture.album.in_(mine))
        .group_by(Picture.album)
    )
    counts = dict(cast(Iterable[tuple[str, int]], sizes.tuples()))
    summaries = [
        AlbumSummary(view(store, row), counts.get(row.dir, 0), getattr(row, "cover", None)) for row in rows
    ]
    return sorted(summaries, key=lambda summary: _order(summary.album))


def count_pictures(album: Album) -> int:
    """Return how many pictures *album* holds."""
    return int(Picture.select().where(Picture.album == album).count())


def create_album(store: ImageStore, user: User, title: str, *, field: str = "title") -> Album:
    """
    Make an album.

    Raises:
        InvalidInput: If the title is not acceptable, or *user* has an album of that title.
    """
    title = titles.clean_title(title, field=field)
    with store.database.atomic():
        _lock(user)
        if _find(store, user, title) is not None:
            raise InvalidInput(field, f"There is already an album called “{title}”.")
        return add_album(store, user, title)


def find_or_create_album(store: ImageStore, user: User, title: str, *, field: str) -> Album:
    """
    Return the album of that title, made if there is none: so every file of one upload lands in the same new album.

    Raises:
        InvalidInput: If the title is not acceptable.
    """
    title = titles.clean_title(title, field=field)
    with store.database.atomic():
        _lock(user)
        return _find(store, user, title) or add_album(store, user, title)


def add_album(
    store: ImageStore, user: User, title: str, *, is_default: bool = False, album_dir: str = ""
) -> Album:
    """Insert the row of a new album, inside the caller's transaction."""
    album_dir, now = album_dir or new_key(), store.now()
    return Album.create(
        dir=album_dir,
        user=user,
        title_sealed=titles.seal_title(store, title, of=titles.ALBUM, row_id=album_dir),
        is_default=is_default,
        created_at=now,
        updated_at=now,
    )


def rename_album(store: ImageStore, user: User, album: Album, title: str) -> None:
    """
    Give *album* another title.

    Raises:
        InvalidInput: If the title is not acceptable, or another album of *user* has it.
    """
    title = titles.clean_title(title)
    with store.database.atomic():
        _lock(user)
        namesake = _find(store, user, title)
        if namesake is not None and namesake.dir != album.dir:
            raise InvalidInput("title", f"There is already an album called “{title}”.")
        sealed = titles.seal_title(store, title, of=titles.ALBUM, row_id=album.dir)
        Album.update(title_sealed=sealed, updated_at=store.now()).where(Album.dir == album.dir).execute()


def delete_album(store: ImageStore, user: User, album: Album, *, with_pictures: bool) -> None:
    """
    Remove *album*; its pictures go too, or else move to the default album. All of it happens, or nothing.

    Raises:
        InvalidInput: If it is the default album, or pictures were added to it in the meantime.
    """
    if album.is_default:
        raise InvalidInput("album", "This album takes the pictures that have no other; it cannot be deleted.")
    with store.unit_of_work() as work:
        doomed = list(Picture.select().where(Picture.album == album)) if with_pictures else []
        for image_id in _existing(
            store, [image for row in doomed for image in (row.original_id, row.thumbnail_id)]
        ):
            work.delete(image_id)
        work.also(_remover(user, album, doomed=len(doomed) if with_pictures else None))


def touch(store: ImageStore, user: User, album_dir: str) -> None:
    """
    Note, inside the caller's transaction, that *album_dir* has changed; this also keeps it from being deleted now.

    Raises:
        NotThere: If it has been deleted.
    """
    mine = (Album.dir == album_dir) & (Album.user == user)
    if not Album.update(updated_at=store.now()).where(mine).execute():
        raise NotThere("The album has been deleted in the meantime.")


def _remover(user: User, album: Album, *, doomed: int | None) -> Callable[[], None]:
    def remove() -> None:
        mine = Picture.album == album
        if doomed is None:
            Picture.update(album=default_album(user)).where(mine).execute()
        elif Picture.delete().where(mine).execute() != doomed:
            raise InvalidInput("album", "The album has changed in the meantime. Please look again.")
        if not Album.delete().where(Album.dir == album.dir).execute():
            raise NotThere("There is no such album.")

    return remove


def _existing(store: ImageStore, image_ids: list[str]) -> list[str]:
    """Leave out images that were lost: what is left of their pictures must still be removable."""
    # In portions: a query takes a limited number of values.
    portions = (image_ids[start : start + 1000] for start in range(0, len(image_ids), 1000))
    return [image_id for portion in portions for image_id in store.records(portion)]


def _find(store: ImageStore, user: User, title: str) -> Album | None:
    for album in list(Album.select().where(Album.user == user)):
        if view(store, album).title.casefold() == title.casefold():
            return album
    return None


def _lock(user: User) -> None:
    """Let one transaction at a time change the albums of *user*. SQLite does so anyway; elsewhere this locks a row."""
    User.update(created_at=User.created_at).where(User.id == user.id).execute()


def _order(album: AlbumView) -> tuple[bool, str, str]:
    return not album.is_default, album.title.casefold(), album.dir
