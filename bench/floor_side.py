"""
What the same work costs at least, with `os`, `cryptography` and `sqlite3` alone, behind the protocol of `side_loop.py`.

    save, update   AES-256-GCM, write, fsync, rename, fsync of the directory, and one commit of a row as large as the store's
    delete         one commit; the file is removed later
    look           the store's own SELECT on the store's own database, and the unwrapping of one key

Nothing is checked, derived, shared or recovered here: no durable store can be faster on this disk, and none would be this bare.
"""

import json
import os
import secrets
import sqlite3
import sys
import threading
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from side_loop import serve

COLUMNS = "id, token, format, size, blob_id, payload_offset, payload_size, store_key_id, wrapped_key, iv, tag, written_at"
SCHEMA = """CREATE TABLE IF NOT EXISTS image (
    id TEXT NOT NULL PRIMARY KEY, token BIGINT NOT NULL, format TEXT NOT NULL, size BIGINT NOT NULL,
    blob_id TEXT NOT NULL UNIQUE, payload_offset INTEGER NOT NULL, payload_size BIGINT NOT NULL,
    store_key_id TEXT NOT NULL, wrapped_key BLOB NOT NULL, iv BLOB NOT NULL, tag BLOB NOT NULL,
    written_at BIGINT NOT NULL)"""


class Side:
    """Files in one directory and a database beside it. *database* is the store's, for look-ups."""

    def __init__(self, directory: str, database: str) -> None:
        self._root = Path(directory)
        self._database = database
        self._one_writer = threading.Lock()
        self._rows = _connect(self._root / "rows.sqlite")
        self._rows.execute(SCHEMA)
        self._data: dict[str, bytes] = {}
        self._made: dict[str, list[str]] = {}
        self._blobs: dict[str, str] = {}
        self._dead: list[str] = []
        self._known: list[str] = []
        self._of_thread = threading.local()
        self._wrapping = AESGCM(secrets.token_bytes(32))
        self._wrapped = secrets.token_bytes(12)
        self._wrapped += self._wrapping.encrypt(self._wrapped, secrets.token_bytes(32), b"place" * 16)

    def save(self, file: str, _: int) -> None:
        """Make the file durable, sealed, under a new name."""
        image_id = secrets.token_hex(16)
        row = self._put(image_id, file)
        self._commit(f"INSERT INTO image ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        self._made.setdefault(file, []).append(image_id)

    def update(self, file: str, number: int) -> None:
        """Do the same for an image that is there, and put off the removal of its file."""
        image_id = self._made[file][number]
        self._dead.append(self._blobs[image_id])
        row = self._put(image_id, file)
        places = ", ".join(f"{name} = ?" for name in COLUMNS.split(", "))
        self._commit(f"UPDATE image SET {places} WHERE id = ?", (*row, image_id))

    def delete(self, file: str, _: int) -> None:
        """Remove the row, and put off the removal of the file."""
        image_id = self._made[file].pop()
        self._dead.append(self._blobs.pop(image_id))
        self._commit("DELETE FROM image WHERE id = ?", (image_id,))

    def look(self, _: str, number: int) -> None:
        """Read a row of the store, and unwrap a key."""
        connection = getattr(self._of_thread, "connection", None)
        if connection is None:
            connection = self._of_thread.connection = _connect(Path(self._database))
        image_id = self._known[number % len(self._known)]
        row = connection.execute(f"SELECT {COLUMNS} FROM image WHERE id = ?", (image_id,)).fetchone()
        if row is None:
            raise RuntimeError("the store has lost an image")
        self._wrapping.decrypt(self._wrapped[:12], self._wrapped[12:], b"place" * 16)

    def know(self, command: dict[str, Any]) -> dict[str, Any]:
        """Remember which images ``look`` asks for."""
        self._known = command["ids"]
        return {}

    def finish(self) -> None:
        """Remove the files of images that were replaced or deleted."""
        while self._dead:
            (self._root / self._dead.pop()).unlink()

    def _put(self, image_id: str, file: str) -> tuple[object, ...]:
        if file not in self._data:
            self._data[file] = Path(file).read_bytes()
        name, key, iv = secrets.token_hex(16), secrets.token_bytes(32), secrets.token_bytes(12)
        sealed = AESGCM(key).encrypt(iv, self._data[file], None)
        path = self._root / name
        descriptor = os.open(f"{path}.part", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, sealed)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(f"{path}.part", path)  # noqa: PTH104 - the floor is what os itself costs
        directory = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        self._blobs[image_id] = name
        size, wrapped = len(sealed), key + bytes(28)
        return image_id, 1, "jpg", size, name, 200, size, "0" * 16, wrapped, iv, sealed[-16:], 1

    def _commit(self, statement: str, values: tuple[object, ...]) -> None:
        with self._one_writer:
            self._rows.execute(statement, values)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=60, check_same_thread=False, isolation_level=None)
    connection.execute("PRAGMA journal_mode = wal")
    connection.execute("PRAGMA synchronous = full")
    return connection


def main() -> None:
    """Answer commands until stdin ends."""
    given = json.loads(sys.argv[1])
    side = Side(given["directory"], given.get("database", ""))
    operations = {"save": side.save, "update": side.update, "delete": side.delete, "look": side.look}
    serve(operations, {"know": side.know}, side.finish)


if __name__ == "__main__":
    main()
