"""
Several processes back up one store at once while others save, update, delete and sweep; many are suspended or killed.

Every backup that was finished is restored, at once and in the end: it must be whole, and show one instant within its time. A
backup that was cut off, or that lacks an image, must leave the one before it as it was. A backup whose process was never
suspended must not lose its hold.

    python -m tests.torture.programs.overlapping_backups '{"seconds": 30, "images": 100}'
"""

import json
import logging
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pixstore.reaper
from pixstore.errors import PixstoreError
from pixstore.maintenance import backup as backups
from pixstore.maintenance.backup import backup
from pixstore.maintenance.backup_files import MANIFEST, BackupRefused
from pixstore.maintenance.restore import restore
from pixstore.maintenance.sweep import sweep
from pixstore.store import ImageStore
from tests.labelled import label_of, labelled
from tests.torture.programs.kill_9 import Writers
from tests.torture.tools import history
from tests.torture.tools.history import Operation
from tests.torture.tools.outcomes import Outcome, main
from tests.torture.tools.seeded_faults import seeded
from tests.torture.tools.stores import quiet_store, settings_of

HOLD_LENGTH = 3000
HEARTBEAT = 0.2
"""Of a hold here, in ms and s: a process that is suspended for longer than a hold loses it."""

SHORT, LONG = 0.3, HOLD_LENGTH / 1000 + 0.7
"""Seconds for which a process is suspended: its hold lasts longer than the first, and not as long as the second."""

DIRECTORIES = 3
AT_ONCE = 3
WRITERS = 2
SECONDS_TO_WRITE = 2
GRACE = 60_000
"""Age of what a sweep removes: older than every upload here, so that it never removes one."""

NEW_SNAPSHOT = "blobs were removed while the backup copied them"
MISSING = -1


