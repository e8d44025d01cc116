"""
Opening a database, bringing its schema up to date, and naming its errors. Imports ``config``, ``errors``, ``files``.

The store's tables are in ``models``. An application may keep tables of its own in the same database, with migrations of
their own (``apply_migrations``).
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import peewee
from playhouse.db_url import connect as connect_url
from playhouse.migrations import Runner
from playhouse.pool import MaxConnectionsExceeded, PooledDatabase, PooledSqliteDatabase

from pixstore.config import Config
from pixstore.errors import DatabaseUnavailable, StorageFull
from pixstore.files import PRIVATE_FILE, locked, make_directory, make_private_file, storage_errors

BUSY_TIMEOUT = 15
"""Seconds that a write waits for other writers. SQLite's queue is unfair: the longest wait is far above the usual one."""

MAX_CONNECTIONS = 64

_MIGRATION_LOCK = 0x7069787374  # "pixst", the key of PostgreSQL's advisory lock


class _QueuedSqlite(PooledSqliteDatabase):
    """
    A pooled SQLite database, whose write transactions wait for each other in a queue, as far as they are of one process.

    SQLite has no queue: a writer that has to wait sleeps, for longer and longer, and asks again. Among threads a lock does
    better, and a transaction that has its turn meets only those of other processes.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)  # type: ignore[no-untyped-call] # peewee has no types for its pool
        self._turn = threading.RLock()

    def begin(self, lock_type: str | None = None) -> None:
        """Wait for the other transactions of this process, then begin."""
        if not self._turn.acquire(timeout=BUSY_TIMEOUT):
            raise peewee.OperationalError("other transactions of this program take too long")
        try:
            super().begin(lock_type)
        except BaseException:
            self._turn.release()
            raise

    def commit(self) -> None:
        """Commit, and let the next transaction begin. If the commit fails, peewee rolls back."""
        try:
            super().commit()
        except Exception:
            raise
        except BaseException:  # peewee does not roll back for these
            self.rollback()
            raise
        self._end_turn()

    def rollback(self) -> None:
        """Roll back, and let the next transaction begin."""
        try:
            super().rollback()
        finally:
            self._end_turn()

    def _end_turn(self) -> None:
        with suppress(RuntimeError):  # released already: after a failed commit, peewee rolls back
            self._turn.release()

    def dispose(self) -> None:
        """Forget the connections and the lock of the parent process, after a fork."""
        super().dispose()  # type: ignore[no-untyped-call] # as above
        self._turn = threading.RLock()


def connect(config: Config) -> peewee.Database:
    """Return the pooled database that *config* names, without migrations. Connections open when needed."""
    if config.database_url is not None:
        url = "postgresql+pool" + config.database_url[config.database_url.index("://") :]
        pool = {"max_connections": MAX_CONNECTIONS, "timeout": BUSY_TIMEOUT}
        opened: peewee.Database = connect_url(url, unquote_password=True, unquote_user=True, **pool)
        return opened
    with storage_errors(f"the database {config.sqlite_path} cannot be used"):
        make_directory(config.sqlite_path.parent)
        _make_private(config.sqlite_path)
    return _QueuedSqlite(
        str(config.sqlite_path),
        max_connections=MAX_CONNECTIONS,
        timeout=BUSY_TIMEOUT,
        check_same_thread=False,  # a connection is used by one thread at a time, but not always the same
        lock_type="IMMEDIATE",  # a deferred transaction that becomes a write fails at once while another one writes
        pragmas=[
            ("journal_mode", "wal"),
            ("synchronous", "full"),  # with NORMAL, a power cut undoes commits whose old blob is already gone
            ("foreign_keys", 1),
            ("secure_delete", 1),
            ("busy_timeout", BUSY_TIMEOUT * 1000),
        ],
    )


def _make_private(path: Path) -> None:
    """Let only this user read the database. SQLite gives its other files the mode of this one."""
    make_private_file(path)
    for suffix in ("-wal", "-shm"):  # an earlier release may have made them with another mode
        beside = path.with_name(path.name + suffix)
        with suppress(FileNotFoundError):
            beside.chmod(PRIVATE_FILE)


def close_database(database: peewee.Database) -> None:
    """Close every connection of the pool."""
    cast("PooledDatabase", database).close_all()


@contextmanager
def connected(database: peewee.Database) -> Iterator[None]:
    """Hold one connection for this thread, and translate errors of the block. Nested calls share the connection."""
    with translated_errors(), database.connection_context():
        yield


def apply_migrations(database: peewee.Database, directory: Path, table_name: str) -> list[str]:
    """
    Bring the schema of *database* up to date from the scripts in *directory*, one process at a time.

    Return the names of the scripts that were applied; *table_name* is the table that remembers them.

    Raises:
        DatabaseUnavailable: If the database cannot be reached or read.
    """
    what = f"the schema of the database {database.database} could not be brought up to date"
    with translated_errors(), storage_errors(what), _alone(database), database.connection_context():
        applied: list[str] = Runner(database, str(directory), table_name=table_name).up()
        return applied


@contextmanager
def _alone(database: peewee.Database) -> Iterator[None]:
    if isinstance(database, peewee.SqliteDatabase):
        # Taken before the first connection: switching a new file to WAL fails at once if two processes do it together.
        with locked(Path(f"{database.database}.lock")):
            yield
        return
    with database.connection_context():
        database.execute_sql("SELECT pg_advisory_lock(%s)", (_MIGRATION_LOCK,))
        try:
            yield
        finally:
            database.execute_sql("SELECT pg_advisory_unlock(%s)", (_MIGRATION_LOCK,))


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn a driver's errors about the database itself into errors of this library."""
    try:
        yield
    except (peewee.OperationalError, peewee.InterfaceError, peewee.InternalError) as error:
        if "full" in str(error) or "No space" in str(error):
            raise StorageFull(f"there is no room for the database: {error}") from error
        raise DatabaseUnavailable(f"the database is not available: {error}") from error
    except MaxConnectionsExceeded as error:
        raise DatabaseUnavailable("every connection to the database is in use") from error
    except peewee.DatabaseError as error:
        # Subclasses such as IntegrityError are about the data, not about the database.
        if type(error) is not peewee.DatabaseError:
            raise
        raise DatabaseUnavailable(f"the database is damaged: {error}") from error


def lock_rows(query: Any, database: peewee.Database) -> Any:
    """Return *query* with a lock on its rows. SQLite needs none: it has one write transaction at a time."""
    return query.for_update() if database.for_update else query
