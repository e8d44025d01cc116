"""
The folder that an import reads: which of its files may be pictures, and their bytes. Nothing in it is ever written.

Whoever can write to the folder may be hostile, and may change it while it is read. So every path is opened from the folder
downwards, one name at a time, and no symbolic link is followed; only regular files are read, and no more of one than an image
may have. Paths are relative to the folder, with `/` between names. Imports ``formats`` and ``errors``.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pixstore import formats
from pixstore.errors import ImageRejected, UnreadableFile

READ_ATTEMPTS = 3

SIDECARS = (".xmp", ".json", ".aae", ".thm")
"""How names of files end that only describe a picture beside them."""

FOREIGN_FILES = frozenset({"thumbs.db", "desktop.ini"})
"""What other systems leave in a folder of photos, beside hidden files."""

_HEAD = 64  # bytes: enough to tell an image from anything else


class SourceFile(NamedTuple):
    """A file that may be a picture, and the folder it is in; that of files at the top is empty."""

    path: str
    folder: str


@dataclass
class FoundFiles:
    """The files of a folder; how many hidden files and sidecars there are beside them; and what cannot be read, with the reason."""

    files: list[SourceFile] = field(default_factory=list)
    ignored: int = 0
    not_followed: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)


class ImportSource:
    """The folder *root*, opened until ``close``."""

    def __init__(self, root: Path) -> None:
        """
        Open the folder.

        Raises:
            UnreadableFile: If it cannot be read.
        """
        with _named_errors():
            self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._root)

    def find(self) -> FoundFiles:
        """Return the files of the folder and of every folder in it, by name."""
        found, folders = FoundFiles(), [""]
        while folders:
            folder = folders.pop()
            try:
                inside = self._list(folder, found)
            except UnreadableFile as error:
                found.unreadable[folder or "."] = str(error)
                continue
            folders += reversed(inside)
        return found

    def read(self, path: str, *, max_bytes: int) -> bytes:
        """
        Return the bytes of the file *path*.

        Raises:
            ImageRejected: If it is no image, or has more than *max_bytes*.
            UnreadableFile: If it cannot be read, or is being changed all the time.
        """
        for _ in range(READ_ATTEMPTS):
            with self._opened(path, os.O_RDONLY | os.O_NONBLOCK) as descriptor:
                data = _read_unchanged(descriptor, max_bytes)
            if data is not None:
                return data
        raise UnreadableFile("it changes while it is read")

    def _list(self, folder: str, found: FoundFiles) -> list[str]:
        """Add the files of *folder* to *found*, and return the folders in it."""
        inside = []
        with (
            self._opened(folder, os.O_RDONLY | os.O_DIRECTORY) as descriptor,
            os.scandir(descriptor) as listing,
        ):
            for entry in sorted(listing, key=lambda entry: entry.name):
                path = f"{folder}/{entry.name}" if folder else entry.name
                if _is_ignored(entry.name):
                    found.ignored += 1
                elif entry.is_symlink():
                    found.not_followed[path] = "a symbolic link, which is not followed"
                elif entry.is_dir(follow_symlinks=False):
                    inside.append(path)
                elif entry.is_file(follow_symlinks=False):
                    found.files.append(SourceFile(path, folder))
                else:
                    found.not_followed[path] = "not a regular file"
        return inside

    @contextmanager
    def _opened(self, path: str, flags: int) -> Iterator[int]:
        """Yield a descriptor of *path*. No part of the path may be a symbolic link."""
        with _named_errors():
            descriptor = self._open_beneath(path, flags)
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    def _open_beneath(self, path: str, flags: int) -> int:
        *folders, name = path.split("/") if path else ["."]
        here = os.dup(self._root)
        for part in folders:
            try:
                inner = os.open(
                    part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here
                )
            finally:
                os.close(here)
            here = inner
        try:
            return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
        finally:
            os.close(here)


def _is_ignored(name: str) -> bool:
    lower = name.lower()
    return lower.startswith(".") or lower.endswith(SIDECARS) or lower in FOREIGN_FILES


def _read_unchanged(descriptor: int, max_bytes: int) -> bytes | None:
    """Return the bytes of the file, or ``None`` if it was changed while it was read."""
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        raise UnreadableFile("it is not a regular file any more")
    with open(descriptor, "rb", closefd=False) as file:
        _check_head(file.read(_HEAD), before.st_size, max_bytes)
        file.seek(0)
        data = file.read(before.st_size + 1)
    after = os.fstat(descriptor)
    is_same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    return data if is_same and len(data) == before.st_size else None


def _check_head(head: bytes, size: int, max_bytes: int) -> None:
    """Refuse a file of *size* bytes by how it begins: a film of gigabytes is not read to find out that it is none."""
    if not head:
        raise ImageRejected("empty", "the file is empty")
    if formats.detect(head) is None:
        raise ImageRejected("not_an_image", "this is not an image we know")
    if size > max_bytes:
        has, allowed = size / 2**20, max_bytes / 2**20
        raise ImageRejected(
            "too_large", f"the image has {has:.1f} MiB, more than the {allowed:.1f} MiB allowed"
        )


@contextmanager
def _named_errors() -> Iterator[None]:
    """Turn what the operating system says into an error of this library, without the name of the file."""
    try:
        yield
    except OSError as error:
        raise UnreadableFile(f"it cannot be read: {error.strerror or type(error).__name__}") from error
