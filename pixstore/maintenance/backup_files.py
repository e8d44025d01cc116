"""
The files of a backup, for ``backup`` and ``restore``. Imports ``blobs``, ``files``, ``keyring``.

    backup.json              the manifest; its seal shows a change of itself or of the snapshot
    pixstore-<random>.sqlite the snapshot of the database that backup.json names
    blobs/                   every blob that the snapshot names, and the copy of its keyring, in the layout of ``LocalBlobs``
    incomplete.json          used instead of backup.json if images could not be copied; an earlier backup stays

    backup.json = {"format": "pixstore-backup", "version": 1, "made_at": <ms>, "images": <number>,
                   "database": <file name>, "sha256": <hex digits>, "keyring": <name of the copy>,
                   "seal": <base64 of HMAC-SHA256 over the document without "seal", keys sorted, no blanks>}
    the key of the seal = HKDF(service secret of that keyring, "pixstore/v1/backup")

The master key is not in a backup and must be kept elsewhere. Without it, a thief cannot read the backup.
"""

import base64
import hashlib
import hmac
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pixstore.blobs import BlobStore
from pixstore.errors import BlobNotFound, PixstoreError, StorageError
from pixstore.files import replace_file, storage_errors
from pixstore.keyring import Keyring

MANIFEST = "backup.json"
INCOMPLETE_MANIFEST = "incomplete.json"
BLOBS_DIRECTORY = "blobs"
SNAPSHOTS = f"pixstore-{'[0-9a-f]' * 16}.sqlite"

LOCK = "backup.lock"
"""Locked while a backup is written. A directory with this file is known to be a backup."""

MANIFEST_FORMAT = "pixstore-backup"
MANIFEST_VERSION = 1
SEAL_LABEL = "pixstore/v1/backup"

FIRST_RELEASE_DATABASE = "pixstore.sqlite"
FIRST_RELEASE_KEYRING = "keyring.json"
"""Backups of release 0.1 have no manifest. Their layout is that of its data directory."""


class BackupRefused(PixstoreError):
    """The backup or restore was refused. Nothing was changed."""


@dataclass(frozen=True)
class Manifest:
    """
    The content of ``backup.json``.

    *database* and *keyring* are file names, *sha256* is the digest of the snapshot, *made_at* is in ms.
    """

    made_at: int
    images: int
    database: str
    sha256: str
    keyring: str

    def write(self, path: Path, keyring: Keyring) -> None:
        """Write the sealed manifest to *path*. Until this is done, an earlier manifest stays valid."""
        document: dict[str, Any] = {"format": MANIFEST_FORMAT, "version": MANIFEST_VERSION, **asdict(self)}
        document["seal"] = _seal(document, keyring)
        replace_file(path, json.dumps(document, indent=2).encode() + b"\n")


def read_manifest(path: Path) -> tuple[Manifest, dict[str, Any]]:
    """
    Return the manifest in *path*, and its JSON document for ``check_seal``.

    Raises:
        BackupRefused: If it is damaged, or of a newer release.
    """
    try:
        document = json.loads(path.read_bytes())
        is_ours = document["format"] == MANIFEST_FORMAT and document["version"] == MANIFEST_VERSION
        manifest = Manifest(**{name: document[name] for name in Manifest.__annotations__})
        names = (manifest.database, manifest.keyring)
        is_ours = is_ours and all(isinstance(name, str) and Path(name).name == name for name in names)
    except (ValueError, KeyError, TypeError, RecursionError):
        is_ours = False
    if not is_ours:
        raise BackupRefused(f"{path} is damaged, or was made by a newer release")
    return manifest, document


def check_seal(document: dict[str, Any], keyring: Keyring, snapshot: Path) -> None:
    """
    Check that neither the manifest nor the snapshot has been changed since they were made.

    Raises:
        BackupRefused: If one of them has been changed.
    """
    seal = document.get("seal")
    is_sealed = (
        isinstance(seal, str) and seal.isascii() and hmac.compare_digest(seal, _seal(document, keyring))
    )
    if not is_sealed or not hmac.compare_digest(str(document["sha256"]), file_digest(snapshot)):
        raise BackupRefused(
            f"{snapshot.parent} was changed after it was made, by something else than a backup"
        )


def file_digest(path: Path) -> str:
    """Return the SHA-256 of the file in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def named_blobs(snapshot: Path) -> list[str]:
    """Return the names of the blobs that the records in *snapshot* need."""
    with closing(open_sqlite(snapshot, "mode=ro&immutable=1")) as connection:
        return [blob_id for (blob_id,) in connection.execute("SELECT blob_id FROM image")]


def first_release_keyring(snapshot: Path) -> bytes | None:
    """
    Return the keyring in the snapshot of a backup of release 0.1, or ``None``.

    The file beside the snapshot may be older.
    """
    with closing(open_sqlite(snapshot, "mode=ro&immutable=1")) as connection:
        has_table = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'backup_keyring'").fetchone()
        found = connection.execute("SELECT document FROM backup_keyring").fetchone() if has_table else None
    return None if found is None else bytes(found[0])


def _seal(document: dict[str, Any], keyring: Keyring) -> str:
    unsealed = {name: value for name, value in document.items() if name != "seal"}
    message = json.dumps(unsealed, sort_keys=True, separators=(",", ":")).encode()
    return base64.b64encode(hmac.digest(keyring.secret(SEAL_LABEL), message, "sha256")).decode("ascii")


@contextmanager
def named_errors(what: str) -> Iterator[None]:
    """Turn errors of files, and of SQLite files opened here, into errors of this library."""
    try:
        with storage_errors(what):
            yield
    except sqlite3.Error as error:
        raise StorageError(f"{what}: {error}") from error


def open_sqlite(path: Path, options: str) -> sqlite3.Connection:
    """Return a connection to the existing database in *path*. *options* are those of a SQLite URI."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?{options}", uri=True)


def copy_blob(source: BlobStore, target: BlobStore, blob_id: str) -> bool:
    """Copy one blob; return whether *source* has it."""
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
