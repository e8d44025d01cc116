"""
The store's tables and queries. Imports ``queries``, ``database``, ``errors``, and sizes and checks of row values.

Models are declared without a database. ``StoreModels(database)`` makes those of one database, so several stores can be open
in one process.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar, cast

import peewee

from pixstore.config import Config
from pixstore.crypto import IV_SIZE, TAG_SIZE, WRAPPED_KEY_SIZE
from pixstore.database import apply_migrations, close_database, connect, lock_rows
from pixstore.errors import RecordDamaged
from pixstore.ids import is_blob_id
from pixstore.queries import Query, Reader, argument
from pixstore.wire import TOKEN_LIMIT

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_TABLE = "pixstore_migration"


class KeyringRow(peewee.Model):
    """The keyring: one row, which has authority over its copies (``store_keyring``)."""

    id = peewee.IntegerField(primary_key=True)
    generation = peewee.BigIntegerField()
    document = peewee.BlobField()

    class Meta:
        table_name = "keyring"


class StoreKeyRow(peewee.Model):
    """A store key of the keyring. Rows that need the key refer to it, so it cannot be dropped."""

    id = peewee.TextField(primary_key=True)

    class Meta:
        table_name = "store_key"


class TextPurpose(peewee.Model):
    """A purpose for which texts may be sealed under a store key, somewhere in the database."""

    store_key_id: Any
    store_key = peewee.ForeignKeyField(
        StoreKeyRow, column_name="store_key_id", backref="+", lazy_load=False, index=False
    )
    purpose = peewee.TextField()

    class Meta:
        table_name = "text_purpose"
        primary_key = peewee.CompositeKey("store_key", "purpose")


class Image(peewee.Model):
    """The record of one image: the blob of its current version, and the key, IV and tag to open it."""

    store_key_id: Any
    id = peewee.TextField(primary_key=True)
    token = peewee.BigIntegerField()
    format = peewee.TextField()
    size = peewee.BigIntegerField()
    blob_id = peewee.TextField(unique=True)
    payload_offset = peewee.IntegerField()
    payload_size = peewee.BigIntegerField()
    store_key = peewee.ForeignKeyField(
        StoreKeyRow, column_name="store_key_id", backref="+", lazy_load=False, index=False
    )
    wrapped_key = peewee.BlobField()
    iv = peewee.BlobField()
    tag = peewee.BlobField()
    written_at = peewee.BigIntegerField()

    class Meta:
        table_name = "image"


class DeadBlob(peewee.Model):
    """A blob that no record names any more and that is not removed yet. No restart forgets it."""

    blob_id = peewee.TextField(primary_key=True)
    dead_at = peewee.BigIntegerField()

    class Meta:
        table_name = "dead_blob"


class Hold(peewee.Model):
    """A hold on dead blobs, such as that of a backup. It ends at *until*, also if its holder crashes."""

    name = peewee.TextField(primary_key=True)
    until = peewee.BigIntegerField()

    class Meta:
        table_name = "hold"


class ImageRow(NamedTuple):
    """One row of the table ``image``, with checked values. Its ``repr`` shows no key, IV or tag."""

    id: str
    token: int
    format: str
    size: int
    blob_id: str
    payload_offset: int
    payload_size: int
    store_key_id: str
    wrapped_key: bytes
    iv: bytes
    tag: bytes
    written_at: int

    def __repr__(self) -> str:
        return f"ImageRow(id={self.id!r}, token={self.token}, blob_id={self.blob_id!r})"

    @classmethod
    def from_values(cls, values: Sequence[Any]) -> Self:
        """
        Return the row whose columns are *values*.

        Raises:
            RecordDamaged: If no store can have written these values. SQLite keeps any type in any column.
        """
        if memoryview in map(type, values):  # PostgreSQL's driver returns bytes as memoryview
            values = [bytes(value) if isinstance(value, memoryview) else value for value in values]
        row = cls._make(values)
        if not _is_sound(row):
            raise RecordDamaged(row.id)
        return row


class CurrentVersion(NamedTuple):
    """Blob id and token of a row. They are not checked, so that a damaged row can still be deleted."""

    blob_id: str
    token: int


_Model = TypeVar("_Model", bound=peewee.Model)


class StoreModels:
    """The models of the store, bound to one database, and the queries that more than one module needs."""

    def __init__(self, database: peewee.Database) -> None:
        self.database = database
        self.keyring: type[KeyringRow] = bound_model(KeyringRow, database)
        self.store_key: type[StoreKeyRow] = bound_model(StoreKeyRow, database)
        self.text_purpose: type[TextPurpose] = bound_model(TextPurpose, database)
        self.image: type[Image] = bound_model(Image, database)
        self.dead_blob: type[DeadBlob] = bound_model(DeadBlob, database)
        self.hold: type[Hold] = bound_model(Hold, database)
        self.reader = Reader(database)
        self._columns = tuple(self.image._meta.columns[name] for name in ImageRow._fields)
        self._put_queries_together()

    def read_image(self, image_id: str) -> ImageRow | None:
        """
        Return the row of the image, or ``None``.

        Raises:
            RecordDamaged: If the row is damaged.
        """
        found = self.reader.rows(self._images_of(1), image_id)
        return ImageRow.from_values(found[0]) if found else None

    def read_images(self, image_ids: Collection[str]) -> dict[str, ImageRow | RecordDamaged]:
        """Return the rows of the images that exist, with one query. For a damaged row, the value is the error."""
        if not image_ids:
            return {}
        asked = list(image_ids)
        # Repeat the last id up to a power of two, so that few different queries have to be built.
        length = 1 << (len(asked) - 1).bit_length()
        asked += [asked[-1]] * (length - len(asked))
        found = self.reader.rows(self._images_of(length), *asked)
        return {values[0]: _checked(values) for values in found}

    def lock_image(self, image_id: str) -> CurrentVersion | None:
        """Return the current version of the image, or ``None``, and lock it until the transaction ends."""
        values = self._execute(self._lock_image, image_id).fetchone()
        return None if values is None else CurrentVersion(*values)

    def add_image(self, row: ImageRow) -> None:
        """Write the row of a new image, inside the caller's transaction."""
        self._execute(self._add_image, *row)

    def replace_image(self, row: ImageRow) -> None:
        """Replace the row of an earlier version by *row*, inside the caller's transaction."""
        self._execute(self._replace_image, *row)

    def remove_image(self, image_id: str) -> None:
        """Remove the row of an image, inside the caller's transaction."""
        self._execute(self._remove_image, image_id)

    def note_dead(self, blob_id: str, *, now: int) -> None:
        """Note, inside the caller's transaction, that no row names this blob any more."""
        self._execute(self._note_dead, blob_id, now)

    def _execute(self, query: Query, *arguments: Any) -> Any:
        return self.database.execute_sql(query.sql, query.values(arguments))

    def _images_of(self, length: int) -> Query:
        """Return the query for the rows of *length* ids."""
        query = self._images_by_length.get(length)
        if query is None:
            wanted = self.image.id.in_([argument(index) for index in range(length)])
            query = Query(self.image.select(*self._columns).where(wanted))
            self._images_by_length[length] = query
        return query

    def _put_queries_together(self) -> None:
        image, version = self.image, (self.image.blob_id, self.image.token)
        is_this = image.id == argument(0)
        given = {column: argument(index) for index, column in enumerate(self._columns)}
        self._images_by_length: dict[int, Query] = {}
        self._lock_image = Query(lock_rows(image.select(*version).where(is_this), self.database))
        self._add_image = Query(image.insert(given))
        self._replace_image = Query(image.update(given).where(is_this))
        self._remove_image = Query(image.delete().where(is_this))
        dead = self.dead_blob
        self._note_dead = Query(dead.insert({dead.blob_id: argument(0), dead.dead_at: argument(1)}))


