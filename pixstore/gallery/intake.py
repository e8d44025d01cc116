"""
Limits how much a process takes in from uploads at the same time.

Imports the core's ``room`` and the gallery's errors.

Two things are scarce:

- *Memory*: the files of a form lie on the disk (``spool``). Each comes into memory when there is room for it
  beside the files of other forms.
- *Threads*: a large form keeps one thread for as long as it is sent and stored. So only some large forms run
  at a time, a few more wait for a while, and the rest are refused at once. There are always threads left for
  people who only look at pictures.
"""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from pixstore.gallery.errors import TooBusy
from pixstore.room import NoRoom, Room

SMALL_FORM = 8 * 2**20
"""Bytes. A form up to this size never waits for a place: it is over soon."""

PATIENCE = 10.0
"""Seconds that a large form waits for its turn."""

RETRY_AFTER = 10
"""Seconds after which a refused client may try again."""

COPIES = 3
"""How many copies of a file are in memory at most: the upload, the decoder's input, and the sealed bytes."""


class Intake:
    """The memory and the places that all upload forms of a process share."""

    def __init__(self, *, at_once: int, max_file_bytes: int, patience: float = PATIENCE) -> None:
        self._files = Room(COPIES * max_file_bytes)
        self._forms = Room(at_once)
        self._admitted = threading.BoundedSemaphore(at_once + -(-at_once // 2))
        self._patience = patience

    def memory_for(self, size: int) -> AbstractContextManager[None]:
        """Wait until there is memory for a file of *size* bytes, and hold that memory."""
        return self._files.held(COPIES * size)

    @contextmanager
    def place_for(self, size: int | None) -> Iterator[None]:
        """
        Wait for a place for a form of *size* bytes, and hold it. ``None`` means that the size is unknown.

        Raises:
            TooBusy: If too many forms wait already, or no place becomes free in time.
        """
        if size is not None and size <= SMALL_FORM:
            yield
            return
        if not self._admitted.acquire(blocking=False):
            raise TooBusy(RETRY_AFTER)
        try:
            with self._turn():
                yield
        finally:
            self._admitted.release()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        place = self._forms.held(1, patience=self._patience)
        try:
            place.__enter__()
        except NoRoom:
            raise TooBusy(RETRY_AFTER) from None
        try:
            yield
        finally:
            place.__exit__(None, None, None)
