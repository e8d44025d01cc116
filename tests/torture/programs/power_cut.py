"""
A power cut without a machine to unplug: what was not synced is gone.

While a store works, every ``fsync``, in Python and inside SQLite, takes a copy of what it makes durable: the content of
a file, or the entries of a directory. A cut leaves of each file what it held at its last sync, and of each directory
the names it had at its last sync. A file whose name was synced and whose content was not is empty, as on real disks.
*lucky* cuts leave a random part of what was not synced as well, block by block and name by name: disks do that.

    python -m tests.torture.programs.power_cut '{"operations": 30, "lucky": 2}'
"""

import os
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from pixstore.maintenance import rotation
from tests.labelled import labelled
from tests.torture.tools import sqlite_vfs
from tests.torture.tools.outcomes import Outcome, main
from tests.torture.tools.seeded_faults import seeded
from tests.torture.tools.stores import Expected, anomalies, quiet_store

BLOCK = 4096
PREPARED = 6


def run(operations: int = 20, lucky: int = 1, every: int = 3, seed: str | None = None) -> Outcome:
    """Let a store work, cutting the power at every *every*-th sync and after each acknowledgement."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as place:
        work = _Work(Path(place), lucky, every, seed, outcome)
        work.go_on_for(operations)
    outcome.words = f"{outcome.amount} cuts, {operations} operations"
    return outcome


@dataclass
class _Disk:
    """What would survive: of each file (by inode) its content, of each directory its names."""

    root: Path
    contents: dict[int, bytes] = field(default_factory=dict)
    names: dict[int, dict[str, int]] = field(default_factory=dict)
    kept_open: dict[int, int] = field(default_factory=dict)
    journals: set[str] = field(default_factory=set)

    def sync(self, descriptor: int) -> None:
        """Take down what a sync of *descriptor* makes durable."""
        inode = os.fstat(descriptor).st_ino
        if inode not in self.kept_open:  # or the number could be given to another file
            self.kept_open[inode] = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY)
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if not path.startswith(str(self.root)):
            return
        if os.path.isdir(path):
            with os.scandir(path) as entries:
                self.names[inode] = {entry.name: entry.inode() for entry in entries}
        else:
            self.contents[inode] = Path(f"/proc/self/fd/{descriptor}").read_bytes()

    def sync_path(self, path: str) -> None:
        """Do the same for a path."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)

    def after_cut(self, target: Path, chance: random.Random | None) -> None:
        """Make in *target* what a cut at this moment leaves."""
        self._make(self.root, os.stat(self.root).st_ino, target, chance)

    def _make(self, now: Path | None, inode: int, target: Path, chance: random.Random | None) -> None:
        target.mkdir()
        names = dict(self.names.get(inode, {}))
        if chance is not None and now is not None:
            _mix_names(names, now, chance)
        for name, entry in names.items():
            there = now / name if now is not None and _inode(now / name) == entry else None
            if entry in self.names or (there is not None and there.is_dir()):
                self._make(there, entry, target / name, chance)
            else:
                (target / name).write_bytes(self._content(entry, there, chance))

    def _content(self, inode: int, there: Path | None, chance: random.Random | None) -> bytes:
        durable = self.contents.get(inode, b"")
        if chance is None or there is None:
            return durable
        now = there.read_bytes()
        size = chance.choice((len(durable), len(now)))
        blocks = (
            chance.choice((durable, now))[at : at + BLOCK].ljust(BLOCK, b"\0") for at in range(0, size, BLOCK)
        )
        return b"".join(blocks)[:size]


class _Work:
    """A store that works while its disk takes notes, and is looked at after imagined cuts."""

    def __init__(self, place: Path, lucky: int, every: int, seed: str | None, outcome: Outcome) -> None:
        self._place, self._lucky, self._every, self._seed, self._outcome = place, lucky, every, seed, outcome
        self._disk = _Disk(place / "disk")
        self._disk.root.mkdir()
        self._expected = Expected()
        self._syncs = 0
        self._chance = random.Random(1)

    def go_on_for(self, operations: int) -> None:
        with _noting(self._disk, self._after_sync), seeded(self._seed):
            self._disk.sync_path(str(self._disk.root))
            store = quiet_store(self._disk.root / "data")
            ids: list[str] = []
            for number in range(operations):
                label = f"version {number}"
                kind = self._kind(len(ids))
                image_id = self._chance.choice(ids or [""])
                if kind == "save":
                    self._expected.new, self._expected.at_most = [label], 1
                    image_id = store.save(labelled(label, padding=self._chance.choice((0, 30_000)))).id
                    ids.append(image_id)
                    self._acknowledged(image_id, label)
                elif kind == "update":
                    self._expected.images[image_id] = [*self._expected.images[image_id], label]
                    store.update(image_id, labelled(label))
                    self._acknowledged(image_id, label)
                elif kind == "delete":
                    self._expected.images[image_id] = [*self._expected.images[image_id], None]
                    store.delete(image_id)
                    ids.remove(image_id)
                    self._acknowledged(image_id, None)
                else:
                    rotation.rotate_store_key(store)
                store.parts.reaper.reap()
            store.close()

    def _kind(self, images: int) -> str:
        """Return what to do next, so that there are always a few images."""
        if images < PREPARED:
            return "save"
        if images > 2 * PREPARED:
            return "delete"
        return self._chance.choice(("save", "update", "update", "delete", "rotate"))

    def _acknowledged(self, image_id: str, label: str | None) -> None:
        self._expected.images[image_id] = [label]
        self._expected.new, self._expected.at_most = (), 0
        self._cut()

    def _after_sync(self) -> None:
        self._syncs += 1
        if self._expected.images and self._syncs % self._every == 0:
            self._cut()

    def _cut(self) -> None:
        for number in range(1 + self._lucky):
            target = self._place / f"cut {self._outcome.amount}"
            self._disk.after_cut(target, random.Random(self._outcome.amount) if number else None)
            with _as_usual():
                found = anomalies(target / "data", self._expected)
            self._outcome.anomalies += [f"cut {self._outcome.amount}: {words}" for words in found]
            self._outcome.amount += 1


_paused = [False]


@contextmanager
def _as_usual() -> Iterator[None]:
    """Take no notes of what happens inside the block: that is the machine after the cut."""
    before, _paused[0] = _paused[0], True
    try:
        yield
    finally:
        _paused[0] = before


@contextmanager
def _noting(disk: _Disk, after_sync: Callable[[], None]) -> Iterator[None]:
    usual = os.fsync

    def fsync(descriptor: int) -> None:
        usual(descriptor)
        if not _paused[0]:
            disk.sync(descriptor)
            after_sync()

    def listen(step: str, path: str, do: Callable[[], int]) -> int:
        result = do()
        if _paused[0] or result != sqlite_vfs.SQLITE_OK:
            return result
        if step == "create-journal":
            disk.journals.add(path)
        if step == "sync":
            disk.sync_path(path)
            if path in disk.journals:  # SQLite syncs the directory with the first sync of a new journal
                disk.journals.discard(path)
                disk.sync_path(os.path.dirname(path))
        if step == "sync":
            after_sync()
        return result

    with mock.patch.object(os, "fsync", fsync), sqlite_vfs.watching(listen):
        yield


def _mix_names(names: dict[str, int], now: Path, chance: random.Random) -> None:
    for name in {*names, *(entry.name for entry in os.scandir(now))}:
        if chance.random() < 0.5:
            continue
        inode = _inode(now / name)
        if inode is None:
            names.pop(name, None)
        else:
            names[name] = inode


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


if __name__ == "__main__":
    main(run)
