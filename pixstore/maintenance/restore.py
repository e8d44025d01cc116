"""
Makes a store from a backup. Imports ``check``, ``backup_files``, ``store``.

    1. open the keyring of the backup, and check its seal       nothing has been changed
    2. put the copy of the keyring into the blob store          it tells an interrupted restore from a store in use
    3. copy the blobs
    4. put the database in place                                before this, a restore that is run again continues
    5. open every image
"""

import shutil
import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from pixstore.blobs.local import LocalBlobs
from pixstore.config import Config
from pixstore.errors import KeyringError
from pixstore.files import make_directory, make_private_file, replace_file, sync_directory
from pixstore.keyring import Keyring
from pixstore.maintenance import Progress, no_progress
from pixstore.maintenance.backup_files import (
    BLOBS_DIRECTORY,
    FIRST_RELEASE_DATABASE,
    FIRST_RELEASE_KEYRING,
    INCOMPLETE_MANIFEST,
    MANIFEST,
    BackupRefused,
    check_seal,
    copy_blob,
    first_release_keyring,
    named_blobs,
    named_errors,
    open_sqlite,
    read_manifest,
    sync_file,
)
from pixstore.maintenance.check import CheckReport, check
from pixstore.master_key import master_keys
from pixstore.store import ImageStore
from pixstore.store_keyring import FIRST_RELEASE_FILE

TABLES_OF_A_FIRST_START = ("keyring", "store_key", "text_purpose")


class _Source(NamedTuple):
    """The parts of a backup that a restore reads: the snapshot, the keyring and the name of its copy, the blobs."""

    snapshot: Path
    keyring_name: str
    keyring: bytes
    blobs: LocalBlobs


@named_errors("the backup could not be restored")
def restore(
    config: Config,
    directory: Path,
    *,
    tables_of_a_first_start: Collection[str] = (),
    without_rows_of: Collection[str] = (),
    unauthenticated: bool = False,
    incomplete: bool = False,
    progress: Progress = no_progress,
) -> CheckReport:
    """
    Make the store that *config* names from the backup in *directory*, and open every image to verify it.

    An interrupted restore continues when it is run again. Once the database is in place, a deep ``check``
    does the rest. A database whose only rows are in *tables_of_a_first_start* counts as unused. Rows of the
    tables *without_rows_of* are not restored. *unauthenticated* accepts a backup of release 0.1, which has no
    seal: somebody may have changed it. *incomplete* accepts a backup that lacks images.

    Raises:
        BackupRefused: If *config* names a store that holds data, if *directory* holds no complete backup, or
            if the backup has been changed.
        KeyringError: If the master key of *config* does not open the backup.
    """
    source = _checked_source(config, directory, unauthenticated=unauthenticated, incomplete=incomplete)
    target = LocalBlobs(config.blobs_path)
    _refuse_used_store(config, source, target, {*TABLES_OF_A_FIRST_START, *tables_of_a_first_start})
    _remove_unused_keyring(config, target)
    if source.keyring_name == FIRST_RELEASE_KEYRING:
        make_directory(config.data_dir)
        replace_file(config.data_dir / FIRST_RELEASE_FILE, source.keyring)
    else:
        target.put_copy(source.keyring_name, source.keyring)
    blob_ids = named_blobs(source.snapshot)
    there = {blob.blob_id for blob in target.blobs()}
    for done, blob_id in enumerate(blob_ids, start=1):
        if blob_id not in there:
            copy_blob(source.blobs, target, blob_id)
        progress(done, len(blob_ids))
    _put_database(config, source.snapshot, without_rows_of)
    with closing(ImageStore.open(config)) as store:
        return check(store, deep=True, progress=progress)


# --- checking the backup


def _checked_source(config: Config, directory: Path, *, unauthenticated: bool, incomplete: bool) -> _Source:
    if (directory / MANIFEST).exists() or (directory / INCOMPLETE_MANIFEST).exists():
        return _sealed_source(config, directory, incomplete=incomplete)
    return _first_release_source(config, directory, unauthenticated=unauthenticated)


def _sealed_source(config: Config, directory: Path, *, incomplete: bool) -> _Source:
    path = directory / (INCOMPLETE_MANIFEST if incomplete else MANIFEST)
    if not path.exists():
        raise BackupRefused(
            f"{directory} holds no complete backup: the store had lost images. `restore --incomplete` takes it as it is"
            if not incomplete
            else f"{directory} holds no incomplete backup"
        )
    manifest, document = read_manifest(path)
    blobs, snapshot = LocalBlobs(directory / BLOBS_DIRECTORY, read_only=True), directory / manifest.database
    copy = blobs.copies().get(manifest.keyring)
    if copy is None or not snapshot.exists():
        missing = "its keyring" if copy is None else manifest.database
        raise BackupRefused(f"{directory} is not a whole backup: {missing} is missing")
    check_seal(document, _opened(config, copy), snapshot)
    return _Source(snapshot, manifest.keyring, copy, blobs)


