"""The judge itself: which histories of one image it accepts, and which anomalies it finds."""

import pytest

from tests.torture.tools.history import NEVER, Operation, check


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
    """Operations that overlap may be seen in either order, and that is no anomaly."""
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
    """A history that no order of its operations explains is an anomaly."""
    assert check(history)
