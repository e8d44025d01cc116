"""
Work that can wait, done by one background thread. Imports only the standard library.

Freeing the disk blocks of a replaced image can cost milliseconds, so the request that replaced it does not wait for it.
What is to be removed stands in the database; the thread only decides when.
"""

import logging
import os
import threading
from collections.abc import Callable

DELAY = 0.2
"""Seconds between the first call for work and the work, so that many removals share one transaction."""

logger = logging.getLogger(__name__)


class Reaper:
    """Calls *work* soon after ``wake``, until it returns 0. The thread starts when first needed, also after a fork."""

    def __init__(self, work: Callable[[], int]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._awake = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._process = 0

    def wake(self) -> None:
        """Ask for the work to be done soon. It never raises: what asks for it was committed already."""
        with self._lock:
            if self._process != os.getpid():  # threads do not survive a fork
                self._awake, self._stopped = threading.Event(), threading.Event()
                thread = threading.Thread(target=self._run, name="pixstore-reaper", daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    logger.exception("no thread could be started; replaced images are removed later")
                    return
                self._thread, self._process = thread, os.getpid()
        self._awake.set()

    def close(self) -> None:
        """Stop the thread; work in hand is finished first."""
        with self._lock:
            thread = self._thread if self._process == os.getpid() else None
            self._thread, self._process = None, 0
        if thread is not None:
            self._stopped.set()
            self._awake.set()
            thread.join()

    def _run(self) -> None:
        awake, stopped = self._awake, self._stopped
        while not stopped.is_set():
            awake.wait()
            if not stopped.wait(DELAY):
                awake.clear()
                self._drain()

    def _drain(self) -> None:
        try:
            while self._work():
                pass
        except Exception:
            logger.exception("removing replaced images failed; it is tried again later")