def run(
    seconds: float = 30, images: int = 100, seed: str | None = None, directory: str | None = None
) -> Outcome:
    """Back up a store of *images*, into several directories at once, for so many *seconds*."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory(dir=directory) as place, ExitStack() as patches:
        patches.enter_context(mock.patch.object(pixstore.reaper, "RETRY_INTERVAL", 0.1))
        for module in (pixstore.reaper, backups):
            patches.enter_context(mock.patch.object(module, "HOLD_LENGTH", HOLD_LENGTH))
        patches.enter_context(mock.patch.object(backups, "HEARTBEAT", HEARTBEAT))
        patches.enter_context(seeded(seed))
        trial = _Trial(Path(place), images)
        trial.run(seconds)
        outcome.anomalies = trial.judge()
        outcome.amount, outcome.figures = trial.finished, trial.figures
    outcome.words = (
        f"{trial.finished} backups finished, {trial.restored} restored, of {images} images and more, "
        f"{trial.acknowledged} changes meanwhile"
    )
    return outcome


@dataclass
class _Process:
    """A backup in a process of its own, what was done to it, and what it said in the end."""

    pid: int
    directory: Path
    result: Path
    start: float
    acts: list[tuple[float, int]]
    was_suspended: bool = False
    was_killed: bool = False


@dataclass
class _Looks:
    """What a restored backup showed, and when the backup was made."""

    start: float
    end: float = 0
    found: dict[str, tuple[str, int]] = field(default_factory=dict)


class _Trial:
    def __init__(self, place: Path, images: int) -> None:
        self.finished = self.restored = self.acknowledged = 0
        self.figures = {"killed": 0, "suspended": 0, "another snapshot": 0, "refused": 0}
        self._place, self._data, self._chance = place, place / "data", random.Random(0)
        self._anomalies: list[str] = []
        self._looks: list[_Looks] = []
        self._number = self._round = 0
        self._operations: list[Operation] = []
        store = quiet_store(self._data, orphan_grace=GRACE)
        self._first = self._fill(store, images)
        store.close()
        self._shared = [operation.image_id for operation in self._first]

    def _fill(self, store: ImageStore, images: int) -> list[Operation]:
        saved = []
        for number in range(images):
            start = time.monotonic()
            record = store.save(labelled(f"first {number}", padding=self._chance.choice((0, 3000))))
            saved.append(
                Operation("write", record.id, f"first {number}", record.token, start, time.monotonic())
            )
        return saved

    def run(self, seconds: float) -> None:
        """Let writers write, sweep, and back up, for so long."""
        self._begin_to_write()
        sweeper = os.fork()  # not a thread: nobody may fork while a thread has SQLite at work
        if sweeper == 0:
            _sweep_for_ever(self._data)
        try:
            self._back_up_until(time.monotonic() + seconds)
        finally:
            os.kill(sweeper, signal.SIGKILL)
            if os.waitstatus_to_exitcode(os.waitpid(sweeper, 0)[1]) != -signal.SIGKILL:
                self._anomalies.append("a sweep failed")
            self._operations += self._writers.read()
        self.acknowledged = sum(o.end != history.NEVER for o in self._operations)

    def _begin_to_write(self) -> None:
        """Let writers write, until they are killed. They are not left alone for long: the pipes they report to get full."""
        self._writers = Writers(self._data, self._shared, WRITERS, self._round)
        self._round += 1
        self._writers_end = time.monotonic() + SECONDS_TO_WRITE
        self._writers.start()

    # --- backups

    def _back_up_until(self, end: float) -> None:
        running: list[_Process] = []
        while time.monotonic() < end or running:
            if len(running) < AT_ONCE and time.monotonic() < end:
                running.append(self._begin())
            for process in list(running):
                self._disturb(process)
                pid, status = os.waitpid(process.pid, os.WNOHANG)
                if pid:
                    running.remove(process)
                    self._ended(process, os.waitstatus_to_exitcode(status))
            if time.monotonic() > self._writers_end:
                self._operations += self._writers.read()
                self._begin_to_write()
            time.sleep(0.01)

    def _begin(self) -> _Process:
        """Begin a backup into one of the directories; another one may be at it there."""
        self._number += 1
        directory = self._place / f"backup {self._chance.randrange(DIRECTORIES)}"
        result = self._place / f"result {self._number}"
        slowness = self._chance.choice((0.0, 0.002, 0.01))
        start, acts = time.monotonic(), self._acts()
        pid = os.fork()
        if pid == 0:
            _back_up(self._data, directory, result, slowness)
        return _Process(pid, directory, result, start, acts)

    def _acts(self) -> list[tuple[float, int]]:
        """Return which signals a process gets, and how many seconds after its beginning."""
        at, kind = self._chance.uniform(0.05, 1.0), self._chance.random()
        if kind < 0.5:
            return []
        if kind < 0.7:
            return [(at, signal.SIGKILL)]
        length = LONG if kind > 0.85 else SHORT
        return [(at, signal.SIGSTOP), (at + length, signal.SIGCONT)]

    def _disturb(self, process: _Process) -> None:
        while process.acts and time.monotonic() - process.start >= process.acts[0][0]:
            _, number = process.acts.pop(0)
            process.was_suspended |= number == signal.SIGSTOP
            process.was_killed |= number == signal.SIGKILL
            os.kill(process.pid, number)

    def _ended(self, process: _Process, status: int) -> None:
        """Take down what became of a backup, and look at what lies in its directory now."""
        told = json.loads(process.result.read_text()) if process.result.exists() else {}
        self.figures["killed"] += process.was_killed and status < 0
        self.figures["suspended"] += process.was_suspended
        self.figures["refused"] += told.get("refused", False)
        self.figures["another snapshot"] += told.get("snapshots", 0)
        if status > 0:
            self._anomalies.append(f"a backup ended with {told.get('error', status)}")
        if told.get("snapshots") and not process.was_suspended:
            self._anomalies.append("a backup that was never suspended lost its hold")
        if told.get("missing"):
            self._anomalies.append(f"a backup lacks {told['missing']} images")
        is_done = "missing" in told
        self.finished += is_done
        if is_done or self._chance.random() < 0.3:
            self._restore(process.directory, _Looks(process.start if is_done else 0))

    def _restore(self, directory: Path, looks: _Looks) -> None:
        """Restore the backup that lies in *directory* now, unless somebody is writing another one there."""
        copy, target = self._place / "copy", self._place / "restored"
        if not (directory / MANIFEST).exists():
            return
        for path in (copy, target):
            shutil.rmtree(path, ignore_errors=True)
        try:
            with backups._alone_in(directory):
                shutil.copytree(directory, copy)
                looks.end = (
                    time.monotonic()
                )  # the next backup may have taken the place of the one that was looked for
        except BackupRefused:
            return
        self.restored += 1
        target.mkdir()
        config = settings_of(target, master_key_file=self._data / "master.key")
        try:
            report = restore(config, copy)
        except PixstoreError as error:
            self._anomalies.append(f"a backup cannot be restored: {error}")
            return
        self._anomalies += [f"restored: {f.kind}: {f.message}" for f in report.findings]
        if looks.start and not report.findings:
            looks.found = _shown(target, self._data / "master.key")
            self._looks.append(looks)

    # --- the judgement

    def judge(self) -> list[str]:
        """Return what should not have been."""
        done = [*self._first, *self._operations]
        return self._anomalies + [words for looks in self._looks for words in _unexplained(looks, done)]


def _shown(directory: Path, key: Path) -> dict[str, tuple[str, int]]:
    with closing(quiet_store(directory, master_key_file=key)) as store:
        with store.connected():
            tokens = {row.id: row.token for row in store.parts.models.image.select()}
        return {image_id: (label_of(store.load(image_id)), token) for image_id, token in tokens.items()}


def _unexplained(looks: _Looks, operations: Sequence[Operation]) -> list[str]:
    """Return what no instant within the time of the backup explains."""
    begun = {operation.label for operation in operations}
    told = {operation.image_id for operation in operations}
    there = {o.image_id for o in operations if o.kind == "write" and o.end < looks.start}
    reads = [
        Operation("read", image_id, label, token, looks.start, looks.end)
        for image_id, (label, token) in looks.found.items()
        if image_id in told
    ]
    gone = [
        Operation("read", image_id, None, MISSING, looks.start, looks.end)
        for image_id in there - looks.found.keys()
    ]
    strange = [label for image_id, (label, _) in looks.found.items() if label not in begun]
    return [
        *(f"backup: {words}" for words in history.check([*operations, *reads, *gone])),
        *(f"a backup shows {label!r}, which nobody saved" for label in strange),
    ]


def _sweep_for_ever(data: Path) -> None:
    try:
        store = ImageStore.open(settings_of(data, orphan_grace=GRACE))
        while True:
            sweep(store, force=True)
            time.sleep(0.1)
    finally:
        os._exit(1)


def _back_up(data: Path, directory: Path, result: Path, slowness: float) -> None:
    """Be a process that makes one backup, slowly, and writes down what came of it."""
    warnings = _Warnings()
    logger = logging.getLogger(backups.__name__)
    logger.setLevel(logging.WARNING)
    logger.addHandler(warnings)
    told: dict[str, Any] = {}
    try:
        store = ImageStore.open(settings_of(data, orphan_grace=GRACE))
        report = backup(store, directory, progress=lambda _done, _total: time.sleep(slowness))
        told["missing"] = len(report.missing)
    except BackupRefused as error:
        told["refused"] = "another backup" in str(error)
        told["error"] = str(error)
    except Exception as error:  # noqa: BLE001 - every error is an anomaly
        told["error"] = f"{type(error).__name__}: {error}"
    told["snapshots"] = warnings.snapshots
    partial = result.with_suffix(".partial")
    partial.write_text(json.dumps(told))
    partial.rename(result)
    os._exit(0 if "missing" in told or told.get("refused") else 1)


class _Warnings(logging.Handler):
    """Counts how often a backup had to take another snapshot."""

    snapshots = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.snapshots += record.getMessage().startswith(NEW_SNAPSHOT)


if __name__ == "__main__":
    main(run)
