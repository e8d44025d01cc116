"""
SQLite's own file operations, made visible: a VFS in front of the usual one that tells a listener about every step.

SQLite is reached through the extension module that Python's ``sqlite3`` uses, so it is the same SQLite, only with other
functions in its table of file operations. ``available()`` tells whether that works with this build of Python.
"""

import _sqlite3
import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p

Listener = Callable[[str, str, Callable[[], int]], int]
"""Called with step, path and what does the step; returns SQLite's result code."""

SQLITE_OK = 0
SQLITE_FULL = 13
SQLITE_CANTOPEN = 14
IO_ERRORS = {"write": 778, "sync": 1034, "truncate": 1546, "remove": 2570, "create": SQLITE_CANTOPEN}

_OPEN_CREATE = 0x4
_OPEN_JOURNALS = 0x800 | 0x80000  # a rollback journal, a write-ahead log


class _IoMethods(Structure):
    _fields_ = (
        ("version", c_int),
        ("close", c_void_p),
        ("read", c_void_p),
        ("write", c_void_p),
        ("truncate", c_void_p),
        ("sync", c_void_p),
        *((f"other_{number}", c_void_p) for number in range(13)),
    )


class _File(Structure):
    _fields_ = (("methods", POINTER(_IoMethods)),)


class _Vfs(Structure):
    _fields_ = (
        ("version", c_int),
        ("os_file_size", c_int),
        ("max_path", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("app_data", c_void_p),
        ("open", c_void_p),
        ("delete", c_void_p),
        *((f"other_{number}", c_void_p) for number in range(14)),
    )


# A path is passed on as the pointer it came as: SQLite keeps it, and reads parameters behind its end.
_OPEN = CFUNCTYPE(c_int, c_void_p, c_void_p, POINTER(_File), c_int, c_void_p)
_DELETE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)
_WRITE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_TRUNCATE = CFUNCTYPE(c_int, c_void_p, c_int64)
_SYNC = CFUNCTYPE(c_int, c_void_p, c_int)


def available() -> bool:
    """Tell whether this Python's SQLite lets its file operations be watched."""
    return _library() is not None


@contextmanager
def watching(listener: Listener) -> Iterator[None]:
    """Tell *listener* about every step of SQLite connections that are opened inside the block."""
    library = _library()
    assert library is not None
    usual = library.sqlite3_vfs_find(None)
    shim = _Shim(usual.contents, listener)
    library.sqlite3_vfs_register(ctypes.byref(shim.vfs), 1)
    try:
        yield
    finally:
        library.sqlite3_vfs_unregister(ctypes.byref(shim.vfs))
        library.sqlite3_vfs_register(usual, 1)
        _kept.append(shim)  # a connection that is still open goes on calling it


_kept: list["_Shim"] = []


class _Shim:
    """A copy of the usual VFS in which opening and removing files, and three operations on them, are ours."""

    def __init__(self, usual: _Vfs, listener: Listener) -> None:
        self._listener = listener
        self._usual_open, self._usual_delete = _OPEN(usual.open), _DELETE(usual.delete)
        self._paths: dict[int, str] = {}
        self._methods: dict[int, tuple[_IoMethods, _IoMethods]] = {}
        self._open_here, self._delete_here = _OPEN(self._open), _DELETE(self._delete)
        self._write_here = _WRITE(self._write)
        self._truncate_here = _TRUNCATE(self._truncate)
        self._sync_here = _SYNC(self._sync)
        self.vfs = _Vfs.from_buffer_copy(usual)
        self.vfs.name = b"watched"
        self.vfs.open = ctypes.cast(self._open_here, c_void_p)
        self.vfs.delete = ctypes.cast(self._delete_here, c_void_p)

    def _open(self, vfs, path, file, flags, flags_out) -> int:
        name = _text(path)

        def open_it() -> int:
            result = self._usual_open(vfs, path, file, flags, flags_out)
            if result == SQLITE_OK:
                self._paths[ctypes.addressof(file.contents)] = name
                file.contents.methods = ctypes.pointer(self._watched(file.contents.methods))
            return result

        step = "create-journal" if flags & _OPEN_JOURNALS else "create"
        return self._listener(step, name, open_it) if flags & _OPEN_CREATE else open_it()

    def _delete(self, vfs, path, sync_directory) -> int:
        name = _text(path)
        return self._listener("remove", name, lambda: self._usual_delete(vfs, path, sync_directory))

    def _write(self, file, data, size, offset) -> int:
        usual = _WRITE(self._usual(file).write)
        return self._listener("write", self._paths[file], lambda: usual(file, data, size, offset))

    def _truncate(self, file, size) -> int:
        usual = _TRUNCATE(self._usual(file).truncate)
        return self._listener("truncate", self._paths[file], lambda: usual(file, size))

    def _sync(self, file, flags) -> int:
        usual = _SYNC(self._usual(file).sync)
        return self._listener("sync", self._paths[file], lambda: usual(file, flags))

    def _usual(self, file: int) -> _IoMethods:
        methods = _File.from_address(file).methods
        return self._methods[ctypes.addressof(methods.contents)][0]

    def _watched(self, methods) -> _IoMethods:
        """Return the methods of a file with ours among them; one copy for each kind of file."""
        for usual, watched in self._methods.values():
            if ctypes.addressof(usual) == ctypes.addressof(methods.contents):
                return watched
        usual = methods.contents
        watched = _IoMethods.from_buffer_copy(usual)
        watched.write = ctypes.cast(self._write_here, c_void_p)
        watched.truncate = ctypes.cast(self._truncate_here, c_void_p)
        watched.sync = ctypes.cast(self._sync_here, c_void_p)
        self._methods[ctypes.addressof(watched)] = (usual, watched)
        return watched


def _text(path: int | None) -> str:
    return ctypes.string_at(path).decode(errors="replace") if path else ""


def _library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(_sqlite3.__file__)
        library.sqlite3_vfs_find.restype = POINTER(_Vfs)
        library.sqlite3_vfs_find.argtypes = (c_char_p,)
        library.sqlite3_vfs_register.argtypes = (c_void_p, c_int)
        library.sqlite3_vfs_unregister.argtypes = (c_void_p,)
    except (AttributeError, OSError):
        return None
    return library
