"""
The store's tables and the queries on them. Imports ``database``, ``errors`` and what a sound row is made of.

Models are declared without a database. ``StoreModels(database)`` makes those of one database, so several stores can be open
in one process.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar, cast

import peewee

from pixstore.config import Config
from pixstore.crypto import IV_SIZE, TAG_SIZE, WRAPPED_KEY_SIZE
from pixstore.database import apply_migrations, close_database, connect, connected, lock_rows
from pixstore.errors import RecordDamaged
from pixstore.ids import is_blob_id
from pixstore.wire import TOKEN_LIMIT

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_TABLE = "pixstore_migration"


class KeyringRow(peewee.Model):
    """The keyring: one row, which is the authority over its copies (``store_keyring``)."""

    id = peewee.IntegerField(primary_key=True)
    generation = peewee.BigIntegerField()
    document = peewee.BlobField()

    class Meta:
        table_name = "keyring"


class StoreKeyRow(peewee.Model):
    """A store key of the keyring. Rows that need a key refer to it, so it cannot be dropped under them."""

    id = peewee.TextField(primary_key=True)

    class Meta:
        table_name = "store_key"


class TextPurpose(peewee.Model):
    """What texts are sealed for under a store key: somewhere in the database there may be one."""

    store_key_id: Any
    store_key = peewee.ForeignKeyField(
        StoreKeyRow, column_name="store_key_id", backref="+", lazy_load=False, index=False
    )
    purpose = peewee.TextField()

    class Meta:
        table_name = "text_purpose"
        primary_key = peewee.CompositeKey("store_key", "purpose")


class Image(peewee.Model):
    """The record of one image: which blob holds its current version, and what opens it."""

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
    """A blob that no record names any more and that is still to be removed: no restart forgets it."""

    blob_id = peewee.TextField(primary_key=True)
    dead_at = peewee.BigIntegerField()

    class Meta:
        table_name = "dead_blob"


class Hold(peewee.Model):
    """Somebody (a backup) who needs dead blobs to stay until a time. A holder that crashes holds them no longer than that."""

    name = peewee.TextField(primary_key=True)
    until = peewee.BigIntegerField()

    class Meta:
        table_name = "hold"


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One row of the table ``image``, its values checked."""

    id: str
    token: int
    format: str
    size: int
    blob_id: str
    payload_offset: int
    payload_size: int
    store_key_id: str
    wrapped_key: bytes = field(repr=False)
    iv: bytes = field(repr=False)
    tag: bytes = field(repr=False)
    written_at: int

    @classmethod
    def from_values(cls, values: Sequence[Any]) -> Self:
        """
        Return the row whose columns are *values*.

        Raises:
            RecordDamaged: If no store has written them. SQLite keeps any type in any column.
        """
        plain: list[Any] = [bytes(value) if isinstance(value, memoryview) else value for value in values]
        row = cls(*plain)
        numbers = (row.token, row.size, row.payload_offset, row.payload_size, row.written_at)
        sealed = ((row.wrapped_key, WRAPPED_KEY_SIZE), (row.iv, IV_SIZE), (row.tag, TAG_SIZE))
        is_sound = (
            all(type(number) is int and 0 <= number < TOKEN_LIMIT for number in numbers)
            and all(isinstance(value, bytes) and len(value) == size for value, size in sealed)
            and all(isinstance(text, str) for text in (row.format, row.blob_id, row.store_key_id))
            and is_blob_id(row.blob_id)
        )
        if not is_sound:
            raise RecordDamaged(row.id)
        return row

    def to_fields(self) -> dict[str, Any]:
        """Return the columns by name."""
        return {name: getattr(self, name) for name in _COLUMNS}


class CurrentVersion(NamedTuple):
    """What a row says of its current version, not checked: a damaged row can still be deleted."""

    blob_id: str
    token: int


_COLUMNS = tuple(column.name for column in fields(ImageRow))

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

    def read_images(self, image_ids: Collection[str]) -> dict[str, ImageRow | RecordDamaged]:
        """Return the rows of those images that exist, in one query. Where a row is damaged, the error stands in its place."""
        if not image_ids:
            return {}
        with connected(self.database):
            found = self.database.execute(self._images(self.image.id.in_(list(image_ids)))).fetchall()
        return {values[0]: _checked(values) for values in found}

    def lock_image(self, image_id: str) -> CurrentVersion | None:
        """Return the current version of the image, or ``None``; nobody else can change it until the transaction ends."""
        version = self.image.select(self.image.blob_id, self.image.token).where(self.image.id == image_id)
        values = self.database.execute(lock_rows(version, self.database)).fetchone()
        return None if values is None else CurrentVersion(*values)

    def _images(self, condition: Any) -> Any:
        return self.image.select(*(getattr(self.image, name) for name in _COLUMNS)).where(condition)


def open_database(config: Config) -> peewee.Database:
    """
    Return the pooled database that *config* names, its schema up to date.

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


def bound_model(model: type[_Model], database: peewee.Database) -> type[_Model]:
    """Return *model* as a class of its own that belongs to *database*."""
    meta = type("Meta", (), {"database": database, "table_name": model._meta.table_name})
    return cast("type[_Model]", type(model.__name__, (model,), {"Meta": meta}))
