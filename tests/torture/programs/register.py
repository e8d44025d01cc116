"""
Processes and threads save, update, delete and read a few images at full speed; then ``history.check`` judges.

Some of the processes may go through the workers of a gunicorn over the same store, the others use the library. Meanwhile
one more process sweeps, backs up, rotates the store key and re-encrypts, over and over.

    python -m tests.torture.programs.register '{"operations": 5000, "processes": 4}'
"""

import json
import mmap
import os
import random
import struct
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pixstore.config import MINUTE
from pixstore.maintenance import rotation
from pixstore.maintenance.backup import backup
from pixstore.maintenance.check import check
from pixstore.maintenance.sweep import sweep
from pixstore.store import ImageStore
from tests.gallery_client import GalleryClient
from tests.labelled import label_of, labelled
from tests.torture.tools import history, seeded_gallery
from tests.torture.tools.history import NEVER, Operation
from tests.torture.tools.image_access import (
    Absent,
    Gone,
    HttpAccess,
    ImageAccess,
    LibraryAccess,
    LibraryAccessToPictures,
    Place,
)
from tests.torture.tools.outcomes import Outcome, main
from tests.torture.tools.seeded_faults import seeded
from tests.torture.tools.stores import settings_of

OWNER = "owner"
SLOTS = 6
SLOT_SIZE = 128
KINDS = ("load", "answer", "cached", "page", "update", "update", "replace")
WEIGHTS = (25, 25, 10, 10, 14, 14, 2)

_CHECK = struct.Struct("<IH")
_COUNT = struct.Struct("<Q")


def run(
    operations: int = 2000,
    processes: int = 4,
    threads: int = 2,
    through_http: int = 0,
    maintain: bool = True,
    seed: str | None = None,
    directory: str | None = None,
) -> Outcome:
    """
    Do so many *operations* in *processes* x *threads* and judge the history.

    The first *through_http* of the processes are clients of a gunicorn over the same store, the others use the library.
    """
    outcome = Outcome()
    with ExitStack() as held:
        place = Path(held.enter_context(tempfile.TemporaryDirectory(dir=directory)))
        held.enter_context(seeded(seed))
        gallery = held.enter_context(_gallery(place, seed, outcome)) if through_http else None
        work = _Work(place / "data", _Board(processes * threads), threads, operations, gallery)
        found = _first_images(work)
        files = [place / f"history {number}" for number in range(processes)]
        workers = [
            _forked(partial(work, number, path, through_http=number < through_http))
            for number, path in enumerate(files)
        ]
        keeper = _forked(partial(_maintain, work.data, place)) if maintain else None
        statuses = [os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) for worker in workers]
        rounds = _stop(keeper, place, outcome) if keeper else 0
        outcome.anomalies += [f"a process ended with {status}" for status in statuses if status]
        by_process = [_told(path, outcome) for path in files]
        found += [operation for told in by_process for operation in told]
        outcome.anomalies += history.check(found)
        outcome.anomalies += _damages(work.data)
    outcome.amount = len(found)
    outcome.words = (
        f"{len(found)} operations, {processes} processes x {threads} threads, {rounds} rounds of maintenance"
    )
    if through_http:
        outcome.figures["through HTTP"] = sum(len(told) for told in by_process[:through_http])
    return outcome


def _told(path: Path, outcome: Outcome) -> list[Operation]:
    """Return what a process has done, and note its errors, of which every one is an anomaly."""
    lines = path.read_text().splitlines()
    outcome.anomalies += [line for line in lines if line.startswith("!")]
    return [Operation(*json.loads(line)) for line in lines if not line.startswith("!")]


def _damages(data: Path) -> list[str]:
    store = ImageStore.open(_settings(data))
    findings = check(store, deep=True).findings
    store.close()
    return [f"check: {f.kind}: {f.message}" for f in findings if f.kind != "orphan"]


def _first_images(work: "_Work") -> list[Operation]:
    store = ImageStore.open(_settings(work.data))
    images = work.images(store)
    found = [saved(images, work.board, slot, f"first {slot}") for slot in range(SLOTS)]
    store.close()
    return found


