"""A limited amount, such as memory, that the threads of a process share. Imports nothing of this library."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class NoRoom(Exception):
    """The amount has not become free in time."""


class Room:
    """
    A limited amount that several threads share.

    Requests are served in order, so small ones cannot delay a large one for ever.
    """

    def __init__(self, size: int) -> None:
        self.size = self._free = size
        self._turn = threading.Lock()
        self._change = threading.Condition()

    @contextmanager
    def held(self, amount: int, *, patience: float | None = None) -> Iterator[None]:
        """
        Wait until *amount* is free, and hold it. If *amount* is more than there is in all, hold all of it.

        Raises:
            NoRoom: If that takes longer than *patience*, in seconds.
        """
        amount = min(amount, self.size)
        self._take(amount, patience)
        try:
            yield
        finally:
            with self._change:
                self._free += amount
                self._change.notify()

    def _take(self, amount: int, patience: float | None) -> None:
        until = None if patience is None else time.monotonic() + patience
        if not self._turn.acquire(timeout=-1 if patience is None else patience):
            raise NoRoom
        try:
            with self._change:
                left = None if until is None else max(0.0, until - time.monotonic())
                if not self._change.wait_for(lambda: self._free >= amount, left):
                    raise NoRoom
                self._free -= amount
        finally:
            self._turn.release()
