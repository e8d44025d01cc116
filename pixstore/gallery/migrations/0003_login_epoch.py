"""Add the column that shows whether an account has changed since a password was checked."""

import peewee

TABLE = "gallery_user"


def up(migrator, db):
    migrator.migrate(migrator.add_column(TABLE, "login_epoch", peewee.IntegerField(default=0)))


def down(migrator, db):
    migrator.migrate(migrator.drop_column(TABLE, "login_epoch"))
