"""
Images that are deleted for good, in processes that are killed, while dead blobs are held, and with the database lost in between.

Each round forks writers that save, update and delete images of their own, and a process that holds dead blobs as a backup does.
All are killed. Mostly the database is lost then and rebuilt, by a process that is often killed as well. No image whose deletion
was acknowledged may be there; every other one must. Then holds run out, and every dead blob must go by itself.

    python -m tests.torture.programs.deletions '{"rounds": 30}'
"""

import os
import random
import signal
import tempfile
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from unittest import mock

import pixstore.reaper
from pixstore.maintenance import backup as backups
from pixstore.maintenance.rebuild import rebuild
from pixstore.maintenance.sweep import sweep
from pixstore.store import ImageStore
from tests.labelled import labelled
from tests.torture.tools.outcomes import Outcome, main
from tests.torture.tools.seeded_faults import seeded
from tests.torture.tools.stores import settings_of, shown_label

WRITERS = 3
MOST_IMAGES = 8
"""Of each writer."""

HOLD_LENGTH = 600
GRACE = 400
"""In ms: of a hold, and the age of what a sweep removes, which is longer than a save lasts here."""


def run(
    rounds: int = 10,
    seconds_to_reap: float = 10,
    seed: str | None = None,
    directory: str | None = None,
) -> Outcome:
    """Write, delete, kill, lose and rebuild, in so many *rounds*; dead blobs have to go within *seconds_to_reap*."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory(dir=directory) as place, ExitStack() as patches:
        patches.enter_context(mock.patch.object(pixstore.reaper, "RETRY_INTERVAL", 0.1))
        for module in (pixstore.reaper, backups):
            patches.enter_context(mock.patch.object(module, "HOLD_LENGTH", HOLD_LENGTH))
        patches.enter_context(mock.patch.object(backups, "HEARTBEAT", 0.1))
        patches.enter_context(seeded(seed))
        trial = _Trial(Path(place) / "data", seconds_to_reap)
        for number in range(rounds):
            outcome.anomalies += [f"round {number}: {words}" for words in trial.run(number)]
    outcome.amount = trial.deleted
    outcome.words = f"{rounds} rounds, {trial.deleted} deletions acknowledged, {trial.saved} saves"
    outcome.figures = {"rebuilt": trial.rebuilt, "rebuilds killed": trial.killed}
    return outcome


class _Trial:
    """A store, and what everybody was told of it: the labels that each image may have, ``None`` where it may be gone."""

    def __init__(self, data: Path, seconds_to_reap: float) -> None:
        self._seconds_to_reap = seconds_to_reap
        self.deleted = self.saved = self.rebuilt = self.killed = 0
        self._data, self._chance = data, random.Random(0)
        self._images: dict[str, set[str | None]] = {}
        _open(data).close()

    def run(self, number: int) -> list[str]:
        """Do one round; return what is wrong after it."""
        self._write(number)
        if self._chance.random() < 0.7:
            self._lose_and_rebuild()
        store = _open(self._data)
        with closing(store):
            found = self._wrong_images(store) + _left_behind(store, self._seconds_to_reap)
            if self._chance.random() < 0.5:
                time.sleep(GRACE / 1000)
                sweep(store, force=True)
                found += [f"after a sweep: {words}" for words in self._wrong_images(store)]
        return found

    # --- what happens

    def _write(self, number: int) -> None:
        """Let writers and a holder work for a moment, kill them, and take down what they said."""
        children: dict[int, int] = {}
        for writer in range(WRITERS):
            own = list(self._images)[writer::WRITERS]
            readable, writable = os.pipe()
            child = os.fork()
            if child == 0:
                _write_for_ever(self._data, f"{number}.{writer}", own, writable)
            os.close(writable)
            children[child] = readable
        holder = os.fork()
        if holder == 0:
            _hold_for_ever(self._data)
        time.sleep(self._chance.uniform(0.1, 0.5))
        for child in (*children, holder):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        for readable in children.values():
            with open(readable) as lines:
                self._take_down(lines.read().splitlines())

    def _take_down(self, lines: list[str]) -> None:
        """Note what a writer said: what it began, and what was acknowledged."""
        for line in lines:
            word, image_id, label = line.split()
            labels = self._images.setdefault(image_id, set())
            if word == "updating":
                labels.add(label)
            elif word == "deleting":
                labels.add(None)
            elif word == "deleted":
                self._images[image_id] = {None}
                self.deleted += 1
            else:
                self._images[image_id] = {label}
                self.saved += word == "saved"

    def _lose_and_rebuild(self) -> None:
        for path in self._data.glob("pixstore.sqlite*"):
            path.unlink()
        self.rebuilt += 1
        for _ in range(self._chance.randrange(3)):
            child = os.fork()
            if child == 0:
                _rebuild_and_leave(self._data)
            time.sleep(self._chance.uniform(0.005, 0.08))
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            self.killed += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        with closing(_open(self._data)) as store:
            rebuild(store, merge=True)

    # --- what must be so

    def _wrong_images(self, store: ImageStore) -> list[str]:
        """Return what is not as it was acknowledged."""
        return [
            f"an image is {shown!r}, and should be {sorted(map(str, labels))}"
            for image_id, labels in self._images.items()
            if (shown := shown_label(store, image_id)) not in labels
        ]


def _open(data: Path) -> ImageStore:
    return ImageStore.open(settings_of(data, orphan_grace=GRACE))


def _left_behind(store: ImageStore, seconds: float) -> list[str]:
    """Return the dead blobs that are still there long after every hold has run out."""
    deadline = time.monotonic() + seconds
    while store.parts.reaper.has_work():
        if time.monotonic() > deadline:
            return ["dead blobs stay, although nobody holds them"]
        time.sleep(0.02)
    return []


def _write_for_ever(data: Path, name: str, own: list[str], pipe: int) -> None:
    """Save, update and delete images of our own."""
    try:
        store, chance, number = _open(data), random.Random(name), 0
        own = [image_id for image_id in own if store.exists(image_id)]
        while True:
            number += 1
            label = f"{name}.{number}"
            if len(own) < 2 or (len(own) < MOST_IMAGES and chance.random() < 0.4):
                own.append(store.save(labelled(label)).id)
                _say(pipe, "saved", own[-1], label)
            elif chance.random() < 0.4:
                image_id = chance.choice(own)
                _say(pipe, "updating", image_id, label)
                store.update(image_id, labelled(label))
                _say(pipe, "updated", image_id, label)
            else:
                image_id = own.pop(chance.randrange(len(own)))
                _say(pipe, "deleting", image_id, "-")
                store.delete(image_id)
                _say(pipe, "deleted", image_id, "-")
    finally:
        os._exit(1)


def _hold_for_ever(data: Path) -> None:
    try:
        with backups._held(_open(data).parts):
            time.sleep(60)
    finally:
        os._exit(1)


def _rebuild_and_leave(data: Path) -> None:
    try:
        rebuild(_open(data), merge=True)
    finally:
        os._exit(0)


def _say(pipe: int, word: str, image_id: str, label: str) -> None:
    os.write(pipe, f"{word} {image_id} {label}\n".encode())


if __name__ == "__main__":
    main(run)
