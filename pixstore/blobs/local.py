"""
Blobs in a directory of this machine.

    objects/abc/abcdef…      a blob, by the first three digits of its name: 4096 directories, thousands of blobs each
    unfinished/…             what a put is writing; a crash leaves it here, never under a blob's name
    deleted/…                an empty file for each deleted image whose blobs may still be there, named by its id
    keyring/…                copies of the keyring; release 0.1 kept its only copy in keyring.json
"""

import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from pixstore.blobs import BlobInfo, BuriedImage
from pixstore.crypto import Buffer
from pixstore.errors import BlobNotFound, StorageError
from pixstore.files import (
    PRIVATE_DIRECTORY,
    PRIVATE_FILE,
    make_directory,
    storage_errors,
    sync_directory,
)
from pixstore.ids import check_blob_id, check_image_id, is_blob_id, is_image_id

SHARD_DIGITS = 3

_COPY_NAME = re.compile(r"[0-9a-f-]+\.json", re.ASCII)


class LocalBlobs:
    """A ``BlobStore`` in the directory *root*, which is made if it is missing; unless it is opened for reading only."""

    def __init__(self, root: Path, *, read_only: bool = False) -> None:
        self._objects = root / "objects"
        self._unfinished = root / "unfinished"
        self._deleted = root / "deleted"
        self._copies = root / "keyring"
        self._first_release_copy = root / "keyring.json"
        self._durable_shards: set[Path] = set()
        if read_only:
            return
        with storage_errors(f"the image directory {root} could not be made", str(root)):
            for directory in (self._objects, self._unfinished, self._deleted, self._copies):
                make_directory(directory)

    def put(self, blob_id: str, parts: Sequence[Buffer]) -> None:
        """See ``BlobStore.put``. Each step has its reason: only all of them together survive a power cut."""
        path = self._path(blob_id)
        unfinished = self._unfinished / secrets.token_hex(16)
        with storage_errors("the image could not be written", blob_id):
            try:
                _write_durably(unfinished, parts)
                self._make_shard(path.parent)
                if path.exists():
                    raise StorageError(f"the blob {blob_id} exists already", name=blob_id)
                unfinished.rename(path)  # the blob appears whole or not at all
            except BaseException:
                with suppress(OSError):
                    unfinished.unlink(missing_ok=True)
                raise
            sync_directory(path.parent)  # or the name could be gone after a power cut

    def open(self, blob_id: str) -> BinaryIO:
        """See ``BlobStore.open``."""
        with storage_errors("the image could not be read", blob_id):
            try:
                return open(self._path(blob_id), "rb")
            except FileNotFoundError:
                raise BlobNotFound(blob_id) from None

    def delete(self, blob_id: str) -> bool:
        """See ``BlobStore.delete``."""
        with storage_errors("the image could not be removed", blob_id):
            try:
                self._path(blob_id).unlink()
            except FileNotFoundError:
                return False
            return True

    def touch(self, blob_id: str) -> None:
        """See ``BlobStore.touch``."""
        with storage_errors("the time of an image could not be set", blob_id), suppress(FileNotFoundError):
            os.utime(self._path(blob_id))

    def blobs(self) -> Iterator[BlobInfo]:
        """See ``BlobStore.blobs``."""
        for shard in _entries(self._objects):
            for entry in _entries(Path(shard.path)) if shard.is_dir() else ():
                status = _status(entry) if is_blob_id(entry.name) else None
                if status is not None:
                    yield BlobInfo(entry.name, status.st_size, status.st_mtime_ns // 1_000_000)

    def discard_unfinished(self, *, before: int) -> int:
        """See ``BlobStore.discard_unfinished``."""
        discarded = 0
        for entry in _entries(self._unfinished):
            with storage_errors("a file could not be removed", entry.name), suppress(FileNotFoundError):
                if entry.stat().st_mtime_ns // 1_000_000 < before:
                    os.unlink(entry.path)
                    discarded += 1
        return discarded

    def bury(self, image_ids: Sequence[str]) -> None:
        """See ``BlobStore.bury``."""
        with storage_errors("the deletion of an image could not be noted"):
            for image_id in image_ids:
                (self._deleted / check_image_id(image_id)).touch(PRIVATE_FILE)
            sync_directory(self._deleted)

    def buried(self) -> Iterator[BuriedImage]:
        """See ``BlobStore.buried``."""
        for entry in _entries(self._deleted):
            status = _status(entry) if is_image_id(entry.name) else None
            if status is not None:
                yield BuriedImage(entry.name, status.st_mtime_ns // 1_000_000)

    def forget_buried(self, image_ids: Sequence[str]) -> None:
        """See ``BlobStore.forget_buried``."""
        with storage_errors("the note on a deleted image could not be removed"):
            for image_id in image_ids:
                (self._deleted / check_image_id(image_id)).unlink(missing_ok=True)

    def put_copy(self, name: str, document: bytes) -> None:
        """See ``BlobStore.put_copy``."""
        path = self._copy_path(name)
        unfinished = self._unfinished / secrets.token_hex(16)
        with storage_errors("a copy of the keyring could not be written", name):
            _write_durably(unfinished, [document])
            unfinished.replace(path)
            sync_directory(path.parent)

    def copies(self) -> dict[str, bytes]:
        """See ``BlobStore.copies``."""
        found = {}
        with storage_errors("a copy of the keyring could not be read"):
            for path in (self._first_release_copy, *self._copies.glob("*.json")):
                with suppress(FileNotFoundError):
                    found[path.name] = path.read_bytes()
        return found

    def remove_copy(self, name: str) -> None:
        """See ``BlobStore.remove_copy``."""
        with storage_errors("a copy of the keyring could not be removed", name):
            self._copy_path(name).unlink(missing_ok=True)

    def _copy_path(self, name: str) -> Path:
        if name == self._first_release_copy.name:
            return self._first_release_copy
        if not _COPY_NAME.fullmatch(name):
            raise StorageError("not the name of a copy of the keyring")
        return self._copies / name

    def _make_shard(self, shard: Path) -> None:
        """Make *shard* durable: another process may have made it and been stopped before it could sync the entry."""
        if shard not in self._durable_shards:
            with suppress(FileExistsError):
                shard.mkdir(mode=PRIVATE_DIRECTORY)
            sync_directory(self._objects)
            self._durable_shards.add(shard)

    def _path(self, blob_id: str) -> Path:
        return self._objects / check_blob_id(blob_id)[:SHARD_DIGITS] / blob_id


def _write_durably(path: Path, parts: Sequence[Buffer]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE)
    with open(descriptor, "wb", buffering=0) as file:
        for part in parts:
            view = memoryview(part)
            while view:
                view = view[file.write(view) :]
        if os.fstat(descriptor).st_size != sum(map(len, parts)):
            raise StorageError(
                "the image could not be written: the file has another length than what was written"
            )
        os.fsync(descriptor)


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Return what the file system knows of *entry*, or ``None`` if it has gone."""
    with storage_errors("the image directory could not be read", entry.name), suppress(FileNotFoundError):
        return entry.stat()
    return None


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    with storage_errors("the image directory could not be read", directory.name):
        try:
            with os.scandir(directory) as entries:
                return list(entries)
        except FileNotFoundError:
            return []
