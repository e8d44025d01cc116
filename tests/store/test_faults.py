"""Things that break around a store: each is named clearly, loses nothing, and is over when its cause is gone."""

import os
import sqlite3
import threading
from contextlib import closing
from unittest import mock

import pytest

from pixstore.errors import (
    BlobNotFound,
    DatabaseUnavailable,
    DecryptionFailed,
    KeyringError,
    PixstoreError,
    StorageError,
)
from pixstore.maintenance.check import check
from pixstore.maintenance.rebuild import rebuild
from pixstore.store import ImageStore
from tests import stored
from tests.images import png
from tests.labelled import label_of, labelled

OLD, NEW = labelled("old"), labelled("new")


@pytest.fixture(name="impatient")
def _impatient(monkeypatch):
    """Wait for a busy database for a moment only."""
    monkeypatch.setattr("pixstore.database.BUSY_TIMEOUT", 0.2)


@pytest.fixture(name="saved")
def _saved(store):
    return [store.save(labelled(f"image {number}")).id for number in range(3)]


def _others_are_there(store, saved):
    return [label_of(store.load(image_id)) for image_id in saved[1:]] == ["image 1", "image 2"]


def _load_all(config, image_ids):
    with closing(ImageStore.open(config)) as store:
        for image_id in image_ids:
            store.load(image_id)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("operation", ["save", "update", "delete"])
