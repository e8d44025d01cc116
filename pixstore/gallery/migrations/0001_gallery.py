"""Create the tables of accounts, logins, albums and pictures."""

import peewee


def _models(db):
    class User(peewee.Model):
        id = peewee.TextField(primary_key=True)
        name = peewee.TextField(unique=True)
        password_hash = peewee.TextField(default="")
        is_owner = peewee.BooleanField(default=False)
        disabled_at = peewee.BigIntegerField(null=True)
        created_at = peewee.BigIntegerField()

        class Meta:
            database = db
            table_name = "gallery_user"

    class LoginSession(peewee.Model):
        id_hash = peewee.TextField(primary_key=True)
        user = peewee.ForeignKeyField(User, on_delete="CASCADE")
        created_at = peewee.BigIntegerField()
        expires_at = peewee.BigIntegerField(index=True)

        class Meta:
            database = db
            table_name = "gallery_login_session"

    class LoginAttempt(peewee.Model):
        subject = peewee.TextField()
        at = peewee.BigIntegerField(index=True)

        class Meta:
            database = db
            table_name = "gallery_login_attempt"
            indexes = ((("subject", "at"), False),)

    class SetupLink(peewee.Model):
        id = peewee.IntegerField(primary_key=True)
        token_hash = peewee.TextField()
        issuer = peewee.TextField()

        class Meta:
            database = db
            table_name = "gallery_setup_link"

    class Album(peewee.Model):
        dir = peewee.TextField(primary_key=True)
        user = peewee.ForeignKeyField(User, on_delete="CASCADE")
        title_sealed = peewee.BlobField()
        is_default = peewee.BooleanField(default=False)
        created_at = peewee.BigIntegerField()
        updated_at = peewee.BigIntegerField()

        class Meta:
            database = db
            table_name = "gallery_album"

    class Picture(peewee.Model):
        id = peewee.TextField(primary_key=True)
        user = peewee.ForeignKeyField(User, on_delete="CASCADE", index=False)
        album = peewee.ForeignKeyField(Album, index=False)
        title_sealed = peewee.BlobField()
        original_id = peewee.TextField(unique=True)
        thumbnail_id = peewee.TextField(unique=True)
        format = peewee.TextField()
        width = peewee.IntegerField()
        height = peewee.IntegerField()
        size = peewee.BigIntegerField()
        created_at = peewee.BigIntegerField()
        updated_at = peewee.BigIntegerField()

        class Meta:
            database = db
            table_name = "gallery_picture"
            indexes = ((("user", "created_at", "id"), False), (("album", "created_at", "id"), False))

    return [User, LoginSession, LoginAttempt, SetupLink, Album, Picture]


def up(migrator, db):
    db.create_tables(_models(db))


def down(migrator, db):
    db.drop_tables(_models(db))
