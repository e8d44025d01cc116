"""
No room: hundreds of writes fail on a full disk, or at a limit of the size of a file; nothing that was there is harmed.

    python -m tests.torture.programs.disk_full '{"failures": 50, "limit": "size"}'

``limit`` is "disk" (a memory disk of a few MB; needs root) or "size" (RLIMIT_FSIZE).
"""

import os
import random
import resource
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pixstore.errors import PixstoreError, StorageError, StorageFull
from pixstore.maintenance.sweep import sweep
from pixstore.parts import clock_ms
from pixstore.store import ImageStore
from tests.labelled import labelled
from tests.torture.tools.outcomes import Outcome, main
from tests.torture.tools.seeded_faults import seeded
from tests.torture.tools.stores import Expected, anomalies, quiet_store

MEGABYTES = 8
SIZE_LIMIT = 600_000
PADDINGS = (0, 3_000, 300_000, 700_000)


def run(failures: int = 50, limit: str = "size", seed: str | None = None) -> Outcome:
    """Write until so many writes have failed, making room now and then."""
    outcome = Outcome()
    with (
        tempfile.TemporaryDirectory() as place,
        seeded(seed),
        _small_disk(Path(place)) if limit == "disk" else _small_files(),
    ):
        clock = _Clock()
        store = quiet_store(Path(place) / "data", now=clock)
        work = _Work(store, clock, Path(place), outcome)
        while outcome.amount < failures:
            work.write_until_full(min(20, failures - outcome.amount))
            work.make_room()
        store.close()
        outcome.anomalies += anomalies(Path(place) / "data", Expected(work.allowed, work.tried, 10_000))
    outcome.words = f"{outcome.amount} failed writes, {work.written} between them"
    return outcome


@contextmanager
def _small_disk(place: Path) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@contextmanager
def _small_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE_LIMIT, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class _Clock:
    """The time, or later."""

    ahead = 0

    def __call__(self) -> int:
        return clock_ms() + self.ahead


class _Work:
    def __init__(self, store: ImageStore, clock: _Clock, place: Path, outcome: Outcome) -> None:
        self._store, self._clock, self._place, self._outcome = store, clock, place, outcome
        self._chance = random.Random(5)
        self.allowed: dict[str, list[str | None]] = {}
        self.tried: list[str] = []
        self.written = 0
        for number in range(5):
            self.allowed[store.save(labelled(f"first {number}")).id] = [f"first {number}"]

    def write_until_full(self, failures: int) -> None:
        """Save and update until so many writes failed, looking at everything after each failure."""
        until = self._outcome.amount + failures
        while self._outcome.amount < until:
            label = f"try {self._outcome.amount}.{self.written}"
            image = labelled(label, padding=self._chance.choice(PADDINGS))
            if self._chance.random() < 0.5:
                self._attempt(lambda image=image: self._store.save(image).id, None, label)
            else:
                image_id = self._chance.choice(list(self.allowed))
                self._attempt(
                    lambda i=image_id, image=image: self._store.update(i, image).id, image_id, label
                )
            with suppress(StorageError):
                self._store.parts.reaper.drain()

    def _attempt(self, write: Callable[[], str], image_id: str | None, label: str) -> None:
        try:
            written = write()
        except StorageError as error:
            self._outcome.amount += 1
            self.tried.append(label)
            if image_id is not None:
                self.allowed[image_id] = [*self.allowed[image_id], label]
            if not str(error) or (
                isinstance(error, StorageFull)
                and "room" not in str(error)
                and "space" not in str(error)
                and "large" not in str(error)
            ):
                self._outcome.anomalies.append(f"an answer that is not clear: {error!r}")
            self._look()
        except Exception as error:  # noqa: BLE001 - which is the fault that is looked for
            self._outcome.amount += 1
            self._outcome.anomalies.append(f"an error without a name: {error!r}")
        else:
            self.written += 1
            self.allowed[written] = [label]

    def _look(self) -> None:
        for image_id in self._chance.sample(list(self.allowed), min(3, len(self.allowed))):
            try:
                shown = self._store.load(image_id)
            except PixstoreError as error:
                self._outcome.anomalies.append(f"an image was harmed: {error}")
                continue
            if not any(label and f"|{label}".encode() in shown for label in self.allowed[image_id]):
                self._outcome.anomalies.append("an image is another one than was saved")

    def make_room(self) -> None:
        """Let the administrator remove something else from the disk; the store has to go on by itself."""
        room = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room[1], room[1]))
        is_disk = os.path.ismount(self._place)
        if is_disk:
            self._resize(4 * MEGABYTES)
        try:
            for image_id in list(self.allowed)[5:]:
                self._store.delete(image_id)
                del self.allowed[image_id]
            self._store.parts.reaper.drain()
            record = self._store.save(labelled("there is room"))
            self._store.delete(record.id)
            self._sweep_unfinished()
        except PixstoreError as error:
            self._outcome.anomalies.append(f"with room again: {error}")
        if is_disk:
            self._resize(MEGABYTES)
        resource.setrlimit(resource.RLIMIT_FSIZE, room)

    def _sweep_unfinished(self) -> None:
        self._clock.ahead = 60_000
        sweep(self._store, force=True)
        self._store.parts.reaper.drain()
        self._clock.ahead = 0
        with self._store.connected():
            self._store.database.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def _resize(self, megabytes: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={megabytes}m", self._place], check=True)


if __name__ == "__main__":
    main(run)
