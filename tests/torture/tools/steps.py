"""
Every step of an operation that touches disk or database, counted, and one of them made to fail or to be the last.

    with Steps(root, at=7, fault=Fault.KILL) as steps:    without *at* it only counts: steps.names
        store = …                                         opened here, so that SQLite's steps are seen
        with steps.counted():
            operation()                                   the process ends before step 7

Watched are the functions of ``os`` that change files, every file opened below *root* and what is written to it, the
statements of Peewee, and SQLite's own writes and syncs. An audit hook of the interpreter sees files that change by other
means: they are listed in ``unseen``, so that a new kind of step cannot be forgotten.
"""

import builtins
import errno
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any, Self
from unittest import mock

import peewee

from tests.torture.tools import sqlite_vfs

KILLED = 86
"""Exit status of a process that was stopped by ``Fault.KILL``."""


class Fault(Enum):
    """What happens at the chosen step."""

    KILL = "the process ends before it"
    ERROR_BEFORE = "it fails"
    ERROR_AFTER = "it is done, but reports a failure"
    BROKEN_FROM = "it fails, and so does every step after it"
    INTERRUPT_BEFORE = "the program is interrupted before it"
    INTERRUPT_AFTER = "the program is interrupted after it"


class Interrupted(BaseException):
    """What ends a program from inside: like KeyboardInterrupt, no error of disk or database."""


_BEFORE = {Fault.KILL, Fault.ERROR_BEFORE, Fault.BROKEN_FROM, Fault.INTERRUPT_BEFORE}
_INTERRUPTS = {Fault.INTERRUPT_BEFORE, Fault.INTERRUPT_AFTER}

