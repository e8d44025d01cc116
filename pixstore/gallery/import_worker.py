"""
One process of an import: it takes file after file, and adds each to the account, or says why not.

While one file is read and decoded, those before it are stored, so the processor does not wait for the disk. The process opens the store for itself, so no connection and no thread crosses from one process to another. It ends when the process
that started it ends, however that ends. Imports ``import_source``, ``pictures``, ``albums``, ``content_ids``.
"""

import logging
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock, Thread
from typing import Literal, NamedTuple

import peewee

from pixstore.config import Config
from pixstore.errors import ImageRejected, PixstoreError, StorageError
from pixstore.gallery import Gallery, accounts, albums, content_ids, pictures, titles
from pixstore.gallery.albums import AlbumView
from pixstore.gallery.errors import AlreadyThere, NotThere
from pixstore.gallery.import_source import ImportSource, SourceFile
from pixstore.store import ImageStore

Became = Literal["added", "already there", "not an image", "refused", "stopped"]
"""What became of a file. After "stopped" no other file would fare better: the store has failed."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ImportTask:
    """What every process of an import has to know."""

    root: Path
    user_id: str
    content_key: bytes = field(repr=False)
    top_album: str | None = None
    """The title of the album for the files at the top; without one it is the default album."""
    dry_run: bool = False

    def album_title(self, source: SourceFile) -> str | None:
        """Return the title of the album for *source*, or ``None`` for the default album."""
        return titles.title_of_folder(source.folder) if source.folder else self.top_album


class Outcome(NamedTuple):
    """What became of one file, and why; with the content id of what was added."""

    became: Became
    reason: str = ""
    content: bytes = b""


def serve(connections: Sequence[Connection], config: Config, task: ImportTask) -> None:
    """
    Answer every ``SourceFile`` that comes through one of *connections* with its ``Outcome``. The first answer of each says: ready.

    A thread serves each connection. One of them at a time reads and decodes a file, while the others store theirs.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one says when it ends
    try:
        store = ImageStore.open(config)
        try:
            _serve_all(connections, Gallery.open(store), task)
        finally:
            store.close()
    except (PixstoreError, NotThere) as error:
        for connection in connections:
            with suppress(OSError):
                connection.send(Outcome("stopped", str(error)))


def _serve_all(connections: Sequence[Connection], gallery: Gallery, task: ImportTask) -> None:
    importer = FileImporter(gallery, task)
    threads = [Thread(target=_serve_one, args=(connection, importer)) for connection in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _serve_one(connection: Connection, importer: "FileImporter") -> None:
    with suppress(EOFError, OSError):  # the process at the other end has ended
        connection.send(None)
        while True:
            connection.send(importer.take(connection.recv()))


class FileImporter:
    """Adds files to one account of an open gallery. Threads may share it."""

    def __init__(self, gallery: Gallery, task: ImportTask) -> None:
        self._gallery = gallery
        self._task = task
        self._source = ImportSource(task.root)
        with gallery.store.connected():
            self._user = accounts.get_user(gallery, task.user_id)
        self._albums: dict[str | None, AlbumView] = {}
        self._reading = Lock()

    def take(self, source: SourceFile) -> Outcome:
        """Add the file *source*, if it is a picture that the account has not got. It never raises."""
        try:
            with self._gallery.store.connected():
                return self._take(source)
        except ImageRejected as error:
            return Outcome(
                "not an image" if error.reason in ("not_an_image", "empty") else "refused", str(error)
            )
        except AlreadyThere:
            return Outcome("already there")
        except (NotThere, peewee.DoesNotExist, peewee.IntegrityError):
            return Outcome("stopped", "the account has been deleted")
        except StorageError as error:
            return Outcome("stopped", str(error))
        except PixstoreError as error:
            return Outcome("refused", str(error))
        except Exception as error:
            logger.exception("a file could not be imported")
            return Outcome("refused", f"it could not be imported ({type(error).__name__})")

    def _take(self, source: SourceFile) -> Outcome:
        with self._reading:
            content, upload = self._read(source)
        if not self._task.dry_run:
            self._keep(source, upload, content)
        return Outcome("added", content=content)

    def _read(self, source: SourceFile) -> tuple[bytes, pictures.Upload]:
        """Return the content id of the file, and the file decoded."""
        gallery = self._gallery
        data = self._source.read(source.path, max_bytes=gallery.config.max_image_bytes)
        content = content_ids.content_id(self._task.content_key, data)
        if content_ids.is_there(gallery, self._user, content):
            raise AlreadyThere
        return content, pictures.decoded(gallery, data)

    def _keep(self, source: SourceFile, upload: pictures.Upload, content: bytes) -> None:
        title, name = self._task.album_title(source), source.path
        for is_last in (False, True):
            album = self._album(title)
            try:
                pictures.keep(
                    self._gallery,
                    self._user,
                    album,
                    upload,
                    file_name=name,
                    only_if_new=True,
                    content=content,
                )
            except NotThere:
                if is_last:
                    raise
                self._albums.pop(title, None)  # somebody has deleted this album: make it again
            else:
                return

    def _album(self, title: str | None) -> AlbumView:
        album = self._albums.get(title)
        if album is None:
            if title is None:
                album = albums.default_album(self._gallery, self._user)
            else:
                album = albums.find_or_create_album(self._gallery, self._user, title, field="album")
            self._albums[title] = album
        return album
