"""
Blobs in a directory of this machine.

    objects/ab/abcdef…       a blob, by the first two digits of its name: 256 directories, thousands of blobs each;
                             release 0.1 took the first three digits, and what it kept stays where it is
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

SHARD_DIGITS, FIRST_RELEASE_SHARD_DIGITS = 2, 3

_COPY_NAME = re.compile(r"[0-9a-f-]+\.json", re.ASCII)


class LocalBlobs:
    """A ``BlobStore`` in the directory *root*. If *root* is missing, it is made, but not with *read_only*."""

    def __init__(self, root: Path, *, read_only: bool = False) -> None:
        self._objects = root / "objects"
        self._unfinished = root / "unfinished"
        self._deleted = root / "deleted"
        self._copies = root / "keyring"
        self._first_release_copy = root / "keyring.json"
        if not read_only:
            with storage_errors(f"the image directory {root} could not be made", str(root)):
                for directory in (self._objects, self._unfinished, self._deleted, self._copies):
                    make_directory(directory)
                self._make_shards()
        names = (entry.name for entry in _entries(self._objects))
        self._has_first_release_shards = any(len(name) == FIRST_RELEASE_SHARD_DIGITS for name in names)

    def put(self, blob_id: str, parts: Sequence[Buffer]) -> None:
        """See ``BlobStore.put``. Every step is needed to survive a power cut."""
        shard = f"{self._objects}/{check_blob_id(blob_id)[:SHARD_DIGITS]}"
        unfinished = f"{self._unfinished}/{secrets.token_hex(16)}"
        with storage_errors("the image could not be written", blob_id):
            try:
                _write_durably(unfinished, parts)
                if self._found(blob_id) is not None:
                    raise StorageError(f"the blob {blob_id} exists already", name=blob_id)
                os.rename(unfinished, f"{shard}/{blob_id}")  # the blob appears whole or not at all
            except BaseException:
                with suppress(OSError):
                    os.unlink(unfinished)
                raise
            sync_directory(shard)  # without this, the name could be lost in a power cut

    def open(self, blob_id: str) -> BinaryIO:
        """See ``BlobStore.open``."""
        with storage_errors("the image could not be read", blob_id):
            try:
                return open(self._path(blob_id), "rb")
            except FileNotFoundError:
                path = self._found(blob_id)
                if path is None:
                    raise BlobNotFound(blob_id) from None
                return open(path, "rb")

    def delete(self, blob_id: str) -> bool:
        """See ``BlobStore.delete``."""
        with storage_errors("the image could not be removed", blob_id):
            try:
                os.unlink(self._found(blob_id) or self._path(blob_id))
            except FileNotFoundError:
                return False
            return True

    def touch(self, blob_id: str) -> None:
        """See ``BlobStore.touch``."""
        with storage_errors("the time of an image could not be set", blob_id), suppress(FileNotFoundError):
            os.utime(self._found(blob_id) or self._path(blob_id))

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
        unfinished = f"{self._unfinished}/{secrets.token_hex(16)}"
        with storage_errors("a copy of the keyring could not be written", name):
            _write_durably(unfinished, [document])
            os.replace(unfinished, path)
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

    def _make_shards(self) -> None:
        """Make every directory for blobs now, so that no write has to make one."""
        there = {entry.name for entry in _entries(self._objects)}
        for number in range(16**SHARD_DIGITS):
            name = f"{number:0{SHARD_DIGITS}x}"
            if name not in there:
                with suppress(FileExistsError):  # another process may make it at the same time
                    os.mkdir(f"{self._objects}/{name}", PRIVATE_DIRECTORY)
        # Always needed: a process that made the directories may have been stopped before this line.
        sync_directory(self._objects)

    def _path(self, blob_id: str) -> str:
        return f"{self._objects}/{check_blob_id(blob_id)[:SHARD_DIGITS]}/{blob_id}"

    def _found(self, blob_id: str) -> str | None:
        """Return the path of the blob, or ``None``."""
        places = [self._path(blob_id)]
        if self._has_first_release_shards:
            places.append(f"{self._objects}/{blob_id[:FIRST_RELEASE_SHARD_DIGITS]}/{blob_id}")
        return next((place for place in places if os.path.lexists(place)), None)


def _write_durably(path: str, parts: Sequence[Buffer]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        for part in parts:
            left = memoryview(part)
            while left:
                left = left[os.write(descriptor, left) :]
        if os.fstat(descriptor).st_size != sum(map(len, parts)):
            raise StorageError("the image could not be written: the length of its file is wrong")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Return the file status of *entry*, or ``None`` if it has been removed."""
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
