"""Create the tables of images, of dead blobs, and of holds that keep dead blobs."""

import peewee


def _models(db):
    class Image(peewee.Model):
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
            database = db
            table_name = "image"

    class DeadBlob(peewee.Model):
        blob_id = peewee.TextField(primary_key=True)
        dead_at = peewee.BigIntegerField()

        class Meta:
            database = db
            table_name = "dead_blob"

    class Hold(peewee.Model):
        name = peewee.TextField(primary_key=True)
        until = peewee.BigIntegerField()

        class Meta:
            database = db
            table_name = "hold"

    return [Image, DeadBlob, Hold]


def up(migrator, db):
    db.create_tables(_models(db))


def down(migrator, db):
    db.drop_tables(_models(db))
