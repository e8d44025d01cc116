"""
Processes and threads save, update, delete and read a few images at full speed; then ``history.check`` judges.

Meanwhile one more process sweeps, backs up, rotates the store key and re-encrypts, over and over.

    python -m tests.reliability.harness.register '{"operations": 5000, "processes": 4}'
"""

import base64
import json
import mmap
import os
import random
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from pixstore import backup, maintenance, rotation, wire
from pixstore.config import MINUTE
from pixstore.crypto import unseal
from pixstore.errors import ImageNotFound, PixstoreError
from pixstore.records import ImageRecord
from pixstore.store import ImageStore
from tests.reliability.harness import history
from tests.reliability.harness.history import Operation
from tests.reliability.harness.labelled import label_of, labelled
from tests.reliability.harness.outcomes import Outcome, main
from tests.reliability.harness.seeds import seeded
from tests.reliability.harness.stores import settings_of

SLOTS = 6
SLOT_SIZE = 64
KINDS = ("load", "answer", "cached", "page", "update", "update", "replace")
WEIGHTS = (25, 25, 10, 10, 14, 14, 2)


def run(
    operations: int = 2000,
    processes: int = 4,
    threads: int = 2,
    maintain: bool = True,
    seed: str | None = None,
    directory: str | None = None,
) -> Outcome:
    """Do so many *operations* in *processes* x *threads* and judge the history."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory(dir=directory) as place, seeded(seed):
        data = Path(place) / "data"
        board = _Board()
        store = ImageStore.open(_settings(data))
        found = [_saved(store, board, slot, f"first {slot}") for slot in range(SLOTS)]
        store.close()
        files = [Path(place) / f"history {number}" for number in range(processes)]
        share = operations // (processes * threads)
        workers = [_forked(_work, data, board, path, n, threads, share) for n, path in enumerate(files)]
        keeper = _forked(_maintain, data, Path(place)) if maintain else None
        statuses = [os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) for worker in workers]
        rounds = _stop(keeper, Path(place), outcome) if keeper else 0
        for path in files:
            lines = path.read_text().splitlines()
            found += [Operation(*json.loads(line)) for line in lines if not line.startswith("!")]
            outcome.anomalies += [line for line in lines if line.startswith("!")]
        outcome.anomalies += [f"a process ended with {status}" for status in statuses if status]
        outcome.anomalies += history.check(found)
        end = ImageStore.open(_settings(data))
        findings = maintenance.check(end, deep=True).findings
        outcome.anomalies += [f"check: {f.kind}: {f.message}" for f in findings if f.kind != "orphan"]
        end.close()
    outcome.amount = len(found)
    outcome.words = (
        f"{len(found)} operations, {processes} processes x {threads} threads, {rounds} rounds of maintenance"
    )
    return outcome


class _Board:
    """Memory that all processes share: which image id is in each slot at the moment."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, SLOTS * SLOT_SIZE)

    def put(self, slot: int, image_id: str) -> None:
        self._memory[slot * SLOT_SIZE : (slot + 1) * SLOT_SIZE] = image_id.encode().ljust(SLOT_SIZE)

    def get(self, slot: int) -> str:
        return self._memory[slot * SLOT_SIZE : (slot + 1) * SLOT_SIZE].decode().strip()


