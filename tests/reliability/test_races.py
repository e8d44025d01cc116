"""Several processes and threads at once: every read gives a version that was the newest at some instant of the read."""

from contextlib import ExitStack, closing
from unittest import mock

import pytest

from pixstore.maintenance.backup import _held
from pixstore.store import ImageStore
from tests.reliability.harness.history import NEVER, Operation, check
from tests.reliability.harness.labelled import labelled
from tests.reliability.harness.outcomes import run_program


def test_every_image_is_a_register():
    """While others update, delete, sweep, back up and re-encrypt, no read is older than one acknowledged before."""
    outcome = run_program("register", operations=3000)

    assert outcome.anomalies == []
    assert outcome.amount >= 3000


@pytest.mark.parametrize("seed", ["altered_read", "in_place_overwrite"])
def test_the_register_test_finds_stale_and_torn_reads(seed):
    """A store that now and then reads an old row, or writes in place, does not pass the test above."""
    assert run_program("register", operations=3000, maintain=False, seed=seed).anomalies


def test_a_backup_that_begins_during_removal_keeps_its_blobs(store, config):
    """Removal that looked before a backup held the dead blobs back does not take what the backup is to copy."""
    image_id = store.save(labelled("old")).id
    blobs = {blob.blob_id for blob in store.parts.blobs.blobs()}
    usual, begun = store.database.execute_sql, []

    with closing(ImageStore.open(config)) as other, ExitStack() as held:

        def execute(sql, *rest):
            result = usual(sql, *rest)
            if not begun:
                begun.append(sql)
                held.enter_context(_held(other.parts))
                other.update(image_id, labelled("new"))
            return result

        with mock.patch.object(store.database, "execute_sql", execute):
            store.parts.reaper.reap()

        assert blobs <= {blob.blob_id for blob in store.parts.blobs.blobs()}


def _write(label, token, start, end):
    return Operation("write", "x", label, token, start, end)


def _read(label, token, start, end):
    return Operation("read", "x", label, token, start, end)


FIRST, SECOND = _write("a", 1, 0, 1), _write("b", 2, 2, 4)


@pytest.mark.parametrize(
    "history",
    [
        [FIRST, SECOND, _read("a", 1, 3, 5)],
        [FIRST, SECOND, _read("b", 2, 3, 3.5)],
        [FIRST, _write("b", 0, 2, NEVER), _read("a", 1, 5, 6), _read("b", 2, 7, 8)],
        [FIRST, SECOND, _read("b", 9, 5, 6)],
        [FIRST, Operation("delete", "x", None, 0, 2, 4), _read("a", 1, 3, 5), _read(None, -1, 3, 5)],
        [FIRST, _write("b", None, 2, 4), _write("c", None, 5, 6), _read("c", 7, 7, 8)],
        [FIRST, _write("b", 7, 2, 9), _read("b", None, 3, 4), _write("c", None, 5, 6)],
        [FIRST, _write("b", None, 2, 6), _write("c", 3, 3, 4), _read("b", 5, 7, 8)],
        [FIRST, _write("b", None, 2, 6), _write("c", 3, 3, 4), _read("c", 3, 7, 8)],
    ],
    ids=[
        "old while writing",
        "new while writing",
        "unacknowledged",
        "re-encrypted",
        "while deleting",
        "token not told",
        "token not told, nor that of what was read before",
        "token not told, later",
        "token not told, earlier",
    ],
)
def test_histories_that_one_register_explains(history):
    """What may happen while operations overlap is no anomaly."""
    assert check(history) == []


@pytest.mark.parametrize(
    "history",
    [
        [FIRST, SECOND, _read("a", 1, 5, 6)],
        [FIRST, SECOND, _read("b", 2, 2.5, 2.6), _read("a", 1, 2.7, 2.8)],
        [FIRST, _read("c", 3, 2, 3)],
        [FIRST, SECOND, _read("b", 2, 0.5, 0.6)],
        [FIRST, _write("b", 1, 2, 4)],
        [FIRST, SECOND, _read("a", 2, 3, 5)],
        [FIRST, Operation("delete", "x", None, 0, 2, 4), _read("a", 1, 5, 6)],
        [FIRST, _read(None, -1, 2, 3)],
        [FIRST, Operation("delete", "x", None, 0, 2, 4), _write("b", 2, 5, 6)],
        [FIRST, _write("b", None, 2, 4), _read("a", 1, 5, 6)],
        [FIRST, _write("b", None, 2, 4), _read("b", 3, 5, 6), _read("a", 1, 7, 8)],
        [FIRST, _write("b", None, 2, 4), _read("b", 3, 5, 6), _write("c", 2, 7, 8)],
    ],
    ids=[
        "stale",
        "backwards",
        "never written",
        "from the future",
        "token twice",
        "wrong token",
        "risen",
        "lost",
        "revived",
        "lost, token not told",
        "stale, token not told",
        "older than one whose token was not told",
    ],
)
def test_histories_that_no_register_explains(history):
    """Each kind of anomaly is found."""
    assert check(history)
