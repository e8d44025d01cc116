"""Several users of one store: two handles, many threads, many processes, a fork."""

import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

import pytest

from pixstore.errors import ImageNotFound
from pixstore.store import ImageStore
from tests import images

VERSIONS = {images.png(seed=seed): seed for seed in range(24)}


def _blob_count(store):
    while store.parts.reaper.reap():
        pass
    return sum(1 for _ in store.parts.blobs.blobs())


# --- two handles in one process


def test_two_handles_see_the_same_images(config, now):
    """What one saves, replaces or deletes, the other one sees at once."""
    first, second = (ImageStore.open(config, now=now) for _ in range(2))

    record = first.save(images.png())
    assert second.load(record.id) == images.png()
    second.update(record.id, images.jpeg())
    assert first.load(record.id) == images.jpeg()
    assert second.delete(record.id)
    assert not first.exists(record.id)

    first.close()
    second.close()


def test_proofs_of_one_are_good_for_the_other(config, now):
    """Workers agree on proofs without talking to each other."""
    first, second = (ImageStore.open(config, now=now) for _ in range(2))

    record = first.save(images.png())

    assert second.answer(record.id, proof=record.stateless_proof).to_bytes()[0] == 1
    first.close()
    second.close()


def test_two_stores_in_one_process_have_nothing_in_common(tmp_path, now, config):
    """Stores with data directories of their own share no image, no key and no proof."""
    first = ImageStore.open(config, now=now)
    second = ImageStore.open(replace(config, data_dir=tmp_path / "second"), now=now)

    record = first.save(images.png())

    assert second.record(record.id) is None
    assert second.answer(record.id, proof=record.stateless_proof).to_bytes() == b"\x05"
    assert first.secret("pixstore/v1/session") != second.secret("pixstore/v1/session")
    first.close()
    second.close()


# --- threads


def test_threads_that_update_one_image(store):
    """Every update gets a token of its own, the last one is what is read, and no blob is left over."""
    record = store.save(images.png())

    with ThreadPoolExecutor(8) as pool:
        updated = list(pool.map(lambda data: (store.update(record.id, data).token, data), VERSIONS))

    assert len({token for token, _ in updated}) == len(VERSIONS)
    assert store.load(record.id) == max(updated)[1]
    assert store.record(record.id).token == max(updated)[0]
    assert _blob_count(store) == 1


def test_threads_that_read_while_one_writes(store):
    """Every read gives a whole version that was written, and never an older one after a newer one."""
    record = store.save(next(iter(VERSIONS)))
    done, problems = threading.Event(), []

    def read():
        newest = -1
        while not done.is_set():
            try:
                seed = VERSIONS[store.load(record.id)]
            except Exception as error:  # noqa: BLE001 - whatever it is, it fails the test
                problems.append(error)
                return
            if seed < newest:
                problems.append((newest, seed))
            newest = seed

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for data in VERSIONS:
        store.update(record.id, data)
        store.parts.reaper.reap()
    done.set()
    for reader in readers:
        reader.join()

    assert problems == []


def test_threads_that_delete_one_image(store):
    """One of them deleted it, the others found nothing."""
    record = store.save(images.png())

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: store.delete(record.id), range(8)))

    assert sorted(results) == [False] * 7 + [True]
    assert _blob_count(store) == 0


def test_threads_that_update_and_delete(store):
    """An update that lost against the deletion says so and leaves nothing."""
    record = store.save(images.png())

    def work(number):
        try:
            if number == 4:
                return store.delete(record.id)
            return store.update(record.id, images.png(seed=number)).token
        except ImageNotFound:
            return None

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(12)))

    assert not store.exists(record.id)
    assert _blob_count(store) == 0


# --- processes


def _update_many(config, image_id, first, count, results):
    store = ImageStore.open(config)
    results.put([(store.update(image_id, images.png(seed=first + n)).token, first + n) for n in range(count)])
    store.close()


def _save_many(config, start, results):
    start.wait()
    store = ImageStore.open(config)
    results.put([store.save(images.png(seed=os.getpid() % 1000 + n)).id for n in range(5)])
    store.close()


def _run(target, *arguments, processes):
    """Run *target* in fresh processes and return everything they put into the queue, given last."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    started = [context.Process(target=target, args=(*call, results)) for call in processes]
    for process in started:
        process.start()
    outcome = [item for _ in started for item in results.get(timeout=60)]
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0] * len(started)
    return outcome


def test_processes_that_update_one_image(config):
    """Tokens stay unique and growing over processes, and the newest version is what is read."""
    store = ImageStore.open(config)
    record = store.save(images.png())

    updated = _run(_update_many, processes=[(config, record.id, 100 * n, 15) for n in range(3)])

    assert len({token for token, _ in updated}) == 45
    assert store.load(record.id) == images.png(seed=max(updated)[1])
    assert _blob_count(store) == 1
    store.close()


def test_processes_that_make_the_store_at_the_same_time(config):
    """Workers of a first start agree on one master key and one keyring."""
    start = multiprocessing.get_context("spawn").Event()
    start.set()

    saved = _run(_save_many, processes=[(config, start) for _ in range(3)])

    store = ImageStore.open(config)
    assert len(saved) == 15
    assert all(store.load(image_id) for image_id in saved)
    assert len(list(config.data_dir.glob("master.*"))) == 1
    store.close()


def test_after_a_fork(store):
    """A child that says so uses connections of its own; the parent's go on."""
    record = store.save(images.png())
    with store.connected():
        child = os.fork()
        if child == 0:
            status = 1
            try:
                store.after_fork()
                same = store.load(record.id) == images.png()
                store.update(record.id, images.jpeg())
                status = 0 if same else 2
            finally:
                os._exit(status)
        _, exit_status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(exit_status) == 0
        assert store.load(record.id) == images.jpeg()
        store.update(record.id, images.webp())

    assert store.load(record.id) == images.webp()


@pytest.mark.parametrize("depth", (1, 3))
def test_a_held_connection_is_held_once(store, depth):
    """Inside `connected` every call uses the one connection, and it goes back to the pool at the end."""
    with ExitStack() as stack:
        for _ in range(depth):
            stack.enter_context(store.connected())
        connection = store.database.connection()
        store.save(images.png())
        assert store.database.connection() is connection

    assert store.database.is_closed()