def _settings(data: Path) -> Any:
    # Long enough for any of these uploads, short enough that sweep has something to do.
    return settings_of(data, orphan_grace=MINUTE // 12)


def _forked(work: Any, *arguments: Any) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        work(*arguments)
        status = 0
    finally:
        os._exit(status)


def _work(data: Path, board: _Board, path: Path, number: int, threads: int, share: int) -> None:
    store = ImageStore.open(_settings(data))
    workers = [_Worker(store, board, f"{number}.{n}") for n in range(threads)]
    running = [threading.Thread(target=worker.go_on_for, args=(share,)) for worker in workers]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    path.write_text("".join(line for worker in workers for line in worker.lines))
    store.close()


class _Worker:
    def __init__(self, store: ImageStore, board: _Board, name: str) -> None:
        self._store, self._board, self._name = store, board, name
        self.lines: list[str] = []
        self._chance = random.Random(name)
        self._held: dict[str, ImageRecord] = {}

    def go_on_for(self, operations: int) -> None:
        for number in range(operations):
            kind = self._chance.choices(KINDS, WEIGHTS)[0]
            slot = self._chance.randrange(SLOTS)
            image_id = self._board.get(slot)
            try:
                for operation in self._do(kind, slot, image_id, f"{self._name}.{number}"):
                    self._say(operation)
            except Exception as error:  # noqa: BLE001 - every error is an anomaly
                self.lines.append(f"! {kind}: {type(error).__name__}: {error}\n")

    def _do(self, kind: str, slot: int, image_id: str, label: str) -> list[Operation]:
        image = labelled(label, padding=self._chance.choice((0, 0, 2_000, 60_000)))
        start = time.monotonic()
        if kind == "update":
            try:
                token = self._store.update(image_id, image).token
            except ImageNotFound:
                return [_absent(image_id, start)]
            return [Operation("write", image_id, label, token, start, time.monotonic())]
        if kind == "replace":
            if not self._store.delete(image_id):
                return [_absent(image_id, start)]
            deleted = Operation("delete", image_id, None, 0, start, time.monotonic())
            return [deleted, _saved(self._store, self._board, slot, label)]
        return self._read(kind, image_id, start)

    def _read(self, kind: str, image_id: str, start: float) -> list[Operation]:
        token: int | None = None
        if kind == "load":
            try:
                image = self._store.load(image_id)
            except ImageNotFound:
                return [_absent(image_id, start)]
        else:
            shown = self._answered(kind, image_id)
            if shown is None:
                return [_absent(image_id, start)]
            token, image = shown
        return [Operation("read", image_id, label_of(image), token, start, time.monotonic())]

    def _answered(self, kind: str, image_id: str) -> tuple[int, bytes] | None:
        """Read as a browser does: by record and proof; ``cached`` asks with the record it had before."""
        held = self._held.get(image_id) if kind == "cached" else None
        if kind == "page":
            page = self._store.records([image_id])
            record = page.get(image_id)
        else:
            record = held or self._store.record(image_id)
        if record is None:
            return None
        self._held[image_id] = record if record.meta else self._held.get(image_id, record)
        payload = self._store.answer(
            image_id,
            proof=self._store.records([image_id]).get(image_id, record).stateless_proof,
            client_token=record.token if record.meta else None,
        ).to_bytes()
        return _opened(payload, record)

    def _say(self, operation: Operation) -> None:
        fields = (
            operation.kind,
            operation.image_id,
            operation.label,
            operation.token,
            operation.start,
            operation.end,
        )
        self.lines.append(json.dumps(fields) + "\n")


def _opened(payload: bytes, record: ImageRecord) -> tuple[int, bytes] | None:
    answer = wire.decode(payload)
    if isinstance(answer, wire.Success):
        assert record.meta is not None
        key, iv, tag = (base64.b64decode(part) for part in (record.meta.key, record.meta.iv, record.meta.tag))
        return record.token, bytes(unseal(answer.ciphertext, key=key, iv=iv, tag=tag)[1])
    if isinstance(answer, wire.Updated):
        image = unseal(answer.ciphertext, key=answer.key, iv=answer.iv, tag=answer.tag)[1]
        return answer.token, bytes(image)
    if answer.state is wire.WireState.NOT_FOUND:
        return None
    raise PixstoreError(f"the endpoint answered {answer.state.name}")


def _absent(image_id: str, start: float) -> Operation:
    return Operation("read", image_id, None, -1, start, time.monotonic())


def _saved(store: ImageStore, board: _Board, slot: int, label: str) -> Operation:
    start = time.monotonic()
    record = store.save(labelled(label))
    done = Operation("write", record.id, label, record.token, start, time.monotonic())
    board.put(slot, record.id)
    return done


def _maintain(data: Path, place: Path) -> None:
    """Do everything an administrator may do while others work, until told to stop."""
    store = ImageStore.open(_settings(data))
    rounds, errors = 0, []
    while not (place / "stop").exists():
        try:
            maintenance.sweep(store)
            rotation.rotate_store_key(store)
            failed = rotation.re_encrypt(store, texts=lambda _store: 0).failed
            errors += [f"re-encrypt: {words}" for words in failed.values()]
            missing = backup.backup(store, place / "backup").missing
            errors += [f"backup: {blob_id} was missing" for blob_id in missing]
            findings = maintenance.check(store, deep=True).findings
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
