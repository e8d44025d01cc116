"""The unit of work: several images and the caller's own rows, together or not at all."""

# ruff: noqa: PT012 - a unit of work is a block of statements

import threading
from unittest.mock import Mock

import peewee
import pytest

from pixstore import formats
from pixstore.errors import (
    DatabaseUnavailable,
    ImageChanged,
    ImageNotFound,
    ImageRejected,
    StorageError,
    StorageFull,
)
from pixstore.parts import StoreParts
from pixstore.store import ImageStore
from pixstore.unit_of_work import PUTS_SIDE_BY_SIDE
from tests import images

NOBODY = "k3v9t2m5x7q4"


@pytest.fixture(name="notes")
def _notes(store):
    """Return a table of the caller's own in the same database."""

    class Note(peewee.Model):
        text = peewee.TextField(unique=True)

        class Meta:
            database = store.database

    with store.connected():
        Note.create_table()
    return Note


def _blobs(store):
    return sum(1 for _ in store.parts.blobs.blobs())


def _rows(store):
    with store.connected():
        return store.parts.models.image.select().count()


def _texts(store, notes):
    with store.connected():
        return [note.text for note in notes.select().order_by(notes.text)]


def test_everything_commits_together(store, notes):
    """Original, thumbnail and the caller's row appear at once, when the block ends."""
    with store.unit_of_work() as work:
        original = work.save(images.jpeg(width=40, height=30), "album")
        thumbnail = work.save(images.webp())
        work.also(lambda: notes.create(text=original.image_id))
        assert not store.exists(original.image_id)
        assert work.records == {}

    assert set(work.records) == {original.image_id, thumbnail.image_id}
    assert store.record(original.image_id) == work.records[original.image_id]
    assert _texts(store, notes) == [original.image_id]


def test_a_pending_image_tells_what_it_is(store):
    """The caller can write format and size into its own row before the commit."""
    with store.unit_of_work() as work:
        pending = work.save(images.jpeg(width=40, height=30), "album")

    assert (pending.format, pending.width, pending.height) == ("jpg", 40, 30)
    assert pending.image_id.startswith("album:")


def test_save_update_and_delete_in_one(store):
    """Replacing a picture: new original, new thumbnail in place of the old one, in one commit."""
    old, gone = store.save(images.png()), store.save(images.png())

    with store.unit_of_work() as work:
        new = work.save(images.jpeg())
        work.update(old.id, images.webp())
        work.delete(gone.id)

    store.parts.reaper.reap()
    assert store.load(new.image_id) == images.jpeg()
    assert store.load(old.id) == images.webp()
    assert work.records[old.id].token > old.token
    assert not store.exists(gone.id)
    assert _blobs(store) == 2


def test_updating_the_same_image_twice_keeps_the_last(store):
    """The last of several versions in one unit is the one that stays, and its record is given."""
    record = store.save(images.png())

    with store.unit_of_work() as work:
        work.update(record.id, images.jpeg())
        work.update(record.id, images.webp())

    store.parts.reaper.reap()
    assert store.load(record.id) == images.webp()
    assert store.record(record.id) == work.records[record.id]
    assert _blobs(store) == 1


def test_an_error_in_the_block_undoes_everything(store):
    """A refused second file takes back the first one: no row, no blob."""
    with pytest.raises(ImageRejected), store.unit_of_work() as work:
        work.save(images.png())
        work.save(b"hello")

    assert (_rows(store), _blobs(store), work.records) == (0, 0, {})


class _OfTheCaller(Exception):
    """Whatever a caller may raise."""


def test_an_error_of_the_callers_action_rolls_everything_back(store, notes):
    """Rows of images and of the caller are as before, the new blobs are gone, the old image is read."""
    record = store.save(images.png())

    def refuse():
        notes.create(text="never")
        raise _OfTheCaller

    with pytest.raises(_OfTheCaller), store.unit_of_work() as work:
        work.save(images.jpeg())
        work.update(record.id, images.webp())
        work.also(refuse)

    store.parts.reaper.reap()
    assert _texts(store, notes) == []
    assert store.record(record.id) == record
    assert store.load(record.id) == images.png()
    assert (_rows(store), _blobs(store), work.records) == (1, 1, {})


def test_a_clash_in_the_callers_rows_rolls_everything_back(store, notes):
    """A constraint of the caller's table is raised as it is, and no image was saved."""
    with store.connected():
        notes.create(text="taken")

    with pytest.raises(peewee.IntegrityError), store.unit_of_work() as work:
        work.save(images.jpeg())
        work.also(lambda: notes.create(text="taken"))

    assert _rows(store) == 0
    assert _texts(store, notes) == ["taken"]
    assert _blobs(store) == 0


