"""
Add room for what pages show of a picture, sealed. `flask pixstore upgrade-pictures` fills it, and empties the columns in which
it stood readable: a migration has no keys.
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
