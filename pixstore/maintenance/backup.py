"""
Copies a store to local files while it is in use. Imports ``store``, ``backup_files``.

A second backup into the same directory copies only what is new.

    1. hold dead blobs back from removal            a crash: the hold runs out by itself
    2. snapshot the database, keyring in it         what the backup will contain
    3. copy the blobs the snapshot names            the hold keeps every one of them
    4. put the sealed manifest in place             THE COMMIT POINT: before it the earlier backup is whole
    5. remove what the manifest does not name

If a blob that the snapshot names is gone, the hold was lost: the process was suspended for longer than a hold
lasts. The backup then takes another snapshot. If the store itself has lost a blob, the backup is incomplete:
it gets a separate manifest, and an earlier backup stays as it is.
"""

import logging
import secrets
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import peewee

from pixstore.blobs import BlobStore
from pixstore.blobs.local import LocalBlobs
from pixstore.database import connected
from pixstore.errors import PixstoreError, StorageError
from pixstore.files import locked, make_directory, make_private_file, sync_directory
from pixstore.ids import new_blob_id
from pixstore.keyring import store_key_ids
from pixstore.maintenance import Progress, no_progress
from pixstore.maintenance.backup_files import (
    BLOBS_DIRECTORY,
    FIRST_RELEASE_DATABASE,
    FIRST_RELEASE_KEYRING,
    INCOMPLETE_MANIFEST,
    LOCK,
    MANIFEST,
    SNAPSHOTS,
    BackupRefused,
    Manifest,
    copy_blob,
    file_digest,
    first_release_keyring,
    named_blobs,
    named_errors,
    open_sqlite,
    read_manifest,
    sync_file,
)
from pixstore.parts import StoreParts
from pixstore.reaper import HOLD_LENGTH
from pixstore.store import ImageStore
from pixstore.store_keyring import copy_name

HEARTBEAT = 60.0
"""Seconds between two renewals of a hold."""

SNAPSHOT_ATTEMPTS = 5

logger = logging.getLogger(__name__)


class BackupReport(NamedTuple):
    """The number of images in the backup, of blobs copied now, and the blobs that the store itself has lost."""

    images: int
    copied: int
    missing: list[str]


@named_errors("the backup could not be made")
def backup(
    store: ImageStore,
    directory: Path,
    *,
    without_rows_of: Collection[str] = (),
    progress: Progress = no_progress,
) -> BackupReport:
    """
    Copy the store to *directory*. The backup holds the state of one instant.

    Rows of the tables *without_rows_of* are not copied.

    Raises:
        BackupRefused: If the database is not SQLite (dump it with its own tools, then copy the blobs), if
            *directory* holds the store itself or anything but a backup of this store, or if another backup is
            being written there.
    """
    parts = store.parts
    if not isinstance(parts.database, peewee.SqliteDatabase):
        raise BackupRefused(
            "the database is not SQLite: dump it with its own tools first (pg_dump), then copy the blobs and the keyring"
        )
    _refuse_own_directories(parts, directory)
    _refuse_others(parts, directory)
    make_directory(directory)
    with _alone_in(directory):
        target = LocalBlobs(directory / BLOBS_DIRECTORY)
        _refuse_own_blobs(parts.blobs, target)
        return _Backup(parts, directory, target, without_rows_of).make(progress)


