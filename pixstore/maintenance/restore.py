"""
Making a store out of a backup. Imports ``check``, ``backup_files``, ``keyring_files``, ``store``.

The keyring comes first and the database last. An interrupted restore has no database yet, and goes on when it is run again.
"""

import shutil
import sqlite3
from collections.abc import Collection
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from pixstore.blobs.local import LocalBlobs
from pixstore.config import Config
from pixstore.files import PRIVATE_FILE, make_directory, sync_directory
from pixstore.keyring_files import keyring_lock, load_keyring
from pixstore.maintenance import Progress, no_progress
from pixstore.maintenance.backup_files import (
    BLOBS_DIRECTORY,
    DATABASE_FILE,
    KEYRING_FILE,
    KEYRING_TABLE,
    BackupRefused,
    copy_blob,
    named_errors,
    put_keyring_in_place,
    sync_file,
)
from pixstore.maintenance.check import CheckReport, check
from pixstore.store import ImageStore


@named_errors("the backup could not be restored")
def restore(
    config: Config,
    directory: Path,
    *,
    tables_of_a_first_start: Collection[str] = (),
    progress: Progress = no_progress,
) -> CheckReport:
    """
    Make the store that *config* names out of the backup in *directory*, and open every image to verify it.

    Run again after an interruption, it goes on; once the database is in place, a deep ``check`` does what is left. A
    database that holds rows in *tables_of_a_first_start* alone counts as unused.

    Raises:
        BackupRefused: If *config* names a store that has a database or blobs, or *directory* holds no whole backup.
        KeyringError: If the master key of *config* does not open the backup.
    """
    put_keyring_in_place(directory)
    _refuse_restore(config, directory, tables_of_a_first_start)
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
                copy_blob(source, target, blob_id)
            progress(done, len(blob_ids))
        make_directory(config.sqlite_path.parent)
        # They belong to the unused database that is replaced. SQLite would apply them to the new one.
        for suffix in ("-journal", "-wal", "-shm"):
            config.sqlite_path.with_name(config.sqlite_path.name + suffix).unlink(missing_ok=True)
        _copy_file(directory / DATABASE_FILE, config.sqlite_path)
    with closing(ImageStore.open(config)) as store:
        with store.connected():
            store.database.execute_sql(f"DROP TABLE IF EXISTS {KEYRING_TABLE}")
        return check(store, deep=True, progress=progress)


def _refuse_restore(config: Config, directory: Path, tables_of_a_first_start: Collection[str]) -> None:
    if config.database_url is not None:
        raise BackupRefused("a backup is restored into SQLite: leave PIXSTORE_DATABASE_URL unset")
    for part in (DATABASE_FILE, KEYRING_FILE, BLOBS_DIRECTORY):
        if not (directory / part).exists():
            raise BackupRefused(f"{directory} is not a whole backup: {part} is missing")
    has_blobs = any(True for _ in LocalBlobs(config.blobs_path).blobs())
    if not _is_unused(config.sqlite_path, tables_of_a_first_start) or (
        has_blobs and not _was_interrupted(config, directory)
    ):
        raise BackupRefused(
            f"there is a store in {config.data_dir} already: move it away, or restore somewhere else. If it is what a "
            "restore put there that was interrupted while it opened the images, check --deep opens them"
        )


def _is_unused(database_path: Path, tables_of_a_first_start: Collection[str]) -> bool:
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
            and name not in tables_of_a_first_start
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


def _copy_file(source: Path, target: Path) -> None:
    temporary = target.with_name(f".{target.name}.tmp")
    shutil.copyfile(source, temporary)
    temporary.chmod(PRIVATE_FILE)
    sync_file(temporary)
    temporary.replace(target)
    sync_directory(target.parent)
