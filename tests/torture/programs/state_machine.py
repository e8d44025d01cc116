"""
The whole store against a dictionary: any order of operations, restarts and maintenance, and after each step both agree.

    python -m tests.torture.programs.state_machine '{"runs": 20, "steps": 30}'
"""

import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pixstore import formats
from pixstore.config import DAY
from pixstore.errors import ImageNotFound, ImageRejected
from pixstore.maintenance import rotation
from pixstore.maintenance.backup import backup
from pixstore.maintenance.check import check
from pixstore.maintenance.rebuild import rebuild
from pixstore.maintenance.restore import restore
from pixstore.maintenance.sweep import sweep
from pixstore.records import ImageRecord
from pixstore.store import ImageStore
from tests.labelled import label_of, labelled
from tests.torture.tools.image_access import opened
from tests.torture.tools.outcomes import Outcome, main
from tests.torture.tools.seeded_faults import seeded
from tests.torture.tools.stores import quiet_store, settings_of

numbers = st.integers(0, 1000)
paddings = st.sampled_from((0, 1, 4_000, 70_000))
directories = st.sampled_from((None, "a", "people_2"))


class RolledBack(Exception):
    """What a caller's own part of a unit of work raises here."""


class StoreAgainstDictionary(RuleBasedStateMachine):
    """``self.images`` and ``self.titles`` are what the store should hold."""

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        self.images: dict[str, str] = {}
        self.tokens: dict[str, int] = {}
        self.titles: dict[str, tuple[str, bytes]] = {}
        self.gone: list[str] = []
        self.held: dict[str, tuple[ImageRecord, str]] = {}
        self.offset = self.latest = 0
        self.made = 0

    @initialize()
    def open_store(self) -> None:
        """Begin with an empty store."""
        self.config = settings_of(self.place / "0")
        self._open()

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.store.close()
        shutil.rmtree(self.place)

    # --- what callers do

    @rule(padding=paddings, directory=directories)
    def save(self, padding: int, directory: str | None) -> None:
        """A new image has a new id, and is read as it was saved."""
        label = self._label()
        record = self.store.save(labelled(label, padding=padding), directory, {"title": label})
        assert record.id not in self.images
        self._now_is(record, label)

    @rule(number=numbers, padding=paddings)
    def update(self, number: int, padding: int) -> None:
        """An updated image is read as it is now; one that is not there is refused."""
        label = self._label()
        image = labelled(label, padding=padding)
        image_id = self._pick(number)
        if image_id is None:
            self._refused(lambda: self.store.update("nosuchimage", image))
            return
        self._now_is(self.store.update(image_id, image), label)

    @rule(number=numbers)
    def delete(self, number: int) -> None:
        """A deleted image is gone, and can be deleted once."""
        image_id = self._pick(number)
        if image_id is None:
            assert not self.store.delete("nosuchimage")
            return
        assert self.store.delete(image_id)
        assert not self.store.delete(image_id)
        self._forget(image_id)

    @rule(number=numbers, fails=st.booleans(), deletes=st.booleans())
    def unit_of_work(self, number: int, fails: bool, deletes: bool) -> None:
        """Several changes happen together, or not at all if the caller raises."""
        first, second, third = self._label(), self._label(), self._label()
        image_id = self._pick(number)

        def also() -> None:
            if fails:
                raise RolledBack

        try:
            with self.store.unit_of_work() as work:
                saved = [work.save(labelled(first)).image_id, work.save(labelled(second), "thumbs").image_id]
                if image_id and deletes:
                    work.delete(image_id)
                elif image_id:
                    work.update(image_id, labelled(third))
                work.also(also)
        except RolledBack:
            assert fails
            return
        for new_id, label in zip(saved, (first, second), strict=True):
            self._now_is(work.records[new_id], label)
        if image_id and deletes:
            self._forget(image_id)
        elif image_id:
            self._now_is(work.records[image_id], third)

    @rule(number=numbers, data=st.sampled_from((b"", b"not an image", labelled("x")[:-9])))
    def refused(self, number: int, data: bytes) -> None:
        """Bytes that are not an image are refused, for a new id and for an old one."""
        image_id = self._pick(number)
        for refused in (
            lambda: self.store.save(data),
            lambda: self.store.update(image_id or "nosuchimage", data),
        ):
            try:
                refused()
            except (ImageRejected, ImageNotFound):
                continue
            raise AssertionError("a bad image was accepted")

    @rule(number=numbers)
    def read(self, number: int) -> None:
        """An image is read as it was saved, by the library and by a browser."""
        image_id = self._pick(number)
        if image_id is None:
            return
        assert label_of(self.store.load(image_id)) == self.images[image_id]
        record = self.store.record(image_id)
        assert record is not None
        self._ask(record, record)

    @rule(number=numbers)
    def read_with_an_old_record(self, number: int) -> None:
        """A browser that holds an old record gets the newest version all the same."""
        image_id = self._pick(number)
        if image_id in self.held:
            self._ask(self.held[image_id][0], self.store.records([image_id])[image_id])

    @rule(words=st.text(max_size=40))
    def seal_title(self, words: str) -> None:
        """A title is sealed, and opened after every later step."""
        row = str(len(self.titles))
        self.titles[row] = (words, self.store.seal_text(words, purpose="title", row_id=row))

    # --- what happens around them

    @rule(minutes=st.integers(-120, 120))
    def clock_moves(self, minutes: int) -> None:
        """The clock jumps, forth or back."""
        self.offset += minutes * 60_000
        self.latest = max(self.latest, self.offset)

    @rule()
    def restart(self) -> None:
        """The store is closed and opened again."""
        self.store.close()
        self._open()

    @rule()
    def reap(self) -> None:
        """The blobs of replaced and deleted images are removed."""
        self.store.parts.reaper.reap()

    @rule()
    def sweep(self) -> None:
        """Orphans are removed."""
        sweep(self.store, force=True)

    @rule(deep=st.booleans(), repair=st.booleans())
    def check(self, deep: bool, repair: bool) -> None:
        """A check counts every image and finds nothing wrong."""
        report = check(self.store, deep=deep, repair=repair and bool(self.images))
        assert report.images == len(self.images)
        assert report.findings == []

    @rule()
    def rotate_master_key(self) -> None:
        """A new master key changes nothing that can be seen."""
        rotation.rotate_master(self.store)

    @rule()
    def rotate_store_key(self) -> None:
        """A new store key changes nothing that can be seen."""
        rotation.rotate_store_key(self.store)

    @rule()
    def rotate_service_secret(self) -> None:
        """A new service secret changes no image."""
        rotation.rotate_service_secret(self.store)
        self.restart()

    @rule()
    def re_encrypt(self) -> None:
        """Every image and every title goes under the newest store key."""
        report = rotation.re_encrypt(self.store, reseal_texts=self._seal_titles_again)
        assert report.failed == {}

    @rule()
    def lose_database_and_rebuild(self) -> None:
        """Without its database, a store is rebuilt with every image and larger tokens."""
        self.offset = (
            self.latest
        )  # the lost tokens came from the clock: larger ones need one that does not run behind
        self.store.close()
        for path in self.config.data_dir.glob("pixstore.sqlite*"):
            path.unlink()
        self._open()
        report = rebuild(self.store)
        assert {image.image_id for image in report.images} == self.images.keys()
        for image_id, record in self.store.records(self.images).items():
            assert record.token > self.tokens[image_id]
            self.tokens[image_id] = record.token

    @precondition(lambda self: self.made < 3)
    @rule()
    def back_up_and_restore(self) -> None:
        """A restored backup is the store it was taken of."""
        self.made += 1
        saved = self.place / f"backup {self.made}"
        report = backup(self.store, saved)
        assert (report.images, report.missing) == (len(self.images), [])
        master_key = (self.config.data_dir / "master.key").read_bytes()
        self.store.close()
        self.config = replace(self.config, data_dir=self.place / str(self.made))
        self.config.data_dir.mkdir()
        (self.config.data_dir / "master.key").write_bytes(master_key)
        assert restore(self.config, saved).is_clean
        self._open()

    # --- invariants

    @invariant()
    def holds_the_same(self) -> None:
        """Store and dictionary hold the same ids, and no token went back."""
        records = self.store.records([*self.images, *self.gone[-5:]])
        assert records.keys() == self.images.keys()
        for image_id, record in records.items():
            assert record.token >= self.tokens[image_id]
        with self.store.connected():
            assert self.store.parts.models.image.select().count() == len(self.images)

    @invariant()
    def titles_open(self) -> None:
        """Every title opens."""
        for row, (words, sealed) in self.titles.items():
            assert self.store.open_text(sealed, purpose="title", row_id=row) == words

    # --- parts of the above

    def _open(self) -> None:
        self.store: ImageStore = quiet_store(
            self.config.data_dir, now=lambda: time.time_ns() // 1_000_000 + self.offset + DAY
        )

    def _label(self) -> str:
        self.made_labels = getattr(self, "made_labels", 0) + 1
        return f"version {self.made_labels}"

    def _pick(self, number: int) -> str | None:
        return sorted(self.images)[number % len(self.images)] if self.images else None

    def _now_is(self, record: ImageRecord, label: str) -> None:
        assert record.token > self.tokens.get(record.id, 0)
        assert record.image_format == formats.detect(labelled(label))
        self.images[record.id], self.tokens[record.id] = label, record.token
        self.held.setdefault(record.id, (record, label))
        assert label_of(self.store.load(record.id)) == label

    def _forget(self, image_id: str) -> None:
        del self.images[image_id], self.tokens[image_id]
        self.gone.append(image_id)
        assert self.store.record(image_id) is None

    def _ask(self, held: ImageRecord, fresh: ImageRecord) -> None:
        payload = self.store.answer(held.id, proof=fresh.stateless_proof, client_token=held.token).to_bytes()
        look = opened(payload, held)
        assert look == (
            self.store.records([held.id])[held.id].token,
            labelled_like(self.images[held.id], look.image),
        )

    def _refused(self, call: Any) -> None:
        try:
            call()
        except ImageNotFound:
            return
        raise AssertionError("an image that is not there was updated")

    def _seal_titles_again(self, store: ImageStore) -> int:
        for row, (words, _) in self.titles.items():
            self.titles[row] = (words, store.seal_text(words, purpose="title", row_id=row))
        return len(self.titles)


def labelled_like(label: str, image: bytes) -> bytes:
    """Return *image* if it carries *label*, and what differs from it otherwise."""
    return image if label_of(image) == label else b""


def run(runs: int = 20, steps: int = 30, seed: str | None = None, shrink: bool = True) -> Outcome:
    """Try *runs* sequences of *steps*; *shrink* looks for the shortest sequence that goes wrong."""
    outcome = Outcome(runs * steps, f"{runs} runs x {steps} steps")
    chosen = settings(
        max_examples=runs,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=False,
        phases=(Phase.generate, Phase.shrink) if shrink and not seed else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    try:
        with seeded(seed):
            run_state_machine_as_test(StoreAgainstDictionary, settings=chosen)
    except Exception as difference:  # noqa: BLE001 - whatever it is, the model did not expect it
        notes = getattr(difference, "__notes__", [])
        outcome.anomalies.append(f"{type(difference).__name__}: {difference} {' '.join(notes)[-2000:]}")
    return outcome


if __name__ == "__main__":
    main(run)