def _first_release_source(config: Config, directory: Path, *, unauthenticated: bool) -> _Source:
    for part in (FIRST_RELEASE_DATABASE, FIRST_RELEASE_KEYRING, BLOBS_DIRECTORY):
        if not (directory / part).exists():
            raise BackupRefused(f"{directory} is not a whole backup: {part} is missing")
    if not unauthenticated:
        raise BackupRefused(
            f"{directory} was made by release 0.1, which did not seal its backups: somebody may have changed it, for "
            "example to add a password of their own. If nobody else could write to it, restore it with --unauthenticated"
        )
    snapshot = directory / FIRST_RELEASE_DATABASE
    keyring = first_release_keyring(snapshot) or (directory / FIRST_RELEASE_KEYRING).read_bytes()
    _opened(config, keyring)
    return _Source(
        snapshot, FIRST_RELEASE_KEYRING, keyring, LocalBlobs(directory / BLOBS_DIRECTORY, read_only=True)
    )


def _opened(config: Config, document: bytes) -> Keyring:
    *others, last = master_keys(config)
    for key in others:
        try:
            return Keyring.from_json(document, key, may_be_unsealed=True)
        except KeyringError:
            continue
    return Keyring.from_json(document, last, may_be_unsealed=True)


# --- checking the place for the store


def _refuse_used_store(
    config: Config, source: _Source, target: LocalBlobs, tables_of_a_first_start: Collection[str]
) -> None:
    if config.database_url is not None:
        raise BackupRefused("a backup is restored into SQLite: leave PIXSTORE_DATABASE_URL unset")
    has_blobs = any(True for _ in target.blobs())
    if not _is_unused(config.sqlite_path, tables_of_a_first_start) or (
        has_blobs and not _was_interrupted(config, source, target)
    ):
        raise BackupRefused(
            f"there is a store in {config.data_dir} already: move it away, or restore somewhere else. If a "
            "restore put it there and was interrupted while it opened the images, run check --deep to open them"
        )


def _is_unused(database_path: Path, tables_of_a_first_start: Collection[str]) -> bool:
    """Tell whether there is no database, or one that was made but never used."""
    if not database_path.exists():
        return True
    # Not read-only, because an interrupted start may have left a journal to roll back.
    with closing(open_sqlite(database_path, "mode=rw")) as connection:
        tables = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        return not any(
            connection.execute(f'SELECT EXISTS (SELECT 1 FROM "{name}")').fetchone()[0]  # noqa: S608 - not input
            for name in tables
            if not name.endswith("_migration")
            and not name.startswith("sqlite_")
            and name not in tables_of_a_first_start
        )


def _was_interrupted(config: Config, source: _Source, target: LocalBlobs) -> bool:
    """
    Tell whether the existing blobs came from a restore of this backup.

    A restore puts the keyring there before any blob.
    """
    if source.keyring_name == FIRST_RELEASE_KEYRING:
        file = config.data_dir / FIRST_RELEASE_FILE
        return file.exists() and file.read_bytes() == source.keyring
    return target.copies().get(source.keyring_name) == source.keyring


# --- putting it in place


def _remove_unused_keyring(config: Config, target: LocalBlobs) -> None:
    """Remove the unused database's copy of its keyring. No image needs it."""
    if not config.sqlite_path.exists():
        return
    with closing(open_sqlite(config.sqlite_path, "mode=rw")) as connection:
        has_table = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'keyring'").fetchone()
        documents = (
            [bytes(row[0]) for row in connection.execute("SELECT document FROM keyring")] if has_table else []
        )
    for name, document in target.copies().items():
        if document in documents:
            target.remove_copy(name)


def _put_database(config: Config, snapshot: Path, without_rows_of: Collection[str]) -> None:
    path = config.sqlite_path
    make_directory(path.parent)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    make_private_file(temporary)
    shutil.copyfile(snapshot, temporary)
    with closing(sqlite3.connect(temporary)) as connection:
        tables = {
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
        for table in {*without_rows_of} & tables:
            connection.execute(f'DELETE FROM "{table}"')  # noqa: S608 - not input
        connection.execute("DROP TABLE IF EXISTS backup_keyring")
        connection.commit()
    sync_file(temporary)
    # These files belong to the unused database. SQLite would apply them to the new one.
    for suffix in ("-journal", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    temporary.replace(path)
    sync_directory(path.parent)
