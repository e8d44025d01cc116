"""Reading by queries that are put together once, and write transactions that take turns."""

import os
import threading

import peewee
import pytest

from pixstore.database import connected
from pixstore.errors import DatabaseUnavailable, RecordDamaged
from pixstore.queries import Query, argument
from tests import images


@pytest.fixture
def tokens(store):
    """The query for the token of one image."""
    image = store.parts.models.image
    return Query(image.select(image.token).where((image.id == argument(0)) & (image.size > 0)))


def test_arguments_stand_among_values_that_are_known(store, tokens):
    """Values that stand in the query stay; the others are given each time."""
    first, second = store.save(images.png()), store.save(images.jpeg())

    found = [store.parts.models.reader.rows(tokens, record.id) for record in (first, second)]

    assert found == [[(first.token,)], [(second.token,)]]


def test_a_reader_sees_every_commit(store, tokens):
    """A commit is seen at once, and what the own transaction has written before its commit."""
    record, reader = store.save(images.png()), store.parts.models.reader
    with store.unit_of_work() as work:
        work.update(record.id, images.jpeg())
        work.also(lambda: seen.append(reader.rows(tokens, record.id)))
        seen = []
    updated = store.record(record.id)

    assert seen == [[(updated.token,)]]
    assert reader.rows(tokens, record.id) == [(updated.token,)]


def test_a_reader_cannot_write(store):
    """A query that writes is refused on a connection for reading."""
    image = store.parts.models.image
    with pytest.raises(DatabaseUnavailable, match="readonly"):
        store.parts.models.reader.rows(Query(image.delete().where(image.id == argument(0))), "a")


def test_readers_share_few_connections(store, tokens):
    """A connection is used again; there are as many as there were readers at once."""
    record, reader = store.save(images.png()), store.parts.models.reader

    for _ in range(50):
        reader.rows(tokens, record.id)

    assert len(reader._idle) == 1


def test_a_child_process_has_connections_of_its_own(store, tokens):
    """After a fork the child reads without the connections of its parent."""
    record = store.save(images.png())
    store.record(record.id)

    child = os.fork()
    if child == 0:
        store.after_fork()
        is_right = not store.parts.models.reader._idle and store.load(record.id) == images.png()
        os._exit(0 if is_right else 1)

    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("number", (1, 2, 3, 5, 64, 100, 1500))
def test_any_number_of_images_is_one_query(store, number):
    """Images are found however many are asked for, and those that are not there are left out."""
    saved = [store.save(images.png()).id for _ in range(2)]

    found = store.parts.models.read_images([*(f"missing{index:05}" for index in range(number - 1)), saved[1]])

    assert list(found) == [saved[1]]


def test_a_damaged_row_says_so(store):
    """A row whose values no store has written is refused by name."""
    record = store.save(images.png())
    with store.connected():
        store.database.execute_sql("UPDATE image SET size = 'large' WHERE id = ?", [record.id])

    with pytest.raises(RecordDamaged):
        store.parts.models.read_image(record.id)


# --- turns


def test_write_transactions_take_turns(store):
    """Of threads that write at once each has its turn: none fails, and nothing is lost."""
    record = store.save(images.png())
    failed = []

    def update():
        try:
            for _ in range(10):
                store.update(record.id, images.png())
        except Exception as error:  # noqa: BLE001 - whatever it is, it should not be
            failed.append(error)

    threads = [threading.Thread(target=update) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    assert store.parts.models.dead_blob.select().count() <= 80


@pytest.mark.parametrize("error", (peewee.OperationalError, KeyboardInterrupt))
@pytest.mark.parametrize("step", ("begin", "commit", "rollback"))
def test_a_transaction_that_fails_keeps_nobody_waiting(store, monkeypatch, step, error):
    """Wherever a transaction breaks off, the next one has its turn."""
    database = store.database

    def fail(*_):
        raise error("broken off")

    def transaction():
        with connected(database), database.atomic():
            if step == "rollback":
                raise ValueError

    with monkeypatch.context() as patched:
        patched.setattr(peewee.SqliteDatabase, step, fail)
        with pytest.raises((error, DatabaseUnavailable)):
            transaction()
    database.manual_close()
    saved = []
    thread = threading.Thread(target=lambda: saved.append(store.save(images.png())))
    thread.start()
    thread.join(5)

    assert len(saved) == 1
