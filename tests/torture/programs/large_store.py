"""
A large store, killed and started again: how long a first read and a sweep take, and whether a check finds what was planted.

    python -m tests.torture.programs.large_store '{"images": 2000}'
"""

import os
import random
import signal
import tempfile
import time
from pathlib import Path

from pixstore.ids import new_blob_id
from pixstore.maintenance.check import check
from pixstore.maintenance.sweep import sweep
from pixstore.store import ImageStore
from tests import stored
from tests.eventually import eventually
from tests.labelled import labelled
from tests.torture.tools.outcomes import Outcome, main
from tests.torture.tools.stores import later, settings_of, shown_label

PROCESSES = 2
BATCH = 100
FIRST_READ = 2.0
SWEEP = 10.0
PLANTED = 20
MOST_SECONDS = 3600


def run(images: int = 2000) -> Outcome:
    """Make a store of so many *images*, kill its writers, and look it over."""
    outcome = Outcome(images)
    with tempfile.TemporaryDirectory() as place:
        data = Path(place) / "data"
        start = time.monotonic()
        _fill(data, images)
        outcome.figures["filling s"] = round(time.monotonic() - start, 1)
        _read_first(data, outcome)
        _sweep(data, outcome)
        _check(data, outcome)
    outcome.words = f"{images} images"
    return outcome


def _fill(data: Path, images: int) -> None:
    """Let processes save until there are enough images, then kill them as they go on."""
    ImageStore.open(settings_of(data)).close()
    children = []
    for number in range(PROCESSES):
        child = os.fork()
        if child == 0:
            _save_for_ever(data, number)
        children.append(child)
    store = ImageStore.open(settings_of(data))
    eventually(lambda: stored.count_rows(store) >= images, MOST_SECONDS, "the store is full")
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    store.database.close_all()


def _save_for_ever(data: Path, number: int) -> None:
    store = ImageStore.open(settings_of(data))
    saved = 0
    while True:
        with store.unit_of_work() as work:
            for _ in range(BATCH):
                saved += 1
                work.save(labelled(f"{number}.{saved}"), directory="many")


def _read_first(data: Path, outcome: Outcome) -> None:
    start = time.monotonic()
    store = ImageStore.open(settings_of(data), now=later)
    with store.connected():
        image_id = (
            store.parts.models.image.select().order_by(store.parts.models.image.written_at.desc()).get().id
        )
    shown = shown_label(store, image_id)
    _took(outcome, "first read", time.monotonic() - start, FIRST_READ)
    if shown is None or shown.startswith("!!"):
        outcome.anomalies.append(f"the newest image is {shown}")
    store.close()


def _sweep(data: Path, outcome: Outcome) -> None:
    store = ImageStore.open(settings_of(data), now=later)
    for _ in range(PLANTED):
        store.parts.blobs.put(new_blob_id(), [b"an orphan"])
    start = time.monotonic()
    swept = sweep(store)
    _took(outcome, "sweep", time.monotonic() - start, SWEEP)
    if swept.orphans < PLANTED:
        outcome.anomalies.append(f"sweep removed {swept.orphans} of {PLANTED} orphans")
    store.close()


def _check(data: Path, outcome: Outcome) -> None:
    store = ImageStore.open(settings_of(data), now=later)
    chance = random.Random(1)
    with store.connected():
        rows = chance.sample(
            list(store.parts.models.image.select().order_by(store.parts.models.image.id)), 3 * PLANTED
        )
    missing, flipped, cut = rows[:PLANTED], rows[PLANTED : 2 * PLANTED], rows[2 * PLANTED :]
    for row in missing:
        store.parts.blobs.delete(row.blob_id)
    for row in flipped:
        path = stored.file_of_blob(store, row.blob_id)
        raw = bytearray(path.read_bytes())
        raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        path.write_bytes(raw)
    for row in cut:
        path = stored.file_of_blob(store, row.blob_id)
        path.write_bytes(path.read_bytes()[:-1])
    orphans = {new_blob_id() for _ in range(PLANTED)}
    for blob_id in orphans:
        store.parts.blobs.put(blob_id, [b"an orphan"])
    start = time.monotonic()
    findings = check(store, deep=True).findings
    outcome.figures["deep check s"] = round(time.monotonic() - start, 1)
    planted = {row.blob_id for row in rows} | orphans
    found = {finding.blob_id for finding in findings}
    outcome.figures["planted"], outcome.figures["found"] = len(planted), len(planted & found)
    outcome.anomalies += [f"not found: {blob_id}" for blob_id in planted - found]
    outcome.anomalies += [f"found, but sound: {blob_id}" for blob_id in found - planted]
    kinds = {finding.blob_id: finding.kind for finding in findings}
    outcome.anomalies += [
        f"missing, found as {kinds[row.blob_id]}" for row in missing if kinds.get(row.blob_id) != "missing"
    ]
    outcome.anomalies += [f"orphan, found as {kinds[b]}" for b in orphans if kinds.get(b) != "orphan"]
    store.close()


def _took(outcome: Outcome, what: str, seconds: float, target: float) -> None:
    outcome.figures[f"{what} s"] = round(seconds, 3)
    if seconds > target:
        outcome.anomalies.append(f"{what} took {seconds:.1f} s, more than {target:g}")


if __name__ == "__main__":
    main(run)
