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
    An account. Nobody can log in to an account without a password, such as one that ``recovery`` has made.

    ``login_epoch`` grows whenever its logins are ended. A login whose password was checked before that does not begin.
    ``content_key_sealed`` is the sealed key of its pictures' content ids (``content_ids``).
    """

    id = TextField(primary_key=True)
    name = TextField(unique=True)
    password_hash = TextField(default="")
    is_owner = BooleanField(default=False)
    disabled_at = BigIntegerField(null=True)
    created_at = BigIntegerField()
    login_epoch = IntegerField(default=0)
    content_key_sealed = BlobField(null=True)

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
    """
    One attempt to log in.

    ``subject`` is a keyed hash of the name, network or browser that is counted (``throttle``).
    """

    id = AutoField()
    subject = TextField()
    at = BigIntegerField(index=True)

    class Meta:
        table_name = "gallery_login_attempt"
        indexes = ((("subject", "at"), False),)


class SetupLink(Model):
    """
    The link with which the first owner's account is made; at most one row.

    ``issuer`` names the process that printed it.
    """

    id = IntegerField(primary_key=True)
    token_hash = TextField()
    issuer = TextField()

    class Meta:
        table_name = "gallery_setup_link"


class Album(Model):
    """A collection of pictures. Its ``dir`` is random, and the namespace of the image ids uploaded into it."""

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

    ``description_sealed`` holds the sealed description (``descriptions``). It is NULL if an earlier release
    added the picture: then title, format, width, height and size are in separate columns, which are empty
    otherwise.

    ``taken_at`` is the local time at which the photo was taken, stored as if it were UTC. If the file does not tell, it is
    the time at which the picture was added. ``facts_sealed`` holds the other sealed facts from the file. ``content_id`` is a
    keyed hash of the original (``content_ids``). Both are NULL until the file has been read (``upkeep``).
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
    content_id = BlobField(null=True)

    class Meta:
        """
        Two indexes serve the two orders of pages, the third finds a file.

        They begin with the references, which so need no index of their own.
        """

        table_name = "gallery_picture"
        indexes = (
            (("user", "created_at", "id"), False),
            (("album", "created_at", "id"), False),
            (("user", "content_id"), False),
        )


class GalleryModels:
    """The models of the gallery, bound to one database."""

    def __init__(self, database: peewee.Database) -> None:
        self.user: type[User] = bound_model(User, database)
        self.login_session: type[LoginSession] = bound_model(LoginSession, database)
        self.login_attempt: type[LoginAttempt] = bound_model(LoginAttempt, database)
        self.setup_link: type[SetupLink] = bound_model(SetupLink, database)
        self.album: type[Album] = bound_model(Album, database)
        self.picture: type[Picture] = bound_model(Picture, database)