def _settings(data: Path) -> Any:
    # Long enough for any of these uploads, short enough that sweep has something to do.
    return settings_of(data, orphan_grace=MINUTE // 12)


def _forked(work: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)


class _Board:
    """Memory that all processes share: which image is in each slot at the moment, and how much each worker has done."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._memory = mmap.mmap(-1, SLOTS * SLOT_SIZE + workers * _COUNT.size)

    def put(self, slot: int, place: Place) -> None:
        text = " ".join(place).encode()
        entry = _CHECK.pack(zlib.crc32(text), len(text)) + text
        self._memory[slot * SLOT_SIZE : slot * SLOT_SIZE + len(entry)] = entry

    def get(self, slot: int) -> Place:
        """Return the place in *slot*. If another process is just writing there, wait for it."""
        while True:
            entry = self._memory[slot * SLOT_SIZE : (slot + 1) * SLOT_SIZE]
            check, length = _CHECK.unpack_from(entry)
            text = entry[_CHECK.size : _CHECK.size + length]
            if zlib.crc32(text) == check:
                return Place(*text.decode().split(" "))

    def done(self, worker: int, operations: int) -> int:
        """Note what *worker* has done so far, and return what all have done."""
        at = SLOTS * SLOT_SIZE
        _COUNT.pack_into(self._memory, at + worker * _COUNT.size, operations)
        return sum(count for (count,) in _COUNT.iter_unpack(self._memory[at:]))


@dataclass(frozen=True)
class _Work:
    """What a worker process needs to know."""

    data: Path
    board: _Board
    threads: int
    operations: int
    gallery: "_Gallery | None" = None

    def __call__(self, number: int, path: Path, *, through_http: bool) -> None:
        """Be a process: work in several threads, and write the history down."""
        store = None if through_http else ImageStore.open(_settings(self.data))
        workers = [
            _Worker(self.images(store), self.board, number * self.threads + thread)
            for thread in range(self.threads)
        ]
        running = [threading.Thread(target=worker.go_on_until, args=(self.operations,)) for worker in workers]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        path.write_text("".join(line for worker in workers for line in worker.lines))
        if store is not None:
            store.close()

    def images(self, store: ImageStore | None) -> ImageAccess:
        """Return a thread's access to the images: through *store*, or by HTTP if there is no store."""
        if self.gallery is None:
            assert store is not None
            return LibraryAccess(store)
        return self.gallery.images() if store is None else LibraryAccessToPictures(store, OWNER)


class _Worker:
    def __init__(self, images: ImageAccess, board: _Board, number: int) -> None:
        self._images, self._board, self._number = images, board, number
        self.lines: list[str] = []
        self._chance = random.Random(f"worker {number}")

    def go_on_until(self, operations: int) -> None:
        """Do one thing after another, until all workers together have done so many."""
        number = 0
        while self._board.done(self._number, len(self.lines)) < operations:
            number += 1
            kind = self._chance.choices(KINDS, WEIGHTS)[0]
            slot = self._chance.randrange(SLOTS)
            try:
                for operation in self._do(kind, slot, f"{self._number}.{number}"):
                    self._say(operation)
            except Exception as error:  # noqa: BLE001 - every error is an anomaly
                self.lines.append(f"! {kind}: {type(error).__name__}: {error}\n")
        self._images.close()

    def _do(self, kind: str, slot: int, label: str) -> Iterator[Operation]:
        place = self._board.get(slot)
        image = labelled(label, padding=self._chance.choice((0, 0, 2_000, 60_000)))
        start = time.monotonic()
        try:
            if kind == "update":
                token = self._images.update(place, image)
                yield Operation("write", place.image_id, label, token, start, time.monotonic())
            elif kind == "replace":
                self._images.delete(place)
                yield Operation("delete", place.image_id, None, 0, start, time.monotonic())
                yield saved(self._images, self._board, slot, label)
            else:
                token, shown = self._images.read(kind, place)
                yield Operation("read", place.image_id, label_of(shown), token, start, time.monotonic())
        except Absent as absent:
            if isinstance(absent, Gone):
                yield Operation("write", place.image_id, label, 0, start, NEVER)
            yield Operation("read", place.image_id, None, -1, start, time.monotonic())

    def _say(self, operation: Operation) -> None:
        self.lines.append(json.dumps(astuple(operation)) + "\n")


def saved(images: ImageAccess, board: _Board, slot: int, label: str) -> Operation:
    """Save a new image into *slot*."""
    start = time.monotonic()
    place, token = images.save(labelled(label))
    done = Operation("write", place.image_id, label, token, start, time.monotonic())
    board.put(slot, place)
    return done


@dataclass(frozen=True)
class _Gallery:
    """A running gallery over the same store, and the session cookie of a logged-in user."""

    port: int
    cookie: str

    def images(self) -> HttpAccess:
        """Return another browser with that login."""
        return HttpAccess(GalleryClient(self.port).takes_over(self.cookie))


@contextmanager
def _gallery(place: Path, seed: str | None, outcome: Outcome) -> Iterator[_Gallery]:
    server = seeded_gallery.start(place, seed)
    try:
        with GalleryClient(server.port).sets_up(server.setup_path(), OWNER) as owner:
            cookie = owner.cookie
        yield _Gallery(server.port, cookie)
    finally:
        server.stop()
    outcome.anomalies += seeded_gallery.tracebacks(server)


def _maintain(data: Path, place: Path) -> None:
    """Do everything an administrator may do while others work, until told to stop."""
    store = ImageStore.open(_settings(data))
    rounds, errors = 0, []
    while not (place / "stop").exists():
        try:
            sweep(store)
            rotation.rotate_store_key(store)
            failed = rotation.re_encrypt(store, reseal_texts=lambda _store: 0).failed
            errors += [f"re-encrypt: {words}" for words in failed.values()]
            missing = backup(store, place / "backup").missing
            errors += [f"backup: {blob_id} was missing" for blob_id in missing]
            findings = check(store, deep=True).findings
            errors += [f"check: {f.kind}: {f.message}" for f in findings if f.kind != "orphan"]
        except Exception as error:  # noqa: BLE001 - every error is an anomaly
            errors.append(f"{type(error).__name__}: {error}")
        rounds += 1
    (place / "maintenance").write_text(json.dumps([rounds, errors]))
    store.close()


def _stop(keeper: int, place: Path, outcome: Outcome) -> int:
    (place / "stop").touch()
    os.waitpid(keeper, 0)
    rounds, errors = json.loads((place / "maintenance").read_text())
    outcome.anomalies += [f"maintenance: {error}" for error in errors]
    return int(rounds)


if __name__ == "__main__":
    main(run)
