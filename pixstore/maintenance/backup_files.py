"""
What lies in a backup, for those who write it and those who read it. Imports ``blobs``, ``files``, ``errors``.

    pixstore.sqlite    a snapshot of the database, with the keyring in a table of its own
    blobs/             every blob that the snapshot names, in the layout of ``LocalBlobs``
    keyring.json       the keyring of the snapshot; and its copy in blobs/

This is the layout of a data directory without the master key. The master key has to be kept elsewhere: without it a backup is
useless to a thief.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pixstore.blobs import BlobStore
from pixstore.blobs.local import LocalBlobs
from pixstore.errors import BlobNotFound, PixstoreError, StorageError
from pixstore.files import replace_file, storage_errors

DATABASE_FILE = "pixstore.sqlite"
BLOBS_DIRECTORY = "blobs"
KEYRING_FILE = "keyring.json"
KEYRING_TABLE = "backup_keyring"
"""In the snapshot. Database and keyring belong together, but only one file can be put in place at once."""


class BackupRefused(PixstoreError):
    """This backup or restore cannot be made. Nothing was changed."""


@contextmanager
def named_errors(what: str) -> Iterator[None]:
    """Turn errors of files, and of a database that is not the store's own, into errors of this library."""
    try:
        with storage_errors(what):
            yield
    except sqlite3.Error as error:
        raise StorageError(f"{what}: {error}") from error


def put_keyring_in_place(directory: Path) -> None:
    """If the backup in *directory* has a snapshot, make the keyring beside it the one that the snapshot came with."""
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


def copy_blob(source: BlobStore, target: BlobStore, blob_id: str) -> bool:
    """Copy one blob; return whether there was one."""
    try:
        with source.open(blob_id) as file:
            target.put(blob_id, [file.read()])
    except BlobNotFound:
        return False
    return True


def sync_file(path: Path) -> None:
    """Make the content of the file survive a power cut."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
