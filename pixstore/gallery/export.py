"""
Every picture of an account as a zip file, made piece by piece: one original at a time is in memory, decrypted.

Albums are folders, pictures are files under their titles, dated by when they were taken. Originals are stored as they are:
photos do not get smaller. A picture whose image cannot be read does not stop the others; a text file at the end names it.
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
_MAX_NAME_BYTES = 200  # file systems take 255, and a number and an extension are to come
_UNUSABLE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)", re.IGNORECASE)  # on Windows
_EARLIEST, _LATEST = (
    datetime(1980, 1, 1, tzinfo=UTC),
    datetime(2107, 12, 31, tzinfo=UTC),
)  # what a zip file can say

logger = logging.getLogger(__name__)


def export_pictures(gallery: Gallery, user: User, *, is_allowed: Callable[[], bool]) -> Iterator[bytes]:
    """
    Yield the zip file of every picture that *user* has now, in pieces.

    It breaks off, so that what was received is no whole zip file, where the database fails or *is_allowed* says no.

    Raises:
        NotThere: If it is not allowed any more.
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
                if row is None:  # deleted meanwhile
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
    """Names for folders and files that every system takes, and each of them once, also where case makes no difference."""

    def __init__(self) -> None:
        self._taken = {MISSING.casefold()}
        self._numbers: dict[str, int] = {}

    def folder(self, title: str) -> str:
        """Return a new name for a folder."""
        return self._unique(_usable(title), "")

    def file(self, folder: str, title: str, extension: str) -> str:
        """Return a new path for a file in *folder*; without one, at the top."""
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
    """Return the pictures of *user*, album by album, oldest first. One that is moved meanwhile is neither lost nor doubled."""
    picture = gallery.models.picture
    query = picture.select(picture.id).where(picture.user == user.id)
    ordered = query.order_by(picture.album, picture.created_at, picture.id)
    return [picture_id for (picture_id,) in gallery.store.database.execute(ordered).fetchall()]


def _title_and_extension(gallery: Gallery, row: Picture) -> tuple[str, str]:
    description = descriptions.open_description(gallery, row)
    return description.title, _EXTENSIONS.get(description.format, description.format)


def _load(gallery: Gallery, row: Picture) -> bytes | None:
    """Return the original of *row*, or ``None`` where it is missing or damaged."""
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
    """A file that can only be written to, and is emptied while it is written."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Keep *data* until it is fetched."""
        self._written.append(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: there is nothing behind this."""

    def close(self) -> None:
        """Do nothing: what was written can still be fetched."""

    def pieces(self) -> Iterator[bytes]:
        """Yield what was written since the last time, in pieces that a server can send at once."""
        written, self._written = self._written, []
        while written:
            data = memoryview(written.pop(0))
            for start in range(0, len(data), PIECE):
                yield bytes(data[start : start + PIECE])