def test_a_missing_image_rolls_everything_back(store):
    """Deleting what is not there undoes the rest of the unit."""
    with pytest.raises(ImageNotFound), store.unit_of_work() as work:
        work.save(images.png())
        work.delete(NOBODY)

    assert (_rows(store), _blobs(store)) == (0, 0)


def test_actions_run_in_order_inside_the_transaction(store, notes):
    """Each action sees the rows of the images and of the actions before it."""
    seen = []

    with store.unit_of_work() as work:
        pending = work.save(images.png())
        work.also(lambda: notes.create(text="first"))
        work.also(
            lambda: seen.append(
                (store.database.in_transaction(), _texts(store, notes), store.exists(pending.image_id))
            )
        )

    assert seen == [(True, ["first"], True)]


def test_actions_alone_are_a_unit(store, notes):
    """A unit may change the caller's rows only."""
    with store.unit_of_work() as work:
        work.also(lambda: notes.create(text="alone"))

    assert _texts(store, notes) == ["alone"]


def test_an_empty_unit_does_nothing(store):
    """Nothing asked for, nothing done, and the database is not touched."""
    store.database.execute_sql = None  # any query would fail

    with store.unit_of_work():
        pass

    del store.database.execute_sql


def test_a_unit_does_not_run_inside_a_transaction(store):
    """Its commit would not be one: the mistake is told before anything is written."""
    with store.connected(), store.database.atomic(), pytest.raises(RuntimeError, match="its own transaction"):
        store.save(images.png())

    assert (_rows(store), _blobs(store)) == (0, 0)


def test_no_transaction_is_open_while_blobs_are_written(store, monkeypatch):
    """A slow disk keeps no other writer waiting."""
    open_transactions = []
    put = store.parts.blobs.put
    monkeypatch.setattr(
        store.parts.blobs,
        "put",
        lambda *blob: open_transactions.append(store.database.in_transaction()) or put(*blob),
    )

    with store.unit_of_work() as work:
        work.save(images.png())
        work.save(images.png())

    assert open_transactions == [False, False]


# --- failures around the commit


def test_a_full_disk_at_the_second_image_undoes_the_first(store, monkeypatch):
    """The blob that was put is removed again, and the error is the disk's."""
    put, calls = store.parts.blobs.put, []

    def full_at_the_second(*blob):
        calls.append(blob)
        if len(calls) == 2:
            raise StorageFull("the image could not be written: No space left on device")
        put(*blob)

    monkeypatch.setattr(store.parts.blobs, "put", full_at_the_second)
    with pytest.raises(StorageFull), store.unit_of_work() as work:
        work.save(images.png())
        work.save(images.png())

    assert (_rows(store), _blobs(store)) == (0, 0)


@pytest.mark.parametrize("moment", ("before", "after"))
def test_an_error_of_the_commit_removes_no_blob(store, monkeypatch, moment):
    """Whether the commit happened or not, every image that has a row can be read."""
    record = store.save(images.png())
    commit = store.database.commit

    def failing_commit():
        if moment == "after":
            commit()
        else:
            store.database.rollback()
        raise peewee.OperationalError("disk I/O error")

    monkeypatch.setattr(store.database, "commit", failing_commit)
    with pytest.raises(DatabaseUnavailable):
        store.update(record.id, images.jpeg())
    monkeypatch.undo()

    assert store.load(record.id) == (images.jpeg() if moment == "after" else images.png())
    assert _blobs(store) == 2


@pytest.mark.parametrize("interruption", (KeyboardInterrupt, SystemExit, MemoryError))
def test_an_interruption_right_after_the_commit_loses_nothing(store, monkeypatch, interruption):
    """Ctrl-C, a worker being told to stop, no memory: what was committed stays readable."""
    record = store.save(images.png())

    def interrupted(*_arguments):
        raise interruption

    monkeypatch.setattr(StoreParts, "record", interrupted)
    with pytest.raises(interruption):
        store.update(record.id, images.jpeg())
    monkeypatch.undo()

    assert store.load(record.id) == images.jpeg()


def test_a_busy_database_harms_no_image(config, now, monkeypatch):
    """A write that waited in vain is an error in plain words; the image is what it was, and the next write works."""
    store = ImageStore.open(config, now=now)
    record = store.save(images.png())
    other = ImageStore.open(config, now=now)
    with other.connected():
        other.database.execute_sql("PRAGMA busy_timeout = 50")
        with store.connected(), store.database.atomic(), pytest.raises(DatabaseUnavailable, match="locked"):
            other.update(record.id, images.jpeg())

    assert other.load(record.id) == images.png()
    assert other.update(record.id, images.jpeg()).token > record.token
    other.close()
    store.close()


