"""
Backup and restore of a store on local files. Imports ``store``, ``maintenance`` and what they import.

A backup has the layout of a data directory: database, blobs, keyring; not the master key, without which it is useless to
a thief, and which has to be kept elsewhere. Taken again into the same directory, it copies only what is new.

    1. hold dead blobs back from removal            a crash: the hold runs out by itself
    2. snapshot the database, keyring in it         what the backup will contain
    3. copy the blobs the snapshot names            none of them can go meanwhile
    4. put the snapshot in place                    THE COMMIT POINT: before it the earlier backup is whole
    5. put the keyring of the snapshot beside it    a crash: the next restore or backup does it
    6. remove blobs that the snapshot does not name
"""

import os
import shutil
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import peewee

from pixstore.blobs import BlobStore
from pixstore.blobs.local import LocalBlobs
from pixstore.config import Config
from pixstore.errors import BlobNotFound, PixstoreError, StorageError
from pixstore.files import PRIVATE_FILE, make_directory, replace_file, storage_errors, sync_directory
from pixstore.keyring import store_key_ids
from pixstore.keyring_files import keyring_lock, load_keyring, read_document
from pixstore.maintenance import CheckReport, Progress, check
from pixstore.store import ImageStore

DATABASE_FILE = "pixstore.sqlite"
BLOBS_DIRECTORY = "blobs"
KEYRING_FILE = "keyring.json"
KEYRING_TABLE = "backup_keyring"
"""Of the database of a backup. Database and keyring belong together, but only one file can be put in place at once."""

HOLD_NAME = "backup"
HOLD_LENGTH = 10 * 60_000
HOLD_RENEWAL = 200
"""Copied blobs between two renewals of the hold."""


class BackupRefused(PixstoreError):
    """This backup or restore cannot be made. Nothing was changed."""


class BackupReport(NamedTuple):
    """How many images the backup holds, how many blobs were copied, and the blobs that were missing."""

    images: int
    copied: int
    missing: list[str]


@contextmanager
def _named_errors(what: str) -> Iterator[None]:
    """Turn errors of files, and of a database that is not the store's own, into errors of this library."""
    try:
        with storage_errors(what):
            yield
    except sqlite3.Error as error:
        raise StorageError(f"{what}: {error}") from error


@_named_errors("the backup could not be made")
def backup(
    store: ImageStore, directory: Path, *, progress: Progress = lambda _done, _total: None
) -> BackupReport:
    """
    Copy the store to *directory* while it is in use; what the backup holds is the state of one instant.

    Raises:
        BackupRefused: If the database is not SQLite: dump it with its own tools, and copy the blobs after that.
    """
    if not isinstance(store.database, peewee.SqliteDatabase):
        raise BackupRefused(
            "the database is not SQLite: dump it with its own tools first (pg_dump), then copy the blobs and the keyring"
        )
    if directory.resolve() == store.config.data_dir.resolve():
        raise BackupRefused("the backup directory is the data directory itself")
    make_directory(directory)
    target = LocalBlobs(directory / BLOBS_DIRECTORY)
    with _held(store) as renew:
        snapshot = directory / f".{DATABASE_FILE}.tmp"
        _snapshot_with_keyring(store, snapshot)
        blob_ids = _named_blobs(snapshot)
        there = {blob.blob_id for blob in target.blobs()}
        missing = []
        for done, blob_id in enumerate(blob_ids, start=1):
            if blob_id not in there and not _copy(store.blobs, target, blob_id):
                missing.append(blob_id)
            if done % HOLD_RENEWAL == 0:
                renew()
            progress(done, len(blob_ids))
    _sync_file(snapshot)
    snapshot.replace(directory / DATABASE_FILE)
    sync_directory(directory)
    _put_keyring_in_place(directory)
    for blob_id in there.difference(blob_ids):
        target.delete(blob_id)
    return BackupReport(len(blob_ids), len(set(blob_ids) - there) - len(missing), missing)


@_named_errors("the backup could not be restored")
def restore(
    config: Config,
    directory: Path,
    *,
    passing_tables: Collection[str] = (),
    progress: Progress = lambda _done, _total: None,
) -> CheckReport:
    """
    Make the store that *config* names out of the backup in *directory*, and open every image to verify it.

    Run again after an interruption, it goes on; once the database is in place a deep ``check`` does what is left. Rows in
    *passing_tables* do not make a database a used one.

    Raises:
        BackupRefused: If *config* names a store that has a database or blobs, or *directory* holds no whole backup.
        KeyringError: If the master key of *config* does not open the backup.
    """
    _put_keyring_in_place(directory)
    _refuse_restore(config, directory, passing_tables)
    source, target = LocalBlobs(directory / BLOBS_DIRECTORY), LocalBlobs(config.blobs_path)
    backup_config = replace(config, data_dir=directory, master_key_file=_master_key_file(config))
    with keyring_lock(config):
        load_keyring(backup_config, source)
        make_directory(config.keyring_path.parent)
        _copy_file(directory / KEYRING_FILE, config.keyring_path)
        blob_ids = [blob.blob_id for blob in source.blobs()]
        there = {blob.blob_id for blob in target.blobs()}
        for done, blob_id in enumerate(blob_ids, start=1):
            if blob_id not in there:
                _copy(source, target, blob_id)
            progress(done, len(blob_ids))
        make_directory(config.sqlite_path.parent)
        # Of the unused database that is replaced: they would be applied to this one.
        for suffix in ("-journal", "-wal", "-shm"):
            config.sqlite_path.with_name(config.sqlite_path.name + suffix).unlink(missing_ok=True)
        _copy_file(directory / DATABASE_FILE, config.sqlite_path)
    with closing(ImageStore.open(config)) as store:
        with store.connected():
            store.database.execute_sql(f"DROP TABLE IF EXISTS {KEYRING_TABLE}")
        return check(store, deep=True, progress=progress)


