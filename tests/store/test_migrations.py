"""The schema: made by migrations, up and down, the same as the models say, by one process at a time."""

from concurrent.futures import ThreadPoolExecutor

import peewee
import pytest
from playhouse.migrations import Runner

from pixstore.database import apply_migrations
from pixstore.models import MIGRATION_TABLE, MIGRATIONS, StoreModels, open_database
from pixstore.store import ImageStore
from tests import images

NAMES = sorted(path.stem for path in MIGRATIONS.glob("[0-9]*.py"))


@pytest.fixture(name="database")
def _database(config):
    database = open_database(config)
    yield database
    database.close_all()


def _schema(database):
    """Return the SQL of every table and index, without those of the history."""
    with database.connection_context():
        rows = database.execute_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: sql for name, sql in rows if MIGRATION_TABLE not in name}


def _runner(database):
    return Runner(database, str(MIGRATIONS), table_name=MIGRATION_TABLE)


def test_migrations_make_what_the_models_say(database, tmp_path):
    """A migrated database and one made from the models are the same to the letter."""
    made = peewee.SqliteDatabase(tmp_path / "made.sqlite")
    models = StoreModels(made)
    made.create_tables(
        [models.store_key, models.keyring, models.text_purpose, models.image, models.dead_blob, models.hold]
    )

    assert _schema(database) == _schema(made)
    made.close()


def test_a_migrated_database_needs_nothing_more(database):
    """Opening again applies no migration."""
    assert apply_migrations(database, MIGRATIONS, MIGRATION_TABLE) == []


def test_all_the_way_down_and_up(database):
    """Every migration can be taken back, the last one first, and applied again."""
    schema = _schema(database)
    with database.connection_context():
        assert _runner(database).down(NAMES[0]) == list(reversed(NAMES))
    assert _schema(database) == {}

    assert apply_migrations(database, MIGRATIONS, MIGRATION_TABLE) == NAMES
    assert _schema(database) == schema


@pytest.mark.parametrize("released", NAMES)
def test_from_every_released_schema(config, database, released):
    """A database of any earlier version comes up to date when the store is opened."""
    schema = _schema(database)
    later = [name for name in NAMES if name > released]
    with database.connection_context():
        if later:
            _runner(database).down(later[0])
    database.close_all()

    reopened = open_database(config)

    assert _schema(reopened) == schema
    reopened.close_all()


def test_images_survive_coming_up_to_date(config, now):
    """What was saved before a start is there after it."""
    store = ImageStore.open(config, now=now)
    record = store.save(images.png())
    store.close()

    again = ImageStore.open(config, now=now)

    assert again.load(record.id) == images.png()
    again.close()


def test_many_workers_start_at_once(config):
    """Each finds or makes the schema, none fails."""
    with ThreadPoolExecutor(8) as pool:
        databases = list(pool.map(lambda _: open_database(config), range(8)))

    assert len({str(_schema(database)) for database in databases}) == 1
    for database in databases:
        database.close_all()


def test_the_settings_of_sqlite(database):
    """A commit survives a power cut, readers do not wait for writers, and what is deleted is overwritten."""
    with database.connection_context():
        settings = {
            name: database.execute_sql(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "secure_delete")
        }

    assert settings == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 15_000,
        "secure_delete": 1,
    }
