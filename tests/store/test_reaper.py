"""Work that can wait: replaced and deleted images are removed soon, never twice, and no restart forgets one."""

import threading

import pytest

from pixstore import reaper
from pixstore.errors import StorageError
from pixstore.reaper import HOLD_LENGTH, Reaper
from pixstore.store import ImageStore
from tests import images
from tests.eventually import eventually


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(reaper, "DELAY", 0.01)


def _blobs(store):
    return sum(1 for _ in store.parts.blobs.blobs())


def _dead(store):
    with store.connected():
        return store.parts.models.dead_blob.select().count()


def test_a_replaced_image_is_removed_soon(store):
    """Nobody has to ask: the old blob goes, and its note with it."""
    record = store.save(images.png())

    store.update(record.id, images.jpeg())

    eventually(lambda: (_blobs(store), _dead(store)) == (1, 0))
    assert store.load(record.id) == images.jpeg()


def test_a_deleted_image_is_removed_soon(store):
    """Its bytes do not stay on the disk."""
    record = store.save(images.png())

    store.delete(record.id)

    eventually(lambda: (_blobs(store), _dead(store)) == (0, 0))


def test_the_request_does_not_wait_for_the_removal(store, monkeypatch):
    """The update is done before the old blob is removed."""
    removing, go_on = threading.Event(), threading.Event()
    delete = store.parts.blobs.delete

    def slow(blob_id):
        removing.set()
        go_on.wait(10)
        return delete(blob_id)

    monkeypatch.setattr(store.parts.blobs, "delete", slow)
    record = store.save(images.png())
    updated = store.update(record.id, images.jpeg())

    assert updated.token > record.token
    assert removing.wait(5)
    go_on.set()
    eventually(lambda: _dead(store) == 0)


def test_closing_removes_what_is_left(config, now):
    """A script that ends leaves no replaced image behind."""
    store = ImageStore.open(config, now=now)
    record = store.save(images.png())
    store.update(record.id, images.jpeg())

    store.close()

    assert _blobs(store) == 1


def test_a_restart_forgets_none(config, now, monkeypatch):
    """What a killed process did not remove, the next one does."""
    killed = ImageStore.open(config, now=now)
    monkeypatch.setattr(killed.parts.reaper, "wake", lambda: None)
    record = killed.save(images.png())
    killed.update(record.id, images.jpeg())
    killed.database.close_all()
    assert _blobs(killed) == 2

    again = ImageStore.open(config, now=now)

    eventually(lambda: (_blobs(again), _dead(again)) == (1, 0))
    again.close()


def test_what_cannot_be_removed_is_tried_again(store, monkeypatch, caplog):
    """A failing disk keeps the note; others are removed, and so is this one when the disk works."""
    record, other = store.save(images.png()), store.save(images.png())
    with store.connected():
        stuck = store.parts.models.image.get_by_id(record.id).blob_id
    delete = store.parts.blobs.delete

    def failing(blob_id):
        if blob_id == stuck:
            raise StorageError("the image could not be removed: Input/output error", name=blob_id)
        return delete(blob_id)

    monkeypatch.setattr(store.parts.reaper, "wake", lambda: None)
    monkeypatch.setattr(store.parts.blobs, "delete", failing)
    store.delete(record.id)
    store.delete(other.id)

    assert (store.parts.reaper.reap(), _dead(store), _blobs(store)) == (1, 1, 1)
    assert stuck in caplog.text
    monkeypatch.setattr(store.parts.blobs, "delete", delete)
    assert (store.parts.reaper.reap(), _dead(store), _blobs(store)) == (1, 0, 0)


def test_held_blobs_are_removed_when_the_hold_ends(store, now, monkeypatch):
    """A backup that holds removals back delays them, and nobody has to ask for them again; nor if it was killed."""
    monkeypatch.setattr(reaper, "RETRY_INTERVAL", 0.05)
    hold = store.parts.models.hold
    for ends in (lambda: hold.delete().execute(), lambda: now.forward(HOLD_LENGTH)):
        with store.connected():
            hold.insert(name="backup", until=now() + HOLD_LENGTH).on_conflict_replace().execute()
        store.delete(store.save(images.png()).id)
        store.parts.reaper.drain()
        assert (_blobs(store), _dead(store)) == (1, 1)

        with store.connected():
            ends()

        eventually(lambda: (_blobs(store), _dead(store)) == (0, 0))


def test_a_hold_of_a_clock_that_was_wrong_holds_nothing(store, now):
    """A hold that ends implausibly late was written by a clock that ran ahead: nothing waits for it."""
    with store.connected():
        store.parts.models.hold.insert(name="backup", until=now() + 1000 * HOLD_LENGTH).execute()

    store.delete(store.save(images.png()).id)

    eventually(lambda: (_blobs(store), _dead(store)) == (0, 0))


def test_two_may_reap_at_the_same_time(config, now, monkeypatch):
    """Workers that remove the same blobs do not disturb each other."""
    stores = [ImageStore.open(config, now=now) for _ in range(2)]
    for store in stores:
        monkeypatch.setattr(store.parts.reaper, "wake", lambda: None)
    for image_id in [stores[0].save(images.png()).id for _ in range(20)]:
        stores[0].delete(image_id)

    threads = [threading.Thread(target=store.parts.reaper.reap) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (_blobs(stores[0]), _dead(stores[0])) == (0, 0)
    for store in stores:
        store.close()


# --- the thread itself


def _reaper(reap):
    """Return a reaper whose work is *reap*."""
    reaper = Reaper(models=None, blobs=None, now=None)
    reaper.reap = reap
    return reaper


def test_the_thread_works_until_nothing_is_left():
    """One call is enough for all the work there is."""
    left, done = [3, 2, 1, 0], threading.Event()

    def work():
        count = left.pop(0)
        if not left:
            done.set()
        return count

    worker = _reaper(work)
    worker.wake()

    assert done.wait(5)
    worker.close()


def test_no_thread_before_there_is_work():
    """A store that only reads starts none, and closing it is nothing."""
    before = threading.active_count()
    worker = _reaper(lambda: 0)

    worker.close()

    assert threading.active_count() == before


def test_closing_ends_the_thread():
    """Nothing runs on."""
    worker = _reaper(lambda: 0)
    worker.wake()
    thread = worker._thread

    worker.close()

    assert not thread.is_alive()


def test_an_error_does_not_end_the_thread(caplog):
    """It is logged, and the next call finds the thread at work."""
    calls, twice = [], threading.Event()

    def work():
        calls.append(1)
        if len(calls) == 2:
            twice.set()
        raise StorageError("the disk is gone")

    worker = _reaper(work)
    worker.wake()
    eventually(lambda: len(calls) == 1)
    worker.wake()

    assert twice.wait(5)
    assert "the disk is gone" in caplog.text
    worker.close()


def test_it_can_be_woken_again_after_closing():
    """A store used after `close`, against the rules, does not hang."""
    done = threading.Event()
    worker = _reaper(lambda: done.set() or 0)
    worker.wake()
    worker.close()
    done.clear()

    worker.wake()

    assert done.wait(5)
    worker.close()
