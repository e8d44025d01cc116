"""
Keeps the files of one upload form on the disk, sealed, until they are stored.

Imports the core's ``crypto`` and ``files``.

A form may be larger than the free memory, and its files are needed one at a time. So each piece that arrives
is sealed under a key that exists only in this object, and written to a file without a name. When the form is
done, or the process ends for any reason, the file is gone and nobody can read its content.
"""

import itertools
import os
import secrets
from pathlib import Path
from typing import NamedTuple

from pixstore import crypto
from pixstore.crypto import Buffer
from pixstore.errors import StorageError
from pixstore.files import PRIVATE_FILE, storage_errors


class _Piece(NamedTuple):
    """The place of a sealed piece in the file."""

    at: int
    length: int


class Spool:
    """The files of one form, one after the other in one file. The file is made when the first byte arrives."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor: int | None = None
        self._end = 0
        self._key = secrets.token_bytes(crypto.KEY_SIZE)
        self._nonces = itertools.count()

    def new_file(self, limit: int) -> "SpooledFile":
        """Return an empty file. Bytes written beyond *limit* are dropped."""
        return SpooledFile(self, limit)

    def close(self) -> None:
        """Close the file. Its content is lost."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def append(self, data: Buffer) -> _Piece:
        """
        Seal and write *data*.

        Raises:
            StorageError: If the file cannot be written, for example because the disk is full.
        """
        nonce = next(self._nonces).to_bytes(crypto.IV_SIZE, "big")
        sealed = memoryview(crypto.wrap(bytes(data), key=self._key, nonce=nonce, associated_data=b""))
        piece = _Piece(self._end, len(sealed))
        with storage_errors("the upload could not be written"):
            if self._descriptor is None:
                self._descriptor = _nameless_file(self._directory)
            while sealed:
                written = os.pwrite(self._descriptor, sealed, self._end)
                self._end += written
                sealed = sealed[written:]
        return piece

    def read(self, piece: _Piece) -> bytes:
        """
        Return the data that ``append`` wrote as *piece*.

        Raises:
            StorageError: If the file cannot be read.
        """
        if self._descriptor is None:
            raise StorageError("the upload is gone already")
        with storage_errors("the upload could not be read"):
            sealed = os.pread(self._descriptor, piece.length, piece.at)
        return crypto.unwrap(sealed, key=self._key, associated_data=b"")


class SpooledFile:
    """
    One file of a form, with the methods that the form parser calls: it is written from start to end, then
    read as a whole.
    """

    def __init__(self, spool: Spool, limit: int) -> None:
        self.size = 0
        self._spool, self._limit = spool, limit
        self._pieces: list[_Piece] = []

    def write(self, data: Buffer) -> int:
        """Keep *data* up to the limit. Return its full length, because the form parser expects that."""
        view = memoryview(data)
        kept = view[: max(0, self._limit - self.size)]
        if kept:
            self._pieces.append(self._spool.append(kept))
            self.size += kept.nbytes
        return view.nbytes

    def seek(self, position: int) -> int:
        """Do nothing: ``read`` always begins at the start."""
        return position

    def read(self) -> bytes:
        """Return the whole content."""
        return b"".join([self._spool.read(piece) for piece in self._pieces])

    def close(self) -> None:
        """Do nothing: the spool is closed with the form."""


def _nameless_file(directory: Path) -> int:
    """Return the descriptor of a file in *directory* that has no name."""
    try:
        return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, PRIVATE_FILE)
    except (OSError, AttributeError):  # not every system and file system supports O_TMPFILE
        path = directory / f".upload.{secrets.token_hex(16)}.tmp"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE)
        path.unlink()
        return descriptor
