"""The keyring moves into the database, and every image refers to its store key."""

import peewee


def _models(db):
    class KeyringRow(peewee.Model):
        id = peewee.IntegerField(primary_key=True)
        generation = peewee.BigIntegerField()
        document = peewee.BlobField()

        class Meta:
            database = db
            table_name = "keyring"

    class StoreKeyRow(peewee.Model):
        id = peewee.TextField(primary_key=True)

        class Meta:
            database = db
            table_name = "store_key"

    class TextPurpose(peewee.Model):
        store_key = peewee.ForeignKeyField(StoreKeyRow, column_name="store_key_id", index=False)
        purpose = peewee.TextField()

        class Meta:
            database = db
            table_name = "text_purpose"
            primary_key = peewee.CompositeKey("store_key", "purpose")

    return KeyringRow, StoreKeyRow, TextPurpose


def _image(db, make_store_key):
    class Image(peewee.Model):
        id = peewee.TextField(primary_key=True)
        token = peewee.BigIntegerField()
        format = peewee.TextField()
        size = peewee.BigIntegerField()
        blob_id = peewee.TextField(unique=True)
        payload_offset = peewee.IntegerField()
        payload_size = peewee.BigIntegerField()
        store_key_id = make_store_key()  # made here, so that the columns get their order
        wrapped_key = peewee.BlobField()
        iv = peewee.BlobField()
        tag = peewee.BlobField()
        written_at = peewee.BigIntegerField()

        class Meta:
            database = db
            table_name = "image"

    return Image


def up(migrator, db):
    models = _models(db)
    db.create_tables(models)
    db.execute_sql("INSERT INTO store_key SELECT DISTINCT store_key_id FROM image")
    # Release 0.1 did not note which texts are under which key, so any purpose is possible.
    db.execute_sql("INSERT INTO text_purpose SELECT id, '*' FROM store_key")

    def reference():
        return peewee.ForeignKeyField(models[1], column_name="store_key_id", index=False)

    _rebuild(db, _image(db, reference), ("image_blob_id", "image_store_key_id"))


def down(migrator, db):
    _rebuild(db, _image(db, lambda: peewee.TextField(index=True)), ("image_blob_id",))
    db.drop_tables(_models(db))


def _rebuild(db, image, indexes):
    """
    Make the table *image* again with its new columns, and copy its rows.

    SQLite cannot add a reference to a column.
    """
    for index in indexes:
        db.execute_sql(f"DROP INDEX {index}")
    db.execute_sql("ALTER TABLE image RENAME TO image_before")
    if isinstance(db, peewee.PostgresqlDatabase):
        db.execute_sql("ALTER TABLE image_before RENAME CONSTRAINT image_pkey TO image_before_pkey")
    db.create_tables([image])
    columns = ", ".join(f'"{field.column_name}"' for field in image._meta.sorted_fields)
    db.execute_sql(f"INSERT INTO image ({columns}) SELECT {columns} FROM image_before")  # noqa: S608 - constants
    db.execute_sql("DROP TABLE image_before")
