"""
Exports every picture of an account as a zip file.

It is made piece by piece: one decrypted original is in memory at a time.

Albums are folders. Pictures are files named after their titles, with the date at which they were taken.
Originals are stored uncompressed, because photos do not get smaller. If a picture cannot be read, the export
goes on; a text file at the end names it.
"""

import logging
import re
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from pixstore.errors import DatabaseUnavailable, PixstoreError
from pixstore.gallery import Gallery, albums, descriptions
from pixstore.gallery.errors import NotThere
from pixstore.gallery.models import Picture, User

PIECE = 64 * 1024
MISSING = "Not exported.txt"

_EXTENSIONS = {"tiff": "tif"}
_MAX_NAME_BYTES = 200  # file systems take 255; a number and an extension are added later
_UNUSABLE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)", re.IGNORECASE)  # on Windows
_EARLIEST, _LATEST = (
    datetime(1980, 1, 1, tzinfo=UTC),
    datetime(2107, 12, 31, tzinfo=UTC),
)  # the times that a zip file can hold

logger = logging.getLogger(__name__)


def export_pictures(gallery: Gallery, user: User, *, is_allowed: Callable[[], bool]) -> Iterator[bytes]:
    """
    Yield the zip file of every picture that *user* has now, in pieces.

    If the database fails or *is_allowed* returns false, it stops early, so that the received file is not a
    valid zip file.

    Raises:
        NotThere: If *is_allowed* returns false.
    """
    pipe, names, missing = _Pipe(), FileNames(), []
    with gallery.store.connected():
        picture_ids = _picture_ids(gallery, user)
        folders = {album.dir: names.folder(album.title) for album in albums.list_albums(gallery, user)}
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        for picture_id in picture_ids:
            with gallery.store.connected():
                if not is_allowed():
                    raise NotThere("This login has ended.")
                row = gallery.models.picture.get_or_none(gallery.models.picture.id == picture_id)
                if row is None:  # deleted in the meantime
                    continue
                path = names.file(folders.get(row.album_id, ""), *_title_and_extension(gallery, row))
                original = _load(gallery, row)
            if original is None:
                missing.append(path)
            else:
                archive.writestr(_entry(path, row.taken_at), original)
                del original
                yield from pipe.pieces()
        if missing:
            archive.writestr(_entry(MISSING, gallery.now()), _about(missing))
    yield from pipe.pieces()


class FileNames:
    """Makes names of folders and files that are valid on every system, and unique even if case is ignored."""

    def __init__(self) -> None:
        self._taken = {MISSING.casefold()}
        self._numbers: dict[str, int] = {}

    def folder(self, title: str) -> str:
        """Return a new name for a folder."""
        return self._unique(_usable(title), "")

    def file(self, folder: str, title: str, extension: str) -> str:
        """Return a new path for a file in *folder*, or at the top if *folder* is empty."""
        return self._unique(f"{folder}/{_usable(title)}" if folder else _usable(title), f".{extension}")

    def _unique(self, base: str, ending: str) -> str:
        plain = name = f"{base}{ending}"
        number = self._numbers.get(plain.casefold(), 1)
        while name.casefold() in self._taken:
            number += 1
            name = f"{base} ({number}){ending}"
        self._numbers[plain.casefold()] = number
        self._taken.add(name.casefold())
        return name


def _usable(title: str) -> str:
    name = _UNUSABLE.sub("_", title).encode()[:_MAX_NAME_BYTES].decode(errors="ignore").strip(" .")
    return f"_{name}" if not name or _RESERVED.match(name) else name


def _picture_ids(gallery: Gallery, user: User) -> list[str]:
    """
    Return the ids of all pictures, album by album, oldest first.

    A picture moved during the export appears exactly once.
    """
    picture = gallery.models.picture
    query = picture.select(picture.id).where(picture.user == user.id)
    ordered = query.order_by(picture.album, picture.created_at, picture.id)
    return [picture_id for (picture_id,) in gallery.store.database.execute(ordered).fetchall()]


def _title_and_extension(gallery: Gallery, row: Picture) -> tuple[str, str]:
    description = descriptions.open_description(gallery, row)
    return description.title, _EXTENSIONS.get(description.format, description.format)


def _load(gallery: Gallery, row: Picture) -> bytes | None:
    """Return the original of *row*, or ``None`` if it is missing or damaged."""
    try:
        return gallery.store.load(row.original_id)
    except DatabaseUnavailable:
        raise
    except PixstoreError:
        logger.exception("the picture %s could not be exported", row.id)
        return None


def _entry(path: str, time: int) -> zipfile.ZipInfo:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time)
    moment = min(max(moment, _EARLIEST), _LATEST)
    entry = zipfile.ZipInfo(path, moment.timetuple()[:6])
    entry.external_attr = 0o600 << 16
    return entry


def _about(missing: list[str]) -> str:
    lines = [
        "These pictures are missing or damaged on the server, so they are not in this file:",
        "",
        *missing,
    ]
    return "\r\n".join(lines) + "\r\n"


class _Pipe:
    """A write-only file for ``zipfile``. ``pieces`` takes the data out while more is written."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Keep *data* until ``pieces`` yields it."""
        self._written.append(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: there is no buffer."""

    def close(self) -> None:
        """Do nothing: ``pieces`` can still yield the data."""

    def pieces(self) -> Iterator[bytes]:
        """Yield the data written since the last call, in pieces of at most ``PIECE`` bytes."""
        written, self._written = self._written, []
        while written:
            data = memoryview(written.pop(0))
            for start in range(0, len(data), PIECE):
                yield bytes(data[start : start + PIECE])
