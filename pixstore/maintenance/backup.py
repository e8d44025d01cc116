"""
Copying a store on local files while it is in use. Imports ``store``, ``backup_files``, ``keyring_files``.

Taken again into the same directory, a backup copies only what is new.

    1. hold dead blobs back from removal            a crash: the hold runs out by itself
    2. snapshot the database, keyring in it         what the backup will contain
    3. copy the blobs the snapshot names            the hold keeps every one of them
    4. put the snapshot in place                    THE COMMIT POINT: before it the earlier backup is whole
    5. put the keyring of the snapshot beside it    a crash: the next restore or backup does it
    6. remove blobs that the snapshot does not name
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import peewee

from pixstore.blobs.local import LocalBlobs
from pixstore.database import connected
from pixstore.errors import StorageError
from pixstore.files import make_directory, sync_directory
from pixstore.keyring import store_key_ids
from pixstore.keyring_files import read_document
from pixstore.maintenance import Progress, no_progress
from pixstore.maintenance.backup_files import (
    BLOBS_DIRECTORY,
    DATABASE_FILE,
    KEYRING_TABLE,
    BackupRefused,
    copy_blob,
    named_errors,
    put_keyring_in_place,
    sync_file,
)
from pixstore.parts import StoreParts
from pixstore.store import ImageStore

HOLD_NAME = "backup"
HOLD_LENGTH = 10 * 60_000
HOLD_RENEWAL = 200
"""Copied blobs between two renewals of the hold."""


class BackupReport(NamedTuple):
    """How many images the backup holds, how many blobs were copied, and the blobs that were missing."""

    images: int
    copied: int
    missing: list[str]


@named_errors("the backup could not be made")
def backup(store: ImageStore, directory: Path, *, progress: Progress = no_progress) -> BackupReport:
    """
    Copy the store to *directory*; what the backup holds is the state of one instant.

    Raises:
        BackupRefused: If the database is not SQLite: dump it with its own tools, and copy the blobs after that.
    """
    parts = store.parts
    if not isinstance(parts.database, peewee.SqliteDatabase):
        raise BackupRefused(
            "the database is not SQLite: dump it with its own tools first (pg_dump), then copy the blobs and the keyring"
        )
    if directory.resolve() == parts.config.data_dir.resolve():
        raise BackupRefused("the backup directory is the data directory itself")
    make_directory(directory)
    target = LocalBlobs(directory / BLOBS_DIRECTORY)
    with _held(parts) as renew:
        snapshot = directory / f".{DATABASE_FILE}.tmp"
        _snapshot_with_keyring(parts, snapshot)
        blob_ids = _named_blobs(snapshot)
        there = {blob.blob_id for blob in target.blobs()}
        missing = []
        for done, blob_id in enumerate(blob_ids, start=1):
            if blob_id not in there and not copy_blob(parts.blobs, target, blob_id):
                missing.append(blob_id)
            if done % HOLD_RENEWAL == 0:
                renew()
            progress(done, len(blob_ids))
    sync_file(snapshot)
    snapshot.replace(directory / DATABASE_FILE)
    sync_directory(directory)
    put_keyring_in_place(directory)
    for blob_id in there.difference(blob_ids):
        target.delete(blob_id)
    return BackupReport(len(blob_ids), len(set(blob_ids) - there) - len(missing), missing)


@contextmanager
def _held(parts: StoreParts) -> Iterator[Callable[[], None]]:
    """Keep dead blobs in place for the length of the block; yields a function that prolongs the hold."""
    hold = parts.models.hold

    def renew() -> None:
        until = parts.now() + HOLD_LENGTH
        with connected(parts.database), parts.database.atomic():
            hold.insert(name=HOLD_NAME, until=until).on_conflict_replace().execute()

    renew()
    try:
        yield renew
    finally:
        with connected(parts.database), parts.database.atomic():
            hold.delete().where(hold.name == HOLD_NAME).execute()
        parts.reaper.wake()


def _snapshot_with_keyring(parts: StoreParts, path: Path) -> None:
    """Make a snapshot of the database and put the keyring into it, with every key that was there at that instant."""
    while True:
        before = _keyring_document(parts)
        _snapshot(parts.config.sqlite_path, path)
        after = _keyring_document(parts)
        # The later document has the keys that came meanwhile. If a key was dropped meanwhile, rows of the snapshot may need
        # it, so both are taken again.
        if store_key_ids(before) <= store_key_ids(after):
            break
    with closing(sqlite3.connect(path)) as snapshot:
        snapshot.execute(f"DROP TABLE IF EXISTS {KEYRING_TABLE}")
        snapshot.execute(f"CREATE TABLE {KEYRING_TABLE} (document BLOB NOT NULL)")
        snapshot.execute(f"INSERT INTO {KEYRING_TABLE} VALUES (?)", (after,))  # noqa: S608 - a constant
        snapshot.commit()


def _keyring_document(parts: StoreParts) -> bytes:
    document = read_document(parts.config, parts.blobs)
    if document is None:
        raise StorageError("the keyring is missing: the backup was not finished")
    return document


def _snapshot(database: Path, path: Path) -> None:
    path.unlink(missing_ok=True)
    source_path = f"file:{database}?mode=ro"
    with closing(sqlite3.connect(source_path, uri=True)) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")
        target.execute("DELETE FROM hold")
        target.execute("DELETE FROM dead_blob")
        target.commit()


def _named_blobs(snapshot: Path) -> list[str]:
    with closing(sqlite3.connect(snapshot)) as connection:
        return [blob_id for (blob_id,) in connection.execute("SELECT blob_id FROM image")]
