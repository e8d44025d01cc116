"""
Add columns for the time a photo was taken and for its other facts.

Existing pictures get the time they were added.
"""

import peewee

TABLE = "gallery_picture"


def up(migrator, db):
    migrator.migrate(
        migrator.add_column(TABLE, "taken_at", peewee.BigIntegerField(default=0)),
        migrator.add_column(TABLE, "facts_sealed", peewee.BlobField(null=True)),
    )
    db.execute_sql(f"UPDATE {TABLE} SET taken_at = created_at")  # noqa: S608 - a constant


def down(migrator, db):
    migrator.migrate(migrator.drop_column(TABLE, "taken_at"), migrator.drop_column(TABLE, "facts_sealed"))
