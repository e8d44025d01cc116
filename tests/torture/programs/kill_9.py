"""
Several processes write into one store, all are killed (SIGKILL), again and again; what they were told to be done is done.

A writer says into a pipe what it begins and what was acknowledged; a pipe outlives the one who wrote into it.

    python -m tests.torture.programs.kill_9 '{"rounds": 20, "writers": 4}'
"""

import os
import random
import signal
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from pixstore.errors import ImageNotFound
from pixstore.maintenance.check import check
from pixstore.maintenance.sweep import sweep
from pixstore.store import ImageStore
from tests.labelled import labelled
from tests.torture.tools import history
from tests.torture.tools.history import NEVER, Operation
from tests.torture.tools.outcomes import Outcome, main
from tests.torture.tools.seeded_faults import seeded
from tests.torture.tools.stores import later, quiet_store, settings_of, shown_label

OWN_IMAGES = 6
SHARED_IMAGES = 4
DEEP_CHECK_EVERY = 50
UNTOLD = "an id that was given to nobody"


def run(rounds: int = 5, writers: int = 4, seed: str | None = None, directory: str | None = None) -> Outcome:
    """Kill *writers* processes in each of *rounds* rounds and check every image after each."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory(dir=directory) as place, seeded(seed):
        loop = Loop(Path(place) / "data", writers)
        for number in range(rounds):
            stop = random.Random(number).uniform(0.03, 0.25)
            loop.write_until(stop)
            deep = number % DEEP_CHECK_EVERY == 0 or number == rounds - 1
            outcome.anomalies += [f"round {number}: {words}" for words in loop.check(deep=deep)]
    outcome.amount = loop.acknowledged
    outcome.words = f"{rounds} rounds, {writers} processes, {loop.acknowledged} acknowledged"
    return outcome


@dataclass
class Writers:
    """Running writer processes and the pipes they report through."""

    directory: Path
    shared: list[str]
    count: int
    round: int
    children: dict[int, int] = field(default_factory=dict)

    def start(self) -> None:
        """Fork the processes."""
        for number in range(self.count):
            readable, writable = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(readable)
                try:
                    _write_for_ever(self.directory, f"{self.round}.{number}", self.shared, writable)
                finally:
                    os._exit(1)
            os.close(writable)
            self.children[child] = readable

    def signal(self, number: int) -> None:
        """Send a signal to every process."""
        for child in self.children:
            os.kill(child, number)

    def read(self) -> list[Operation]:
        """Kill the writers that still run, and return the reports of all writers."""
        self.signal(signal.SIGKILL)
        operations: list[Operation] = []
        for child, readable in self.children.items():
            with open(readable) as lines:
                operations += _operations(lines.read().splitlines())
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            if status != -signal.SIGKILL:
                operations.append(Operation("write", f"writer {child} failed", None, None, 0, 0))
        self.children.clear()
        return operations


class Loop:
    """A store whose writers are killed again and again, and the images that it must hold."""

    def __init__(self, directory: Path, writers: int) -> None:
        self._directory, self._writers, self._round = directory, writers, 0
        self.acknowledged = 0
        store = quiet_store(directory)
        self._current: dict[str, str | None] = {}
        for number in range(SHARED_IMAGES):
            label = f"shared {number}"
            self._current[store.save(labelled(label)).id] = label
        self._shared = list(self._current)
        store.close()

    def write_until(self, seconds: float) -> None:
        """Let the writers write for a while, kill them, and record what they did."""
        writers = self.begin()
        time.sleep(seconds)
        self.end(writers)

    def begin(self) -> Writers:
        """Let the writers write."""
        writers = Writers(self._directory, self._shared, self._writers, self._round)
        self._round += 1
        writers.start()
        return writers

    def end(self, writers: Writers) -> None:
        """Kill the writers that still run and take down what all of them did."""
        self._operations = writers.read()
        self.acknowledged += sum(o.end != NEVER for o in self._operations)

    def check(self, *, deep: bool) -> list[str]:
        """Return every image that is neither the last acknowledged version nor one that was being written."""
        store = ImageStore.open(settings_of(self._directory), now=later)
        start = time.monotonic()
        with store.connected():
            rows = {row.id: row for row in store.parts.models.image.select()}
        touched = {o.image_id for o in self._operations} - {UNTOLD}
        shown = {image_id: shown_label(store, image_id) for image_id in {*self._current, *touched, *rows}}
        base = [
            Operation("write", i, label, 1, -2, -1)
            for i, label in self._current.items()
            if i in self._shared or i in touched
        ]
        reads = [
            Operation(
                "read",
                image_id,
                label,
                rows[image_id].token if image_id in rows else -1,
                start,
                time.monotonic(),
            )
            for image_id, label in shown.items()
            if image_id in touched
        ]
        told = [o for o in self._operations if o.image_id != UNTOLD]
        found = history.check([*base, *told, *reads])
        begun = {o.label for o in self._operations}
        found += [
            f"{image_id} is {label!r}, acknowledged was {self._current.get(image_id)!r}"
            for image_id, label in shown.items()
            if image_id not in touched and label != self._current.get(image_id) and label not in begun
        ]
        if deep:
            found += [
                f"{f.kind}: {f.message}" for f in check(store, deep=True).findings if f.kind != "orphan"
            ]
            sweep(store, force=True)
        self._forget_old(store, shown)
        store.close()
        return found

    def _forget_old(self, store: ImageStore, shown: dict[str, str | None]) -> None:
        """Keep a few images only, so that every round can look at all of them."""
        own = [
            image_id
            for image_id, label in shown.items()
            if label is not None and image_id not in self._shared
        ]
        for image_id in own[: -OWN_IMAGES * self._writers]:
            try:
                store.delete(image_id)
            except ImageNotFound:
                continue
            shown[image_id] = None
        self._current = {image_id: label for image_id, label in shown.items() if label is not None}


def _write_for_ever(directory: Path, name: str, shared: list[str], pipe: int) -> None:
    """Save, update and delete images of our own, and update those that all writers share."""
    store = ImageStore.open(settings_of(directory))
    own: list[str] = []
    chance = random.Random(name)
    number = 0
    while True:
        number += 1
        label = f"{name}.{number}"
        image = labelled(label, padding=chance.choice((0, 0, 5_000, 200_000)))
        kind = chance.choice(("save", "update", "update", "shared", "shared", "delete"))
        if kind == "save" or (len(own) < 2 and kind != "shared"):
            _say(pipe, "begin", "new", label)
            record = store.save(image)
            own.append(record.id)
            _say(pipe, "write", record.id, label, record.token)
        elif kind == "delete" and len(own) > 2:
            image_id = own.pop(0)
            _say(pipe, "begin", image_id, "-")
            store.delete(image_id)
            _say(pipe, "delete", image_id, "-", 0)
        else:
            image_id = chance.choice(shared if kind == "shared" else own)
            _say(pipe, "begin", image_id, label)
            _say(pipe, "write", image_id, label, store.update(image_id, image).token)


def _say(pipe: int, word: str, image_id: str, label: str, token: int = 0) -> None:
    os.write(pipe, f"{time.monotonic()!r} {word} {image_id} {label} {token}\n".encode())


def _operations(lines: list[str]) -> list[Operation]:
    found = []
    begun: tuple[float, str, str] | None = None
    for line in lines:
        time_, word, image_id, label, token = line.split()
        if word == "begin":
            begun = (float(time_), image_id, label)
            continue
        assert begun is not None
        kind = "delete" if word == "delete" else "write"
        found.append(Operation(kind, image_id, label, int(token), begun[0], float(time_)))
        begun = None
    if begun is not None and begun[1] != "new":
        kind = "delete" if begun[2] == "-" else "write"
        found.append(Operation(kind, begun[1], begun[2], 0, begun[0], NEVER))
    elif begun is not None:
        found.append(Operation("write", UNTOLD, begun[2], 0, begun[0], NEVER))
    return found


if __name__ == "__main__":
    main(run)