def test_a_full_database_is_told_from_a_broken_one(store, monkeypatch):
    """No room for the row: the error says so, and the image is as before."""
    record = store.save(images.png())

    def full(*_arguments, **_options):
        raise peewee.OperationalError("database or disk is full")

    monkeypatch.setattr(store.parts.models, "note_dead", full)
    with pytest.raises(StorageFull, match="no room for the database"):
        store.update(record.id, images.jpeg())
    monkeypatch.undo()

    assert store.load(record.id) == images.png()


def test_no_connection_left_is_a_storage_error(store):
    """When every connection of the pool is in use for too long, the error is one of the library."""
    store.database._max_connections, store.database._wait_timeout = 1, 0.05
    held, release = threading.Event(), threading.Event()

    def hold():
        with store.connected():
            held.set()
            release.wait(10)

    with store.connected():
        pass
    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    try:
        with pytest.raises(StorageError):
            store.seal_text("Sea", purpose="test/title", row_id="1")
    finally:
        release.set()
        thread.join()


# --- blobs side by side


def test_the_blobs_of_a_unit_are_put_side_by_side(store, monkeypatch):
    """The next image need not wait until the one before is on the disk."""
    put, both_there = store.parts.blobs.put, threading.Barrier(2, timeout=5)

    def meet(blob_id, parts):
        both_there.wait()  # neither goes on without the other
        put(blob_id, parts)

    monkeypatch.setattr(store.parts.blobs, "put", meet)
    with store.unit_of_work() as work:
        first, second = work.save(images.png()), work.save(images.jpeg())

    assert store.load(first.image_id) == images.png()
    assert store.load(second.image_id) == images.jpeg()


def test_a_single_image_needs_no_other_thread(store, monkeypatch):
    """The blob of a single image is put by the caller's own thread."""
    put, threads = store.parts.blobs.put, []

    def noting(blob_id, parts):
        threads.append(threading.current_thread())
        put(blob_id, parts)

    monkeypatch.setattr(store.parts.blobs, "put", noting)
    store.save(images.png())

    assert threads == [threading.current_thread()]


@pytest.mark.parametrize("failing", range(3))
def test_one_blob_that_cannot_be_put_takes_the_unit_with_it(store, monkeypatch, failing):
    """Whichever of several blobs fails, no image is there afterwards, and no blob."""
    put, count = store.parts.blobs.put, []

    def fail_one(blob_id, parts):
        count.append(blob_id)
        if len(count) == failing + 1:
            raise StorageFull("the image could not be written: No space left on device", name=blob_id)
        put(blob_id, parts)

    def save_three():
        with store.unit_of_work() as work:
            for seed in range(3):
                work.save(images.png(seed=seed))

    monkeypatch.setattr(store.parts.blobs, "put", fail_one)
    with pytest.raises(StorageFull):
        save_three()

    assert (_blobs(store), _rows(store)) == (0, 0)


def test_many_images_in_one_unit(store):
    """A unit may hold more images than are put at the same time."""
    with store.unit_of_work() as work:
        pending = [work.save(images.png(seed=seed)) for seed in range(3 * PUTS_SIDE_BY_SIDE)]

    for seed, image in enumerate(pending):
        assert store.load(image.image_id) == images.png(seed=seed)


def test_without_threads_the_blobs_are_put_one_after_the_other(store, monkeypatch):
    """Where no thread can be started, nothing is lost but time."""
    monkeypatch.setattr("threading.Thread.start", Mock(side_effect=RuntimeError("can't start new thread")))

    with store.unit_of_work() as work:
        pending = [work.save(images.png(seed=seed)) for seed in range(3)]

    assert [store.load(image.image_id) for image in pending] == [images.png(seed=seed) for seed in range(3)]


# --- only if nobody was faster


def test_an_update_can_insist_on_the_version_it_replaces(store):
    """With the token that was seen, an update succeeds only while the image still has it."""
    record = store.save(images.png())
    with store.unit_of_work() as work:
        work.update(record.id, images.jpeg(), expected_token=record.token)

    def update_again():
        with store.unit_of_work() as work:
            work.update(record.id, images.webp(), expected_token=record.token)

    with pytest.raises(ImageChanged) as error:
        update_again()

    assert error.value.image_id == record.id
    assert store.load(record.id) == images.jpeg()
    store.parts.reaper.drain()
    assert _blobs(store) == 1


def test_an_image_inspected_once_is_not_inspected_again(store, monkeypatch):
    """What `formats.inspect` has seen can be saved as it is; its format and size are known."""
    image = formats.inspect(images.png(width=31, height=17))
    monkeypatch.setattr(formats, "inspect", Mock(side_effect=AssertionError("inspected again")))

    with store.unit_of_work() as work:
        pending = work.save(image)

    assert pending[1:] == ("png", 31, 17)
    assert store.load(pending.image_id) == images.png(width=31, height=17)
