"""
The gallery's tables. Imports Peewee only; ``bind`` points them at the database of a store.

Ids are random text made by ``pixstore.ids.new_key``; times are milliseconds since 1970. Titles are sealed bytes: what
opens them is in ``titles``. The field types exist alike in SQLite and PostgreSQL.
"""

from pathlib import Path

from peewee import (
    BigIntegerField,
    BlobField,
    BooleanField,
    Database,
    ForeignKeyField,
    IntegerField,
    Model,
    TextField,
)

MIGRATIONS = Path(__file__).with_name("migrations")
MIGRATION_TABLE = "gallery_migration"


class GalleryModel(Model):
    """What the tables have in common."""

    class Meta:
        """Shared by every model."""

        legacy_table_names = False


class User(GalleryModel):
    """An account. Without a password nobody can log in to it (an account that ``recovery`` brought back)."""

    id = TextField(primary_key=True)
    name = TextField(unique=True)
    password_hash = TextField(default="")
    is_owner = BooleanField(default=False)
    disabled_at = BigIntegerField(null=True)
    created_at = BigIntegerField()

    class Meta:
        """See ``GalleryModel``."""

        table_name = "gallery_user"


class LoginSession(GalleryModel):
    """One login of one browser. The cookie holds the session id, this table only its hash."""

    id_hash = TextField(primary_key=True)
    user = ForeignKeyField(User, backref="sessions", on_delete="CASCADE")
    created_at = BigIntegerField()
    expires_at = BigIntegerField(index=True)

    class Meta:
        """See ``GalleryModel``."""

        table_name = "gallery_login_session"


class LoginAttempt(GalleryModel):
    """One password tried. ``subject`` is a keyed hash of an account name or a network address."""

    subject = TextField()
    at = BigIntegerField(index=True)

    class Meta:
        """See ``GalleryModel``."""

        table_name = "gallery_login_attempt"
        indexes = ((("subject", "at"), False),)


class SetupLink(GalleryModel):
    """The one link that makes the first owner; at most one row. ``issuer`` names the process that showed it."""

    id = IntegerField(primary_key=True)
    token_hash = TextField()
    issuer = TextField()

    class Meta:
        """See ``GalleryModel``."""

        table_name = "gallery_setup_link"


class Album(GalleryModel):
    """A collection of pictures. Its ``dir`` is the namespace of the image ids uploaded into it, and random."""

    user_id: str
    dir = TextField(primary_key=True)
    user = ForeignKeyField(User, backref="albums", on_delete="CASCADE")
    title_sealed = BlobField()
    is_default = BooleanField(default=False)
    created_at = BigIntegerField()
    updated_at = BigIntegerField()

    class Meta:
        """See ``GalleryModel``."""

        table_name = "gallery_album"


class Picture(GalleryModel):
    """One picture of one user: an original and a thumbnail, each an image of the store. Sizes are as shown."""

    user_id: str
    album_id: str
    id = TextField(primary_key=True)
    user = ForeignKeyField(User, backref="pictures", on_delete="CASCADE", index=False)
    album = ForeignKeyField(Album, backref="pictures", index=False)
    title_sealed = BlobField()
    original_id = TextField(unique=True)
    thumbnail_id = TextField(unique=True)
    format = TextField()
    width = IntegerField()
    height = IntegerField()
    size = BigIntegerField()
    created_at = BigIntegerField()
    updated_at = BigIntegerField()

    class Meta:
        """See ``GalleryModel``. The two indexes are the two orders in which pages are read; they begin with the references."""

        table_name = "gallery_picture"
        indexes = ((("user", "created_at", "id"), False), (("album", "created_at", "id"), False))


MODELS = (User, LoginSession, LoginAttempt, SetupLink, Album, Picture)


def bind(database: Database) -> None:
    """Point every model at *database*."""
    database.bind(MODELS)