def open_database(config: Config) -> peewee.Database:
    """
    Return the pooled database that *config* names, with its schema brought up to date.

    Raises:
        DatabaseUnavailable: If it cannot be reached or read.
    """
    database = connect(config)
    try:
        apply_migrations(database, MIGRATIONS, MIGRATION_TABLE)
    except BaseException:
        close_database(database)
        raise
    return database


def _checked(values: Sequence[Any]) -> ImageRow | RecordDamaged:
    try:
        return ImageRow.from_values(values)
    except RecordDamaged as error:
        return error


def _is_sound(row: ImageRow) -> bool:
    numbers = (row.token, row.size, row.payload_offset, row.payload_size, row.written_at)
    return (
        set(map(type, numbers)) == {int}
        and min(numbers) >= 0
        and max(numbers) < TOKEN_LIMIT
        and type(row.wrapped_key) is type(row.iv) is type(row.tag) is bytes
        and (len(row.wrapped_key), len(row.iv), len(row.tag)) == (WRAPPED_KEY_SIZE, IV_SIZE, TAG_SIZE)
        and type(row.format) is type(row.store_key_id) is type(row.blob_id) is str
        and is_blob_id(row.blob_id)
    )


def bound_model(model: type[_Model], database: peewee.Database) -> type[_Model]:
    """Return a subclass of *model* that belongs to *database*."""
    meta = type("Meta", (), {"database": database, "table_name": model._meta.table_name})
    return cast("type[_Model]", type(model.__name__, (model,), {"Meta": meta}))