class _Backup:
    def __init__(
        self, parts: StoreParts, directory: Path, target: LocalBlobs, without_rows_of: Collection[str]
    ) -> None:
        self._parts, self._directory, self._target = parts, directory, target
        self._without_rows_of = without_rows_of
        self._there = {blob.blob_id for blob in target.blobs()}
        self._copied = 0

    def make(self, progress: Progress) -> BackupReport:
        for _ in range(SNAPSHOT_ATTEMPTS):
            with _held(self._parts):
                snapshot = self._snapshot()
                blob_ids = named_blobs(snapshot)
                missing = self._copy(blob_ids, progress)
                lost = self._lost_by_the_store(missing)
            if len(lost) == len(missing):
                return self._commit(snapshot, blob_ids, lost)
            logger.warning("blobs were removed while the backup copied them: it takes another snapshot")
            snapshot.unlink()
        raise StorageError("blobs are removed faster than the backup can copy them")

    def _snapshot(self) -> Path:
        """Take a snapshot of the database, which also holds the keyring."""
        path = self._directory / f"pixstore-{secrets.token_hex(8)}.sqlite"
        make_private_file(path)
        with (
            closing(open_sqlite(self._parts.config.sqlite_path, "mode=ro")) as source,
            closing(sqlite3.connect(path)) as target,
        ):
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")
            target.execute("PRAGMA secure_delete = ON")  # deleted rows are overwritten in the file
            tables = {
                name for (name,) in target.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
            for table in {"hold", "dead_blob", *self._without_rows_of} & tables:
                target.execute(f'DELETE FROM "{table}"')  # noqa: S608 - not input
            target.commit()
        return path

    def _copy(self, blob_ids: list[str], progress: Progress) -> list[str]:
        """Copy the blobs that are not there yet; return those that the store does not have."""
        missing = []
        for done, blob_id in enumerate(blob_ids, start=1):
            if blob_id not in self._there:
                if copy_blob(self._parts.blobs, self._target, blob_id):
                    self._there.add(blob_id)
                    self._copied += 1
                else:
                    missing.append(blob_id)
            progress(done, len(blob_ids))
        return missing

    def _lost_by_the_store(self, missing: list[str]) -> list[str]:
        """
        Return the blobs of *missing* that records still name.

        The others were replaced or deleted in the meantime.
        """
        image = self._parts.models.image
        lost = []
        with connected(self._parts.database):
            for start in range(0, len(missing), 500):
                some = image.select(image.blob_id).where(image.blob_id.in_(missing[start : start + 500]))
                lost += [row.blob_id for row in some]
        return lost

    def _commit(self, snapshot: Path, blob_ids: list[str], lost: list[str]) -> BackupReport:
        sync_file(snapshot)
        document = _keyring_document(snapshot)
        keyring = self._parts.keyring.opened(document)
        name = copy_name(keyring.generation, document)
        self._target.put_copy(name, document)
        manifest = Manifest(self._parts.now(), len(blob_ids), snapshot.name, file_digest(snapshot), name)
        sync_directory(self._directory)
        if lost:
            manifest.write(self._directory / INCOMPLETE_MANIFEST, keyring)
        else:
            manifest.write(self._directory / MANIFEST, keyring)
            self._remove_all_but(blob_ids, name)
        self._remove_unnamed_snapshots()
        return BackupReport(len(blob_ids), self._copied, lost)

    def _remove_all_but(self, blob_ids: list[str], copy: str) -> None:
        """Remove all files of the earlier backup that this one does not need."""
        for name in (INCOMPLETE_MANIFEST, FIRST_RELEASE_DATABASE, FIRST_RELEASE_KEYRING):
            (self._directory / name).unlink(missing_ok=True)
        for name in self._target.copies():
            if name != copy:
                self._target.remove_copy(name)
        for blob_id in self._there.difference(blob_ids):
            self._target.delete(blob_id)

    def _remove_unnamed_snapshots(self) -> None:
        manifests = [self._directory / name for name in (MANIFEST, INCOMPLETE_MANIFEST)]
        named = {read_manifest(path)[0].database for path in manifests if path.exists()}
        for path in self._directory.glob(SNAPSHOTS):
            if path.name not in named:
                path.unlink()


# --- what is refused


def _refuse_own_directories(parts: StoreParts, directory: Path) -> None:
    """
    Raise if *directory* is the store's data directory or the directory of its database, or lies in its blob directory.

    Device and inode of the directories are compared, so spellings, links and bind mounts make no difference.
    """
    there, config = directory.resolve(), parts.config
    own = _identities([config.data_dir, config.sqlite_path.parent])
    own_blobs = _identities(_with_subdirectories(config.blobs_path))
    written = [there, *there.parents, *_with_subdirectories(there / BLOBS_DIRECTORY)]
    if _identities([there]) & own or _identities(written) & own_blobs:
        raise BackupRefused(f"{directory} is where the store itself lies: take another directory")


def _with_subdirectories(directory: Path) -> list[Path]:
    return [directory, *directory.glob("*/")]


def _identities(directories: Iterable[Path]) -> set[tuple[int, int]]:
    """Return device and inode of those *directories* that exist."""
    found = [directory.stat() for directory in directories if directory.exists()]
    return {(status.st_dev, status.st_ino) for status in found}


def _refuse_others(parts: StoreParts, directory: Path) -> None:
    """Raise if *directory* holds anything but a backup of this store: a backup removes files it does not need."""
    blobs, database = (
        LocalBlobs(directory / BLOBS_DIRECTORY, read_only=True),
        directory / FIRST_RELEASE_DATABASE,
    )
    of_first_release = first_release_keyring(database) if database.exists() else None
    is_backup = of_first_release is not None or any((directory / name).exists() for name in (LOCK, MANIFEST))
    if not is_backup and (database.exists() or any(True for _ in blobs.blobs())):
        raise BackupRefused(f"{directory} holds something else than a backup: take another directory")
    keyring = parts.keyring.latest()
    own = keyring.store_keys.keys() | keyring.dropped
    documents = [*blobs.copies().values(), *([of_first_release] if of_first_release else [])]
    if documents and not any(store_key_ids(document) & own for document in documents):
        raise BackupRefused(f"{directory} holds a backup of another store: take another directory")


def _refuse_own_blobs(own: BlobStore, target: LocalBlobs) -> None:
    """
    Raise if *target* is the blob directory of the store under another name, by a link or a mount.

    Device and inode do not show that for every mount. So put a blob into *target*, and look for it in the store.
    """
    probe = new_blob_id()
    target.put(probe, [b"a probe"])
    try:
        own.open(probe).close()
    except PixstoreError:
        return
    finally:
        target.delete(probe)
    raise BackupRefused("the backup directory holds the images of the store itself: take another directory")


@contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    try:
        with locked(directory / LOCK, wait=False):
            yield
    except BlockingIOError:
        raise BackupRefused(f"another backup is being written to {directory}") from None


# --- holds


@contextmanager
def _held(parts: StoreParts) -> Iterator[None]:
    """Keep dead blobs until the block ends. A thread renews the hold, so a copy may take any time."""
    name, over = f"backup {secrets.token_hex(8)}", threading.Event()
    hold = parts.models.hold

    def renew() -> None:
        until = parts.now() + HOLD_LENGTH
        with connected(parts.database), parts.database.atomic():
            if not hold.update(until=until).where(hold.name == name).execute():
                hold.insert(name=name, until=until).execute()

    def beat() -> None:
        while not over.wait(HEARTBEAT):
            try:
                renew()
            except PixstoreError:
                logger.exception("the hold of a backup could not be renewed; it is tried again")

    renew()
    heart = threading.Thread(target=beat, name="pixstore-backup-hold", daemon=True)
    heart.start()
    try:
        yield
    finally:
        over.set()
        heart.join()
        with connected(parts.database), parts.database.atomic():
            hold.delete().where(hold.name == name).execute()
        parts.reaper.wake()


# --- the snapshot


def _keyring_document(snapshot: Path) -> bytes:
    with closing(open_sqlite(snapshot, "mode=ro&immutable=1")) as connection:
        (document,) = connection.execute("SELECT document FROM keyring WHERE id = 1").fetchone()
    return bytes(document)