_PATH_FUNCTIONS = (
    "rename",
    "replace",
    "unlink",
    "remove",
    "mkdir",
    "rmdir",
    "link",
    "symlink",
    "truncate",
    "chmod",
)
_DESCRIPTOR_FUNCTIONS = ("fsync", "fdatasync", "ftruncate", "write", "pwrite", "sendfile", "copy_file_range")
_AUDITED = (
    "open",
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
)
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Steps:
    """Counts the steps below *root* while it is entered, and lets step *at* end as *fault* says."""

    def __init__(
        self, root: Path, *, at: int | None = None, fault: Fault = Fault.KILL, error: int = errno.EIO
    ) -> None:
        self.names: list[str] = []
        self.unseen: list[str] = []
        self._root = os.fspath(root) + "/"
        self._at, self._fault, self._error = at, fault, error
        self._inside = threading.local()
        self._one_at_a_time = threading.RLock()
        self._active = False
        self._patches: list[Any] = []
        self._watching: Any = None

    def __enter__(self) -> Self:
        for name in _PATH_FUNCTIONS + _DESCRIPTOR_FUNCTIONS + ("open",):
            if hasattr(os, name):
                self._patch(os, name, self._os_function(name, getattr(os, name)))
        for module in (builtins, io):
            self._patch(module, "open", self._opener(module.open))
        for name in ("execute_sql", "begin", "commit", "rollback"):
            self._patch(
                peewee.SqliteDatabase, name, self._statement(name, getattr(peewee.SqliteDatabase, name))
            )
        self._watching = sqlite_vfs.watching(self._file_operation)
        self._watching.__enter__()
        _audit_hook().listeners.append(self._audit)
        return self

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count, and let the chosen step fail, inside this block."""
        self._active = True
        try:
            yield
        finally:
            self._active = False

    def __exit__(self, *_: object) -> None:
        _audit_hook().listeners.remove(self._audit)
        self._watching.__exit__(None, None, None)
        while self._patches:
            self._patches.pop().stop()

    # --- one step

    def _step(self, name: str, error: Callable[[], BaseException], do: Callable[[], Any]) -> Any:
        if not self._active or self._is_inside():
            return do()
        with self._one_at_a_time:  # the puts of one unit of work run in several threads
            return self._counted_step(name, error, do)

    def _counted_step(self, name: str, error: Callable[[], BaseException], do: Callable[[], Any]) -> Any:
        number = len(self.names)
        self.names.append(name)
        is_hit = number == self._at or (
            self._fault is Fault.BROKEN_FROM and self._at is not None and number >= self._at
        )
        if is_hit and self._fault in _BEFORE:
            self._fail(error)
        self._inside.depth = 1
        try:
            result = do()
        finally:
            self._inside.depth = 0
        if is_hit:
            self._fail(error)
        return result

    def _is_inside(self) -> bool:
        """Tell whether this thread is within a counted step."""
        return bool(getattr(self._inside, "depth", 0))

    def _fail(self, error: Callable[[], BaseException]) -> None:
        if self._fault is Fault.KILL:
            os._exit(KILLED)
        raise Interrupted if self._fault in _INTERRUPTS else error()

    # --- where steps come from

    def _os_function(self, name: str, usual: Callable[..., Any]) -> Callable[..., Any]:
        def counted(first: Any, *rest: Any, **named: Any) -> Any:
            path = self._path(first)
            if path is None:
                return usual(first, *rest, **named)
            return self._step(
                f"{name} {self._short(path)}", self._os_error, lambda: usual(first, *rest, **named)
            )

        return counted

    def _opener(self, usual: Callable[..., Any]) -> Callable[..., Any]:
        def opened(file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **named: Any) -> Any:
            path = self._path(file)
            if path is None:
                return usual(file, mode, buffering, *rest, **named)
            is_binary_write = "b" in mode and any(letter in mode for letter in "wax+")

            def open_it() -> Any:
                if not is_binary_write:
                    return usual(file, mode, buffering, *rest, **named)
                raw = _CountedFile(file, mode.replace("b", ""))
                raw.step = lambda do: self._step(f"write {self._short(path)}", self._os_error, do)
                return raw if buffering == 0 else io.BufferedWriter(raw)

            if isinstance(file, int):  # opened already, by os.open
                return open_it()
            return self._step(f"open {self._short(path)}", self._os_error, open_it)

        return opened

    def _statement(self, name: str, usual: Callable[..., Any]) -> Callable[..., Any]:
        def counted(database: Any, *rest: Any, **named: Any) -> Any:
            words = f"{rest[0][:24]}…" if name == "execute_sql" else name
            return self._nested(
                f"database {words}",
                lambda: peewee.OperationalError("disk I/O error"),
                lambda: usual(database, *rest, **named),
            )

        return counted

    def _nested(self, name: str, error: Callable[[], BaseException], do: Callable[[], Any]) -> Any:
        """Count a step inside which other steps are counted too: a statement and what SQLite does for it."""
        is_after = self._fault in (Fault.ERROR_AFTER, Fault.INTERRUPT_AFTER)
        if is_after:
            result = do()
            self._step(name, error, lambda: None)
            return result
        self._step(name, error, lambda: None)
        return do()

    def _file_operation(self, name: str, path: str, do: Callable[[], int]) -> int:
        if (
            not path.startswith(self._root) or self._fault in _INTERRUPTS
        ):  # Python is not interrupted inside SQLite
            return do()
        try:
            result: int = self._step(f"sqlite {name} {self._short(path)}", _SqliteError, do)
        except _SqliteError:
            if self._error == errno.ENOSPC and name in ("write", "create-journal", "create"):
                return sqlite_vfs.SQLITE_FULL
            return sqlite_vfs.IO_ERRORS.get(name, sqlite_vfs.SQLITE_CANTOPEN)
        return result

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._active or self._is_inside() or event not in _AUDITED or isinstance(arguments[0], int):
            return
        path = self._path(arguments[0])
        if path is None or (event == "open" and not (arguments[2] or 0) & _WRITE_FLAGS):
            return
        self.unseen.append(f"{event} {self._short(path)}")

    # --- parts of the above

    def _os_error(self) -> OSError:
        return OSError(self._error, os.strerror(self._error))

    def _path(self, file: Any) -> str | None:
        """Return the path of *file* (a path, or a descriptor) if it lies below the root."""
        if isinstance(file, int):
            try:
                file = os.readlink(f"/proc/self/fd/{file}")
            except OSError:
                return None
        try:
            path = os.fsdecode(file)
        except TypeError:
            return None
        return path if f"{path}/".startswith(self._root) else None

    def _short(self, path: str) -> str:
        """Return *path* without its random parts."""
        parts = path.removeprefix(self._root).split("/")
        return "/".join(part if len(part) < 26 and not _is_shard(part) else "*" for part in parts)

    def _patch(self, owner: Any, name: str, function: Any) -> None:
        patch = mock.patch.object(owner, name, function)
        patch.start()
        self._patches.append(patch)


class _SqliteError(Exception):
    """Becomes one of SQLite's result codes."""


class _CountedFile(io.FileIO):
    step: Callable[[Callable[[], Any]], Any]

    def write(self, data: Any) -> Any:
        return self.step(lambda: super(_CountedFile, self).write(data))


class _AuditHook:
    """The interpreter keeps an audit hook for ever, so there is one, and listeners come and go."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[str, tuple[Any, ...]], None]] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        for listener in self.listeners:
            listener(event, arguments)


_the_hook: list[_AuditHook] = []


def _audit_hook() -> _AuditHook:
    if not _the_hook:
        _the_hook.append(_AuditHook())
    return _the_hook[0]


def _is_shard(name: str) -> bool:
    return len(name) == 3 and all(letter in "0123456789abcdef" for letter in name)
