"""
Add a column for the sealed description of a picture.

A migration has no keys, so it cannot fill the column; `flask pixstore upgrade-pictures` does, and empties the
readable columns.
"""

import peewee

TABLE = "gallery_picture"


def up(migrator, db):
    migrator.migrate(migrator.add_column(TABLE, "description_sealed", peewee.BlobField(null=True)))


def down(migrator, db):
    (described,) = db.execute_sql(
        f"SELECT COUNT(*) FROM {TABLE} WHERE description_sealed IS NOT NULL"  # noqa: S608 - a constant
    ).fetchone()
    if described:
        raise RuntimeError(f"the titles of {described} pictures would be lost: restore a backup instead")
    migrator.migrate(migrator.drop_column(TABLE, "description_sealed"))
