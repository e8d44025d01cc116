"""
The store key rotated and every image re-encrypted while others read and update, and whoever re-encrypts is killed.

    python -m tests.torture.programs.rotation_under_load '{"images": 500, "kills": 10}'
"""

import os
import random
import signal
import tempfile
import time
from pathlib import Path

from pixstore.errors import PixstoreError
from pixstore.keyring import Keyring
from pixstore.maintenance import rotation
from pixstore.store import ImageStore, clock_ms
from tests.labelled import label_of, labelled
from tests.torture.tools.outcomes import Outcome, main
from tests.torture.tools.seeded_faults import seeded
from tests.torture.tools.stores import quiet_store, settings_of, shown_label

BATCH = 100
CLIENTS = 2
HOURS = 3 * 60 * 60_000


def run(images: int = 500, kills: int = 10, seed: str | None = None) -> Outcome:
    """Rotate and re-encrypt *images*, killed *kills* times, then drop the old keys."""
    outcome = Outcome(images)
    with tempfile.TemporaryDirectory() as place, seeded(seed):
        data = Path(place) / "data"
        saved = _fill(data, images)
        clients = [
            _client(data, saved, number, Path(place) / f"client {number}") for number in range(CLIENTS)
        ]
        old = _keyring(data)
        killed = rounds = 0
        while killed < kills:
            rounds += 1
            killed += _rotate_and_die(data, rounds, images)
        for child in clients:
            os.kill(child, signal.SIGTERM)
        outcome.anomalies += [f"a client ended with {s}" for c in clients if (s := os.waitpid(c, 0)[1])]
        reads = 0
        for number in range(CLIENTS):
            count, *errors = (Path(place) / f"client {number}").read_text().splitlines()
            reads += int(count)
            outcome.anomalies += errors
        _finish(data, old, outcome)
        outcome.anomalies += _unreadable(data, saved)
    outcome.words = (
        f"{images} images, {killed} kills in {rounds} rotations, {reads} operations of others meanwhile"
    )
    return outcome


def _fill(data: Path, images: int) -> list[str]:
    store = quiet_store(data)
    saved: list[str] = []
    while len(saved) < images:
        with store.unit_of_work() as work:
            for _ in range(min(BATCH, images - len(saved))):
                saved.append(work.save(labelled(f"{len(saved)}")).image_id)
    store.close()
    return saved


def _client(data: Path, saved: list[str], number: int, path: Path) -> int:
    """Fork a process that reads and updates until it is told to stop, and records every error."""
    child = os.fork()
    if child:
        return child
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
    store = ImageStore.open(settings_of(data))
    chance = random.Random(number)
    count, errors = 0, []
    while not stopped:
        at = chance.randrange(len(saved))
        count += 1
        try:
            if chance.random() < 0.2 and at % CLIENTS == number:
                store.update(saved[at], labelled(f"{at}"))
            elif (shown := label_of(store.load(saved[at]))) != f"{at}":
                errors.append(f"image {at} was {shown}")
        except Exception as error:  # noqa: BLE001 - every error is an anomaly
            errors.append(f"{type(error).__name__}: {error}")
    store.close()
    path.write_text("\n".join([str(count), *errors[:20]]))
    os._exit(0)


def _rotate_and_die(data: Path, number: int, images: int) -> int:
    """Rotate and re-encrypt in a process that is killed after a while; return whether it was still at it."""
    child = os.fork()
    if child == 0:
        store = ImageStore.open(settings_of(data))
        if number % 10 == 1:
            rotation.rotate_store_key(store)
        if number % 10 == 5:
            rotation.rotate_master(store)
        rotation.re_encrypt(store)
        os._exit(0)
    time.sleep(random.Random(number).uniform(0.02, 0.05 + images / 10_000))
    os.kill(child, signal.SIGKILL)
    return int(os.waitpid(child, 0)[1] == signal.SIGKILL)


def _rotate_if_none_got_that_far(data: Path, old: Keyring) -> None:
    """Make a new store key where every rotation was killed before it had one, as happens on a busy machine."""
    store = quiet_store(data)
    if store.parts.keyring.latest().active in old.store_keys:
        rotation.rotate_store_key(store)
    store.close()


def _finish(data: Path, old: Keyring, outcome: Outcome) -> None:
    """Re-encrypt to the end, later, so that old keys go; then nothing opens under them."""
    _rotate_if_none_got_that_far(data, old)
    store = quiet_store(data, now=lambda: clock_ms() + HOURS)
    report = rotation.re_encrypt(store, reseal_texts=lambda _store: 0)
    outcome.anomalies += [f"re-encrypt: {words}" for words in report.failed.values()]
    keyring = store.parts.keyring.latest()
    if set(old.store_keys) & set(keyring.store_keys):
        outcome.anomalies.append("an old store key is still in the keyring")
    with store.connected():
        rows = list(store.parts.models.image.select())
    for row in rows:
        if row.store_key_id != keyring.active:
            outcome.anomalies.append("an image is still under an old key")
        try:
            old.unwrap_key(
                bytes(row.wrapped_key), store_key_id=old.active, image_id=row.id, blob_id=row.blob_id
            )
        except PixstoreError:
            continue
        outcome.anomalies.append("an old key opens an image")
    store.close()


def _unreadable(data: Path, saved: list[str]) -> list[str]:
    store = quiet_store(data)
    wrong = [
        f"image {n} is {shown!r}" for n, i in enumerate(saved) if (shown := shown_label(store, i)) != f"{n}"
    ]
    store.close()
    return wrong


def _keyring(data: Path) -> Keyring:
    store = quiet_store(data)
    keyring = store.parts.keyring.latest()
    store.close()
    return keyring


if __name__ == "__main__":
    main(run)
