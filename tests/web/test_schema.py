"""The gallery's tables and their migrations."""

import pytest
from playhouse.migrations import Runner

from pixstore.database import apply_migrations
from pixstore.gallery import models


@pytest.fixture
def runner(store):
    """Return the migrations of the gallery on a store without its tables."""
    with store.connected():
        yield Runner(store.database, str(models.MIGRATIONS), table_name=models.MIGRATION_TABLE)


def described(database):
    """Return the columns, indexes and references of the gallery's tables."""
    tables = [
        name
        for name in database.get_tables()
        if name.startswith("gallery_") and name != models.MIGRATION_TABLE
    ]
    return {
        table: (
            [
                (column.name, column.data_type, column.null, column.primary_key)
                for column in database.get_columns(table)
            ],
            sorted((index.columns, index.unique) for index in database.get_indexes(table)),
            sorted((key.column, key.dest_table, key.dest_column) for key in database.get_foreign_keys(table)),
        )
        for table in tables
    }


def test_migrations_make_the_tables_of_the_models(runner, store):
    """What the migrations make is what the models describe."""
    runner.up()
    migrated = described(store.database)
    tables = list(vars(models.GalleryModels(store.database)).values())
    store.database.drop_tables(tables)
    store.database.create_tables(tables)

    assert migrated == described(store.database)


def test_migrations_go_up_and_down(runner, store):
    """Every migration can be undone and done again."""
    names = runner.up()
    migrated = described(store.database)
    for _ in names:
        runner.down()
    assert described(store.database) == {}

    runner.up()

    assert described(store.database) == migrated


def test_migrations_are_applied_once(store):
    """A second start finds nothing to do."""
    first, second = (
        apply_migrations(store.database, models.MIGRATIONS, models.MIGRATION_TABLE) for _ in range(2)
    )

    assert first == [
        "0001_gallery",
        "0002_photo_facts",
        "0003_login_epoch",
        "0004_description",
        "0005_content_id",
    ]
    assert second == []
