"""A program that uses the library beside a gallery: it saves, updates, deletes and reads, and records it."""

import random
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from pixstore.store import ImageStore
from tests.labelled import label_of, labelled
from tests.torture.tools.history import Operation
from tests.torture.tools.image_access import Absent, LibraryAccess, Place
from tests.torture.tools.stores import settings_of

BATCH = 100

READS = ("load", "answer", "cached", "page")


class LibraryUser:
    """One program over the store in *data*. ``operations`` is its history, ``errors`` whatever should not have happened."""

    def __init__(self, data: Path) -> None:
        self.operations: list[Operation] = []
        self.errors: list[str] = []
        self.store = ImageStore.open(settings_of(data))
        self._images = LibraryAccess(self.store)
        self._chance = random.Random("library")
        self._used: list[str] = []
        self._number = 0

    def fill(self, images: int, *, unused: int) -> list[str]:
        """Save so many *images*; return the ids of those that it will not use any more, *unused* of them."""
        saved: list[str] = []
        while len(saved) < images:
            saved += self._save_many(min(BATCH, images - len(saved)))
        self._used = saved[unused:]
        return saved[:unused]

    def go_on_until(self, done: threading.Event) -> None:
        """Do one thing after another."""
        verbs = (self._read, self._read, self._read, self._update, self._save, self._delete)
        while not done.is_set():
            verb = self._chance.choice(verbs)
            try:
                verb()
            except Exception as error:  # noqa: BLE001 - every error is an anomaly
                self.errors.append(f"library {verb.__name__}: {type(error).__name__}: {error}")

    def note(self, image_id: str, label: str, token: int, start: float) -> None:
        """Take down that an image was written."""
        self.operations.append(Operation("write", image_id, label, token, start, time.monotonic()))

    def _save_many(self, count: int) -> list[str]:
        start = time.monotonic()
        with self.store.unit_of_work() as work:
            labels = {work.save(labelled(label)).image_id: label for label in self._labels(count)}
        for image_id, label in labels.items():
            self.note(image_id, label, work.records[image_id].token, start)
        return list(labels)

    def _save(self) -> None:
        self._used += self._save_many(1)

    def _read(self) -> None:
        image_id, start = self._any(), time.monotonic()
        look = self._images.read(self._chance.choice(READS), Place(image_id))
        end = time.monotonic()
        self.operations.append(Operation("read", image_id, label_of(look.image), look.token, start, end))

    def _update(self) -> None:
        image_id, (label,), start = self._any(), self._labels(1), time.monotonic()
        self.note(image_id, label, self._images.update(Place(image_id), labelled(label)), start)

    def _delete(self) -> None:
        image_id, start = self._used.pop(self._chance.randrange(len(self._used))), time.monotonic()
        self._images.delete(Place(image_id))
        self.operations.append(Operation("delete", image_id, None, 0, start, time.monotonic()))

    def _any(self) -> str:
        return self._chance.choice(self._used)

    def _labels(self, count: int) -> list[str]:
        self._number += count
        return [f"library {number}" for number in range(self._number - count, self._number)]


def looks(store: ImageStore, image_ids: Iterable[str]) -> list[Operation]:
    """Read every image, and return the reads as a history; an error becomes a label that was never written."""
    images = LibraryAccess(store)
    found = []
    for image_id in image_ids:
        start = time.monotonic()
        label: str | None
        token: int | None = None
        try:
            label = label_of(images.read("load", Place(image_id)).image)
        except Absent:
            label, token = None, -1
        except Exception as error:  # noqa: BLE001 - every error is an anomaly
            label = f"{type(error).__name__}: {error}"
        found.append(Operation("read", image_id, label, token, start, time.monotonic()))
    return found
