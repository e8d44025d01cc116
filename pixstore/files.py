"""Durable small files: atomic replacement, synced directories, locks between processes. Imports only ``errors``."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EDQUOT, EFBIG, ENOSPC
from pathlib import Path

from pixstore.errors import StorageError, StorageFull

PRIVATE_FILE = 0o600
PRIVATE_DIRECTORY = 0o700

_NO_ROOM = frozenset({ENOSPC, EDQUOT, EFBIG})


def make_directory(path: Path) -> None:
    """Make *path* and its parents, readable by this user alone. The new entries survive a power cut."""
    if path.is_dir():
        return
    make_directory(path.parent)
    with suppress(FileExistsError):
        path.mkdir(mode=PRIVATE_DIRECTORY)
    sync_directory(path.parent)


def sync_directory(path: Path | str) -> None:
    """Make the entries of directory *path* (made, renamed, removed) survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, data: bytes) -> None:
    """Write *data* to *path*, mode 0600: after a crash at any instant the file is the old one or the new one."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def make_private_file(path: Path) -> None:
    """Make an empty file *path* with mode 0600, or give an existing file that mode. The umask has no effect."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        os.fchmod(descriptor, PRIVATE_FILE)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """
    Hold the lock file *path* against every other process and thread; it is released even by a crash.

    Raises:
        BlockingIOError: Without *wait*, if another process or thread holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


@contextmanager
def storage_errors(what: str, name: str | None = None) -> Iterator[None]:
    """
    Turn an ``OSError`` into a ``StorageError``, or ``StorageFull`` if there is no room.

    Its message begins with *what*.
    """
    try:
        yield
    except OSError as error:
        kind = StorageFull if error.errno in _NO_ROOM else StorageError
        raise kind(f"{what}: {error.strerror or error}", name=name) from error
