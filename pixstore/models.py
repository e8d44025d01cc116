"""
The Peewee models of the store, and how a database is opened and brought up to date. Imports ``config``, ``errors``,
``files``.

Models are declared without a database. ``StoreModels(database)`` makes the ones of one database, so several stores can
be open in one process.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import peewee
from playhouse.db_url import connect as connect_url
from playhouse.migrations import Runner
from playhouse.pool import MaxConnectionsExceeded, PooledSqliteDatabase

from pixstore.config import Config
from pixstore.crypto import IV_SIZE, TAG_SIZE, WRAPPED_KEY_SIZE
from pixstore.errors import DatabaseUnavailable, RecordDamaged, StorageFull
from pixstore.files import locked, make_directory, storage_errors
from pixstore.ids import is_blob_id
from pixstore.wire import TOKEN_LIMIT

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_TABLE = "pixstore_migration"
MIGRATION_LOCK = 0x7069787374  # "pixst", the key of PostgreSQL's advisory lock

BUSY_TIMEOUT = 15
"""Seconds a write waits for others: SQLite's queue is unfair, so the longest wait is far above the usual one."""

MAX_CONNECTIONS = 64


class Image(peewee.Model):
    """The record of one image: which blob holds its current version, and what opens it."""

    id = peewee.TextField(primary_key=True)
    token = peewee.BigIntegerField()
    format = peewee.TextField()
    size = peewee.BigIntegerField()
    blob_id = peewee.TextField(unique=True)
    payload_offset = peewee.IntegerField()
    payload_size = peewee.BigIntegerField()
    store_key_id = peewee.TextField(index=True)
    wrapped_key = peewee.BlobField()
    iv = peewee.BlobField()
    tag = peewee.BlobField()
    written_at = peewee.BigIntegerField()

    class Meta:
        table_name = "image"

    def require_sound(self) -> None:
        """
        Check that the row holds what a store has written: SQLite would keep anything.

        Raises:
            RecordDamaged: If it does not.
        """
        numbers = (self.token, self.size, self.payload_offset, self.payload_size, self.written_at)
        sealed = ((self.wrapped_key, WRAPPED_KEY_SIZE), (self.iv, IV_SIZE), (self.tag, TAG_SIZE))
        is_sound = (
            all(type(number) is int and 0 <= number < TOKEN_LIMIT for number in numbers)
            and all(isinstance(value, bytes | memoryview) and len(value) == size for value, size in sealed)
            and all(isinstance(text, str) for text in (self.format, self.blob_id, self.store_key_id))
            and is_blob_id(self.blob_id)
        )
        if not is_sound:
            raise RecordDamaged(self.id)


class DeadBlob(peewee.Model):
    """A blob that no record names any more and that is still to be removed: no restart forgets it."""

    blob_id = peewee.TextField(primary_key=True)
    dead_at = peewee.BigIntegerField()

    class Meta:
        table_name = "dead_blob"


class Hold(peewee.Model):
    """Somebody (a backup) who needs dead blobs to stay until a time; no restart and no crash holds them for ever."""

    name = peewee.TextField(primary_key=True)
    until = peewee.BigIntegerField()

    class Meta:
        table_name = "hold"


_Model = TypeVar("_Model", bound=peewee.Model)


class StoreModels:
    """The models of the store, bound to one database."""

    def __init__(self, database: peewee.Database) -> None:
        self.image: type[Image] = _bound(Image, database)
        self.dead_blob: type[DeadBlob] = _bound(DeadBlob, database)
        self.hold: type[Hold] = _bound(Hold, database)


def _bound(model: type[_Model], database: peewee.Database) -> type[_Model]:
    meta = type("Meta", (), {"database": database, "table_name": model._meta.table_name})
    return type(model.__name__, (model,), {"Meta": meta})


def open_database(config: Config) -> peewee.Database:
    """
    Return the pooled database that *config* names, its schema up to date.

    Raises:
        DatabaseUnavailable: If it cannot be reached or read.
    """
    with translated_errors(), storage_errors(f"the database {config.sqlite_path} cannot be used"):
        database = _connect(config)
        apply_migrations(database, MIGRATIONS, MIGRATION_TABLE)
    return database


def _connect(config: Config) -> peewee.Database:
    if config.database_url is not None:
        url = "postgresql+pool" + config.database_url[config.database_url.index("://") :]
        pool = {"max_connections": MAX_CONNECTIONS, "timeout": BUSY_TIMEOUT}
        opened: peewee.Database = connect_url(url, unquote_password=True, unquote_user=True, **pool)
        return opened
    make_directory(config.sqlite_path.parent)
    return PooledSqliteDatabase(
        str(config.sqlite_path),
        max_connections=MAX_CONNECTIONS,
        timeout=BUSY_TIMEOUT,
        check_same_thread=False,  # the pool lends a connection to one thread at a time, not always to the same
        lock_type="IMMEDIATE",  # a deferred transaction that turns into a write fails at once when another writes
        pragmas=[
            ("journal_mode", "wal"),
            ("synchronous", "full"),  # with NORMAL a power cut undoes commits whose old blob is already gone
            ("foreign_keys", 1),
            ("secure_delete", 1),
            ("busy_timeout", BUSY_TIMEOUT * 1000),
        ],
    )


def apply_migrations(database: peewee.Database, directory: Path, table_name: str) -> list[str]:
    """Bring the schema of *database* up to date from *directory*, one process at a time; return what was applied."""
    with _alone(database), database.connection_context():
        applied: list[str] = Runner(database, str(directory), table_name=table_name).up()
        return applied


@contextmanager
def _alone(database: peewee.Database) -> Iterator[None]:
    if isinstance(database, peewee.SqliteDatabase):
        # Before the first connection: turning a new file to WAL fails at once where two do it together.
        with locked(Path(f"{database.database}.lock")):
            yield
        return
    with database.connection_context():
        database.execute_sql("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
        try:
            yield
        finally:
            database.execute_sql("SELECT pg_advisory_unlock(%s)", (MIGRATION_LOCK,))


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn the driver's complaints about the database itself into errors of this library."""
    try:
        yield
    except (peewee.OperationalError, peewee.InterfaceError, peewee.InternalError) as error:
        if "full" in str(error) or "No space" in str(error):
            raise StorageFull(f"there is no room for the database: {error}") from error
        raise DatabaseUnavailable(f"the database is not available: {error}") from error
    except MaxConnectionsExceeded as error:
        raise DatabaseUnavailable("every connection to the database is in use") from error
    except peewee.DatabaseError as error:
        if (
            type(error) is not peewee.DatabaseError
        ):  # IntegrityError and its kind speak of the data, not the database
            raise
        raise DatabaseUnavailable(f"the database is damaged: {error}") from error


def lock_rows(query: Any, database: peewee.Database) -> Any:
    """Return *query* locking its rows where the database locks rows; SQLite's write transaction is one lock already."""
    return query.for_update() if database.for_update else query