def test_a_busy_database_is_named_and_harms_nothing(config, operation):
    """While another program holds the database, a write fails, and the image stays readable as it was."""
    with closing(ImageStore.open(config)) as store:
        image_id = store.save(OLD).id
        write = {
            "save": lambda: store.save(NEW),
            "update": lambda: store.update(image_id, NEW),
            "delete": lambda: store.delete(image_id),
        }[operation]

        with closing(sqlite3.connect(config.sqlite_path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(DatabaseUnavailable, match="locked"):
                write()
            assert store.load(image_id) == OLD
            other.execute("ROLLBACK")

        write()
        assert check(store, deep=True).images >= (operation != "delete")


def test_more_threads_than_connections_wait_for_one(store, saved, monkeypatch):
    """Many threads at once get a connection each in turn, or an error with a name."""
    errors = []

    def work():
        try:
            for _ in range(5):
                store.load(saved[0])
                store.update(saved[1], NEW)
        except PixstoreError as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(70)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []


def test_a_thread_that_gets_no_connection_is_told_so(store, saved, monkeypatch):
    """If no connection becomes free, the error is DatabaseUnavailable."""
    monkeypatch.setattr(store.database, "_max_connections", 1)
    monkeypatch.setattr(store.database, "_wait_timeout", 0.05)
    found = []

    def write():
        try:
            store.delete(saved[0])
        except Exception as error:  # noqa: BLE001 - which one it is, is the question
            found.append(error)

    with store.connected():
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()

    assert [type(error) for error in found] == [DatabaseUnavailable]


def test_no_thread_can_be_started_after_a_commit(store, saved):
    """If the thread that cleans up cannot be started, the update is committed all the same."""
    with mock.patch("threading.Thread.start", side_effect=RuntimeError("can't start new thread")):
        store.update(saved[0], NEW)

    assert store.load(saved[0]) == NEW


@pytest.mark.parametrize("harm", ["flipped", "cut", "emptied", "missing", "a directory"])
def test_a_damaged_blob_takes_no_other_image_with_it(store, saved, harm):
    """One damaged blob is refused, the others are served, a check names it, and an update brings the image back."""
    path = stored.blob_file(store, saved[0])
    raw = path.read_bytes()
    path.unlink()
    if harm == "a directory":
        path.mkdir()
    elif harm != "missing":
        path.write_bytes({"flipped": raw[:-1] + bytes((raw[-1] ^ 1,)), "cut": raw[:-1], "emptied": b""}[harm])

    with pytest.raises((DecryptionFailed, StorageError)):
        store.load(saved[0])
    assert _others_are_there(store, saved)
    assert {finding.image_id for finding in check(store, deep=True).findings} == {saved[0]}
    store.update(saved[0], NEW)
    assert store.load(saved[0]) == NEW


def test_a_missing_blob_is_named(store, saved):
    """The error for a missing blob says which one."""
    path = stored.blob_file(store, saved[0])
    path.unlink()

    with pytest.raises(BlobNotFound, match=path.name):
        store.load(saved[0])


def test_a_damaged_row_takes_no_other_image_with_it(store, saved):
    """A row of nonsense is refused, and a check repairs it from its blob."""
    with store.connected():
        store.database.execute_sql("UPDATE image SET iv = 'x', tag = 7 WHERE id = ?", [saved[0]])

    with pytest.raises(PixstoreError):
        store.load(saved[0])
    assert _others_are_there(store, saved)
    assert check(store, repair=True).is_clean
    assert label_of(store.load(saved[0])) == "image 0"


def test_the_wrong_master_key_opens_nothing_and_changes_nothing(store, saved, config):
    """A store with the wrong master key does not open and changes nothing; with the right one everything is there."""
    store.close()
    path = config.data_dir / "master.key"
    right = path.read_bytes()
    path.write_bytes(b"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=\n")
    with pytest.raises(KeyringError, match="does not open this keyring"):
        ImageStore.open(config)
    path.unlink()
    with pytest.raises(KeyringError, match="is missing: restore it"):
        ImageStore.open(config)

    path.write_bytes(right)
    with closing(ImageStore.open(config)) as again:
        assert _others_are_there(again, saved)


@pytest.mark.parametrize("harm", ["noise at the start", "noise all over", "cut in half"])
def test_a_damaged_database_is_named_and_can_be_rebuilt(store, saved, config, harm):
    """A damaged database is refused; after it has been moved away, a rebuild brings back every image."""
    store.close()
    raw = config.sqlite_path.read_bytes()
    config.sqlite_path.write_bytes(
        {
            "noise at the start": os.urandom(100) + raw[100:],
            "noise all over": os.urandom(len(raw)),
            "cut in half": raw[: len(raw) // 2],
        }[harm]
    )

    with pytest.raises(DatabaseUnavailable, match="database"):
        _load_all(config, saved)

    stored.lose_database(config)
    with closing(ImageStore.open(config)) as rebuilt:
        assert len(rebuild(rebuilt).images) == 3
        assert _others_are_there(rebuilt, saved)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, who may not write")
def test_missing_permissions_are_named_and_harm_nothing(store, saved, config):
    """A user who may not use the directory gets an error that says so, and nothing changes."""
    store.close()
    os.seteuid(65534)
    try:
        with pytest.raises(StorageError, match=r"ermission|unable to open"):
            ImageStore.open(config)
    finally:
        os.seteuid(0)

    with closing(ImageStore.open(config)) as again:
        assert _others_are_there(again, saved)


def test_an_interruption_right_after_the_commit_keeps_the_image(store, saved):
    """Ctrl-C right after the commit does not remove the blob that the row names by then."""
    usual = store.database.commit

    def commit():
        usual()
        raise KeyboardInterrupt

    with mock.patch.object(store.database, "commit", commit), pytest.raises(KeyboardInterrupt):
        store.update(saved[0], NEW)

    assert store.load(saved[0]) == NEW


def test_a_failing_action_of_the_caller_leaves_nothing_behind(store, saved):
    """A unit of work whose caller raises is rolled back, and its blobs are gone."""

    def change_and_fail():
        with store.unit_of_work() as work:
            work.save(png())
            work.update(saved[0], NEW)
            work.also(lambda: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        change_and_fail()

    assert label_of(store.load(saved[0])) == "image 0"
    assert len(list(store.parts.blobs.blobs())) == 3
