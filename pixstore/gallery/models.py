"""
The gallery's tables. Imports Peewee, and ``bound_model`` of the store's ``models``.

Ids are random text made by ``pixstore.ids.new_key``; times are milliseconds since 1970. Titles are sealed bytes, opened by
``titles``. The field types exist alike in SQLite and PostgreSQL.

Models are declared without a database. ``GalleryModels(database)`` makes those of one database. A reference gives its id
(``picture.user_id``); it does not load the row behind it.
"""

from pathlib import Path

import peewee
from peewee import (
    AutoField,
    BigIntegerField,
    BlobField,
    BooleanField,
    ForeignKeyField,
    IntegerField,
    Model,
    TextField,
)

from pixstore.models import bound_model

MIGRATIONS = Path(__file__).with_name("migrations")
MIGRATION_TABLE = "gallery_migration"


class User(Model):
    """
    An account. Without a password nobody can log in to it (an account that ``recovery`` brought back).

    ``login_epoch`` grows with everything that ends its logins: whose password was checked before has to log in again.
    """

    id = TextField(primary_key=True)
    name = TextField(unique=True)
    password_hash = TextField(default="")
    is_owner = BooleanField(default=False)
    disabled_at = BigIntegerField(null=True)
    created_at = BigIntegerField()
    login_epoch = IntegerField(default=0)

    class Meta:
        table_name = "gallery_user"


class LoginSession(Model):
    """One login of one browser. The cookie holds the session id, this table only its hash."""

    user_id: str
    id_hash = TextField(primary_key=True)
    user = ForeignKeyField(User, backref="+", lazy_load=False, on_delete="CASCADE")
    created_at = BigIntegerField()
    expires_at = BigIntegerField(index=True)

    class Meta:
        table_name = "gallery_login_session"


class LoginAttempt(Model):
    """One password tried. ``subject`` is a keyed hash of what is counted (``throttle``)."""

    id = AutoField()
    subject = TextField()
    at = BigIntegerField(index=True)

    class Meta:
        table_name = "gallery_login_attempt"
        indexes = ((("subject", "at"), False),)


class SetupLink(Model):
    """The one link that makes the first owner; at most one row. ``issuer`` names the process that showed it."""

    id = IntegerField(primary_key=True)
    token_hash = TextField()
    issuer = TextField()

    class Meta:
        table_name = "gallery_setup_link"


class Album(Model):
    """A collection of pictures. Its ``dir`` is the namespace of the image ids uploaded into it, and random."""

    user_id: str
    dir = TextField(primary_key=True)
    user = ForeignKeyField(User, backref="+", lazy_load=False, on_delete="CASCADE")
    title_sealed = BlobField()
    is_default = BooleanField(default=False)
    created_at = BigIntegerField()
    updated_at = BigIntegerField()

    class Meta:
        table_name = "gallery_album"


class Picture(Model):
    """
    One picture of one user: an original and a thumbnail, each an image of the store.

    What pages show of it is sealed in ``description_sealed`` (``descriptions``). Where that is empty (NULL), an earlier release
    has added the picture: then title, format, width, height and size stand in columns of their own, which are empty otherwise.

    ``taken_at`` is when the photo was taken, by the clock where it was taken, counted as if that clock showed UTC; or when
    the picture was added, if the file does not say. What else the file says of the photo is sealed in ``facts_sealed``,
    which is empty (NULL) until the file has been read (``upgrade``).
    """

    user_id: str
    album_id: str
    id = TextField(primary_key=True)
    user = ForeignKeyField(User, backref="+", lazy_load=False, on_delete="CASCADE", index=False)
    album = ForeignKeyField(Album, backref="+", lazy_load=False, index=False)
    title_sealed = BlobField(default=b"")
    original_id = TextField(unique=True)
    thumbnail_id = TextField(unique=True)
    format = TextField(default="")
    width = IntegerField(default=0)
    height = IntegerField(default=0)
    size = BigIntegerField(default=0)
    created_at = BigIntegerField()
    updated_at = BigIntegerField()
    taken_at = BigIntegerField()
    facts_sealed = BlobField(null=True)
    description_sealed = BlobField(null=True)

    class Meta:
        """The two indexes are the two orders in which pages are read; they begin with the references."""

        table_name = "gallery_picture"
        indexes = ((("user", "created_at", "id"), False), (("album", "created_at", "id"), False))


class GalleryModels:
    """The models of the gallery, bound to one database."""

    def __init__(self, database: peewee.Database) -> None:
        self.user: type[User] = bound_model(User, database)
        self.login_session: type[LoginSession] = bound_model(LoginSession, database)
        self.login_attempt: type[LoginAttempt] = bound_model(LoginAttempt, database)
        self.setup_link: type[SetupLink] = bound_model(SetupLink, database)
        self.album: type[Album] = bound_model(Album, database)
        self.picture: type[Picture] = bound_model(Picture, database)
