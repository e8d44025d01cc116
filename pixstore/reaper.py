"""
Removes the blobs of replaced and deleted images, soon but not at once.

Imports ``models``, ``blobs``, ``database``.

Freeing the disk blocks of an image can cost milliseconds, so the request that replaced it does not wait for it. The
database says what is to be removed, so a restart forgets nothing. A background thread decides when.
"""

import logging
import os
import threading
from collections.abc import Callable

from pixstore.blobs import BlobStore
from pixstore.database import connected
from pixstore.errors import StorageError
from pixstore.models import StoreModels

DELAY = 0.2
"""Seconds between the first call of ``wake`` and the work, so that many removals share one transaction."""

BATCH = 200

RETRY_INTERVAL = 10.0
"""Seconds until the next try, for blobs that are held or could not be removed."""

HOLD_LENGTH = 10 * 60_000
"""How long (ms) a hold lasts, unless it is renewed. A hold that ends later was written by a wrong clock."""

logger = logging.getLogger(__name__)


class Reaper:
    """Removes dead blobs. Its thread starts when it is first needed, and again after a fork."""

    def __init__(self, models: StoreModels, blobs: BlobStore, now: Callable[[], int]) -> None:
        self._models = models
        self._blobs = blobs
        self._now = now
        self._lock = threading.Lock()
        self._awake = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._process = 0

    def reap(self) -> int:
        """Remove one batch of dead blobs and return how many are gone. While there is a hold, remove none."""
        dead_blob, database = self._models.dead_blob, self._models.database
        with connected(database):
            dead = [row.blob_id for row in dead_blob.select().order_by(dead_blob.dead_at).limit(BATCH)]
            # Read the dead blobs before the holds: a backup needs only what was still alive when its hold began.
            if self._is_held():
                return 0
        gone = [blob_id for blob_id in dead if self._remove(blob_id)]
        failed = set(dead).difference(gone)
        if dead:
            with connected(database), database.atomic():
                dead_blob.delete().where(dead_blob.blob_id.in_(gone)).execute()
                if failed:  # they go to the end of the queue, so they do not hold up the others
                    dead_blob.update(dead_at=self._now()).where(dead_blob.blob_id.in_(failed)).execute()
        return len(gone)

    def drain(self) -> None:
        """Remove every dead blob that can be removed now."""
        while self.reap():
            pass

    def has_work(self) -> bool:
        """Tell whether there are dead blobs, held or not."""
        with connected(self._models.database):
            return bool(self._models.dead_blob.select().exists())

    def _is_held(self) -> bool:
        hold, now = self._models.hold, self._now()
        return bool(hold.select().where((hold.until > now) & (hold.until <= now + HOLD_LENGTH)).exists())

    def wake(self) -> None:
        """Ask for ``drain`` to run soon. It never raises, because its callers have committed already."""
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
        """Stop the thread, after it has finished the work it has begun."""
        with self._lock:
            thread = self._thread if self._process == os.getpid() else None
            self._thread, self._process = None, 0
        if thread is not None:
            self._stopped.set()
            self._awake.set()
            thread.join()

    def _run(self) -> None:
        awake, stopped = self._awake, self._stopped
        retry: float | None = None
        while not stopped.is_set():
            awake.wait(retry)
            if not stopped.wait(DELAY):
                awake.clear()
                retry = RETRY_INTERVAL if self._drain_or_log() else None

    def _drain_or_log(self) -> bool:
        """Drain, and tell whether dead blobs are left for later."""
        try:
            self.drain()
            return self.has_work()
        except Exception:
            logger.exception("replaced images could not be removed; it is tried again later")
            return True

    def _remove(self, blob_id: str) -> bool:
        try:
            self._blobs.delete(blob_id)
        except StorageError:
            logger.exception("the blob %s could not be removed; it is tried again later", blob_id)
            return False
        return True