def _refuse_restore(config: Config, directory: Path, passing_tables: Collection[str]) -> None:
    if config.database_url is not None:
        raise BackupRefused("a backup is restored into SQLite: leave PIXSTORE_DATABASE_URL unset")
    for part in (DATABASE_FILE, KEYRING_FILE, BLOBS_DIRECTORY):
        if not (directory / part).exists():
            raise BackupRefused(f"{directory} is not a whole backup: {part} is missing")
    has_blobs = any(True for _ in LocalBlobs(config.blobs_path).blobs())
    if not _is_untouched(config.sqlite_path, passing_tables) or (
        has_blobs and not _was_interrupted(config, directory)
    ):
        raise BackupRefused(
            f"there is a store in {config.data_dir} already: move it away, or restore somewhere else. If it is what a "
            "restore put there that was interrupted while it opened the images, check --deep opens them"
        )


def _is_untouched(database_path: Path, passing_tables: Collection[str]) -> bool:
    """Tell whether there is no database, or one that was made but never used: only its migrations are noted."""
    if not database_path.exists():
        return True
    # Not read-only: a start that was interrupted may have left a journal to roll back.
    with closing(sqlite3.connect(f"file:{database_path}?mode=rw", uri=True)) as connection:
        tables = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        used = [
            name
            for name in tables
            if not name.endswith("_migration")
            and name not in passing_tables
            and connection.execute(f'SELECT EXISTS (SELECT 1 FROM "{name}")').fetchone()[0]  # noqa: S608 - not input
        ]
    return not [name for name in used if not name.startswith("sqlite_")]


def _was_interrupted(config: Config, directory: Path) -> bool:
    """Tell whether the blobs that are there came from a restore of this backup: it puts the keyring first."""
    document = (directory / KEYRING_FILE).read_bytes()
    return config.keyring_path.exists() and config.keyring_path.read_bytes() == document


def _master_key_file(config: Config) -> Path | None:
    if config.master_key is not None or config.master_key_file is not None:
        return config.master_key_file
    return config.data_dir / "master.key"


@contextmanager
def _held(store: ImageStore) -> Iterator[Callable[[], None]]:
    """Keep dead blobs in place for the length of the block; yields what makes that last longer."""
    hold = store.models.hold

    def renew() -> None:
        until = store.now() + HOLD_LENGTH
        with store.connected(), store.database.atomic():
            hold.insert(name=HOLD_NAME, until=until).on_conflict_replace().execute()

    renew()
    try:
        yield renew
    finally:
        with store.connected(), store.database.atomic():
            hold.delete().where(hold.name == HOLD_NAME).execute()
        store.wake_reaper()


def _snapshot_with_keyring(store: ImageStore, path: Path) -> None:
    """Make a snapshot of the database and put the keyring into it, with every key that was there at that instant."""
    while True:
        before = _keyring_document(store)
        _snapshot(store, path)
        after = _keyring_document(store)
        # What came meanwhile is in the later one; what was dropped meanwhile, rows of the snapshot may need.
        if store_key_ids(before) <= store_key_ids(after):
            break
    with closing(sqlite3.connect(path)) as snapshot:
        snapshot.execute(f"DROP TABLE IF EXISTS {KEYRING_TABLE}")
        snapshot.execute(f"CREATE TABLE {KEYRING_TABLE} (document BLOB NOT NULL)")
        snapshot.execute(f"INSERT INTO {KEYRING_TABLE} VALUES (?)", (after,))  # noqa: S608 - a constant
        snapshot.commit()


def _keyring_document(store: ImageStore) -> bytes:
    document = read_document(store.config, store.blobs)
    if document is None:
        raise StorageError("the keyring is missing: the backup was not finished")
    return document


def _snapshot(store: ImageStore, path: Path) -> None:
    path.unlink(missing_ok=True)
    source_path = f"file:{store.config.sqlite_path}?mode=ro"
    with closing(sqlite3.connect(source_path, uri=True)) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")
        target.execute("DELETE FROM hold")
        target.execute("DELETE FROM dead_blob")
        target.commit()


def _named_blobs(snapshot: Path) -> list[str]:
    with closing(sqlite3.connect(snapshot)) as connection:
        return [blob_id for (blob_id,) in connection.execute("SELECT blob_id FROM image")]


def _copy(source: BlobStore, target: BlobStore, blob_id: str) -> bool:
    """Copy one blob; return whether there was one."""
    try:
        with source.open(blob_id) as file:
            target.put(blob_id, [file.read()])
    except BlobNotFound:
        return False
    return True


def _put_keyring_in_place(directory: Path) -> None:
    """Let the keyring of the backup in *directory* be the one that its database came with, if there is a database."""
    database = directory / DATABASE_FILE
    if not database.exists():
        return
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        has_table = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = ?)"
        if not connection.execute(has_table, (KEYRING_TABLE,)).fetchone()[0]:
            return  # a data directory that somebody copied
        (document,) = connection.execute(f"SELECT document FROM {KEYRING_TABLE}").fetchone()  # noqa: S608 - a constant
    blobs = LocalBlobs(directory / BLOBS_DIRECTORY)
    if blobs.get_keyring() != document:
        blobs.put_keyring(document)
    keyring = directory / KEYRING_FILE
    if not keyring.exists() or keyring.read_bytes() != document:
        replace_file(keyring, document)


def _copy_file(source: Path, target: Path) -> None:
    temporary = target.with_name(f".{target.name}.tmp")
    shutil.copyfile(source, temporary)
    temporary.chmod(PRIVATE_FILE)
    _sync_file(temporary)
    temporary.replace(target)
    sync_directory(target.parent)


def _sync_file(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
