"""
Add what tells that a file is in an account already: a keyed hash of each original, and the key of each account, sealed.

Both are empty at first: a migration has no keys. `flask pixstore upgrade-pictures` fills them.
"""

import peewee

USER, PICTURE = "gallery_user", "gallery_picture"


def up(migrator, db):
    migrator.migrate(
        migrator.add_column(USER, "content_key_sealed", peewee.BlobField(null=True)),
        migrator.add_column(PICTURE, "content_id", peewee.BlobField(null=True)),
        migrator.add_index(PICTURE, ("user_id", "content_id")),
    )


def down(migrator, db):
    migrator.migrate(
        migrator.drop_index(PICTURE, "gallery_picture_user_id_content_id"),
        migrator.drop_column(PICTURE, "content_id"),
        migrator.drop_column(USER, "content_key_sealed"),
    )
