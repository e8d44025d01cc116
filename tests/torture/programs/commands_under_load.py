"""
Every command that looks after a store, on a large one, while a gallery and a program use it; most are killed on their way.

Clients of a gunicorn and a user of the library upload, replace, delete and read all the time. Each command is a process of
its own, at a terminal of its own. It has to end as documented, show its progress, find what was planted and nothing else,
and go on where it was killed. What a backup holds is looked at through a gallery restored from it: as a read of each
image at some instant of the backup. In the end the database is lost, and rebuilt.

    python -m tests.torture.programs.commands_under_load '{"images": 10000}'
"""

import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from pixstore.maintenance.check import BATCH
from tests.gallery_client import PASSWORD, GalleryClient
from tests.gallery_server import GalleryServer
from tests.labelled import labelled
from tests.torture.tools import history, planted_damage, seeded_gallery
from tests.torture.tools.commands import Commands, Ended, Trial
from tests.torture.tools.crowd import Account, Crowd, RecordedClient
from tests.torture.tools.history import Operation
from tests.torture.tools.library_user import LibraryUser, looks
from tests.torture.tools.outcomes import Outcome, main
from tests.torture.tools.planted_damage import Planted
from tests.torture.tools.stores import quiet_store

_SERVER_ERROR = re.compile(r"^\S+ [A-Z]+ \S+ 5\d\d .*", re.MULTILINE)


def run(
    images: int = 10_000,
    clients: int = 4,
    kills: int = 3,
    only: Sequence[str] = (),
    seed: str | None = None,
    directory: str | None = None,
) -> Outcome:
    """Run each command on a store of so many *images*, most of them killed *kills* times; *only* names some of them."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory(dir=directory) as place:
        trial = Trial(outcome, kills)
        installation = _Installation(Path(place), images, trial, seed)
        with installation.open_to(clients):
            _run_commands(_Administrator(installation, trial, seed), installation, only, outcome)
    outcome.words = f"{images} images, {clients} clients, {outcome.amount} operations of others, {trial.killed} commands killed"
    return outcome


def _run_commands(
    administrator: "_Administrator", installation: "_Installation", only: Sequence[str], outcome: Outcome
) -> None:
    with installation.at_work():
        for name, command in administrator.commands.items():
            if not only or name in only:
                with _noted(name, outcome):
                    command()
    if not only or "rebuild" in only:
        with _noted("rebuild", outcome):
            administrator.rebuild()
    with _noted("the last look", outcome):
        installation.judge(administrator.looks, outcome)


@contextmanager
def _noted(name: str, outcome: Outcome) -> Iterator[None]:
    """Note an error as an anomaly."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - every error is an anomaly
        outcome.anomalies.append(f"{name}: {type(error).__name__}: {error}")


class _Installation:
    """A gallery and a program over one store, and all their users."""

    def __init__(self, place: Path, images: int, trial: Trial, seed: str | None) -> None:
        self.place, self.images = place, images
        self.server = GalleryServer(place)
        self.data = self.server.data_dir
        self.library = LibraryUser(self.data)
        self.unused = self.library.fill(images, unused=3 * max(2, images // 500))
        planted_damage.age(self.library.store)
        self.run = partial(trial.run, Commands(self.data, seed))
        self.run_killed = partial(trial.run_killed, Commands(self.data, seed))

    @contextmanager
    def open_to(self, clients: int) -> Iterator[None]:
        """Serve the gallery to *clients* clients, which already have accounts and a few pictures."""
        self.server.start()
        try:
            with GalleryClient(self.server.port).sets_up(self.server.setup_path(), "owner") as owner:
                self.crowd = Crowd(owner, clients)
            yield
        finally:
            self.server.stop()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Let all users work while the block runs."""
        done = threading.Event()
        program = threading.Thread(target=self.library.go_on_until, args=(done,))
        program.start()
        try:
            with self.crowd.at_work():
                yield
        finally:
            done.set()
            program.join()
            self.library.store.close()

    def judge(self, seen: "list[_Looks]", outcome: Outcome) -> None:
        """Note what should not have been, having looked at every image; *seen* is what backups held."""
        found, crowd, written = outcome.anomalies, self.crowd, self.library.operations
        outcome.amount = len(crowd.operations) + len(written) - self.images
        for backup in seen:
            found += backup.judge([*crowd.operations, *written])
        found += [*self.library.errors, *map(str, crowd.broken), *crowd.judge()]
        self.server.stop()
        found += history.check([*written, *_looks_at(self.data, written)])
        found += _aftermath(self.server)


class _Looks:
    """The contents of a backup: a read of each image, at some instant while the backup was made."""

    def __init__(self, backup: Ended, found: Sequence[Operation]) -> None:
        self._start, self._end = backup.start, backup.end
        self._found = [self._meanwhile(look) for look in found if look.token != -1]

    def judge(self, operations: Sequence[Operation]) -> list[str]:
        """Return the anomalies of the backup: reads that no single instant explains, and missing images."""
        there = {o.image_id for o in operations if o.kind == "write" and o.end < self._start}
        missing = there - {look.image_id for look in self._found}
        gone = [Operation("read", image_id, None, -1, self._start, self._end) for image_id in missing]
        return [f"backup: {words}" for words in history.check([*operations, *self._found, *gone])]

    def _meanwhile(self, look: Operation) -> Operation:
        return replace(look, start=self._start, end=self._end)


class _Administrator:
    """An operator who runs the commands and knows the result that each must have."""

    def __init__(self, installation: _Installation, trial: Trial, seed: str | None) -> None:
        self.looks: list[_Looks] = []
        self._there, self._trial, self._seed = installation, trial, seed
        self._store = installation.library.store
        self.commands: dict[str, Callable[[], None]] = {
            "check": self._check,
            "sweep": self._sweep,
            "re-encrypt": self._re_encrypt,
            "backup": self._back_up,
            "rotate master": self._rotate_master,
        }

    def _check(self) -> None:
        there, expect = self._there, self._trial.expect
        quiet = there.run("check", "--json", terminal=False)
        expect(planted_damage.found(quiet.output) == {}, f"check found {quiet.output}")
        expect(not quiet.complaints, f"check said {quiet.complaints}")
        damage = Planted(self._store, there.unused, there.place / "taken away")
        deep = ("check", "--deep", "--json")
        runs = there.run_killed(*deep, again=(*deep, "--resume"), status=1)
        self._expect_findings(runs.last, damage.findings())
        for before, after in runs.resumed:
            goes_on = after.done >= before.done - BATCH
            expect(goes_on, f"a check that was at {before} began again at {after}")
        self._expect_findings(
            there.run("check", "--deep", "--repair", "--json", status=1), damage.findings(repaired=True)
        )
        damage.heal()
        self._trial.expect_output(there.run("check", "--deep"), r"\d+ images, \d+ blobs, 0 findings")

    def _expect_findings(self, ended: Ended, expected: planted_damage.Findings) -> None:
        found = planted_damage.found(ended.output)
        wrong = [f"{b}: found {found.get(b)}, planted {expected.get(b)}" for b in found | expected]
        right = [f"{b}: found {p}, planted {p}" for b, p in expected.items()]
        self._trial.expect(found == expected, "; ".join(sorted(set(wrong) - set(right))))

    def _sweep(self) -> None:
        there, expect = self._there, self._trial.expect
        old = [
            *planted_damage.orphans(self._store, there.images // 20),
            planted_damage.unfinished(self._store),
        ]
        young = [
            *planted_damage.orphans(self._store, 3, age=0),
            planted_damage.unfinished(self._store, age=0),
        ]
        start = time.monotonic()
        with self._store.unit_of_work() as work:  # an upload that lasts for as long as the sweep
            image_id = work.save(labelled("slow")).image_id
            runs = there.run_killed("sweep")
        there.library.note(image_id, "slow", work.records[image_id].token, start)
        self._trial.expect_output(runs.last, r"\d+ orphaned blobs and [01] unfinished files removed")
        expect(not any(file.exists() for file in old), "sweep left orphans of the day before yesterday")
        expect(all(file.exists() for file in young), "sweep removed blobs of an upload under way")

    def _re_encrypt(self) -> None:
        there, expect = self._there, self._trial.expect
        rotation = there.run_killed("rotate", "store-key", silent=True)
        self._store.parts.keyring.refresh()
        active = self._store.parts.keyring.latest().active
        expect(rotation.last.output == f"store key {active} is active\n", f"{active}: {rotation.last.output}")
        runs = there.run_killed("re-encrypt")
        said = (
            r"\d+ images and \d+ texts encrypted again, 0 old keys dropped\nstore key \w+ is kept: writes .*"
        )
        self._trial.expect_output(runs.last, said)
        for before, after in runs.resumed:
            expect(after.total <= before.total - before.done, f"{before} encrypted again, then {after}")
        image = self._store.parts.models.image
        with self._store.connected():
            left = image.select().where(image.store_key_id != active).count()
        expect(left == 0, f"{left} images are under an old key")

    def _back_up(self) -> None:
        there, expect = self._there, self._trial.expect
        target, said = str(there.place / "backup"), r"(\d+) images in the backup, (\d+) copied now"
        runs = there.run_killed("backup", target)
        images, copied = self._trial.expect_output(runs.last, said)
        expect(copied < images or not runs.resumed, "a backup began again from the start")
        second = there.run("backup", target)
        images, copied = self._trial.expect_output(second, said)
        expect(copied < images, "a second backup copied everything again")
        self._restore(target, second, images)

    def _restore(self, target: str, backup: Ended, images: int) -> None:
        """Restore into another installation, and look at all that is there."""
        there, expect = self._there, self._trial.expect
        server = GalleryServer(there.place / "restored")
        server.data_dir.mkdir(parents=True, mode=0o700)
        shutil.copy(there.data / "master.key", server.data_dir)
        runs = self._trial.run_killed(Commands(server.data_dir, self._seed), "restore", target)
        self._trial.expect_output(runs.last, rf"{images} images restored and opened, 0 findings")
        server.start()
        try:
            found = [look for account in there.crowd.accounts for look in _shown(server.port, account)]
        finally:
            server.stop()
        found += _looks_at(server.data_dir, list(there.library.operations))
        self.looks.append(_Looks(backup, found))
        for words in _aftermath(server):
            expect(False, f"restored: {words}")
        shutil.rmtree(server.data_dir)

    def _rotate_master(self) -> None:
        key = self._there.data / "master.key"
        before = key.read_bytes()
        runs = self._there.run_killed("rotate", "master", silent=True)
        self._trial.expect_output(runs.last, "the keyring is under the new master key")
        self._trial.expect(key.read_bytes() != before, "the master key is the old one")
        self._trial.expect_output(self._there.run("check"), r"\d+ images, \d+ blobs, 0 findings")

    def rebuild(self) -> None:
        """Lose the database, and rebuild it while no user works."""
        there = self._there
        there.server.stop()
        # Killed writers left versions that no record names, also of images that are deleted by now.
        there.run("sweep", PIXSTORE_ORPHAN_GRACE="0")
        images = _count_images(there.data)
        for file in there.data.glob("pixstore.sqlite*"):
            file.unlink()
        runs = there.run_killed("rebuild", again=("rebuild", "--merge"), tail=images / 2000)
        self._trial.expect_output(
            runs.last,
            rf"{images} images back; [^;]+; (?:\d+ deleted images stay deleted; )?0 blobs could not be opened",
        )
        for account in there.crowd.accounts:
            there.run("reset-password", account.name, "--password-stdin", typed=f"{PASSWORD}\n")
        there.server.start()


def _aftermath(server: GalleryServer) -> list[str]:
    """Return what a stopped gallery has left, and each answer that said that the server was at fault."""
    return seeded_gallery.aftermath(server) + _SERVER_ERROR.findall(server.output.read_text())


def _shown(port: int, account: Account) -> list[Operation]:
    """Look at every picture of *account* in the gallery on *port*."""
    witness = RecordedClient(port, account, "witness").logs_in()
    for card in witness.gallery.pictures():
        witness.look_at(card.picture_id)
    witness.gallery.leaves()
    return witness.operations


def _looks_at(data: Path, written: Sequence[Operation]) -> list[Operation]:
    """Read every image of the library's from the store in *data*."""
    store = quiet_store(data)
    try:
        return looks(store, {operation.image_id for operation in written})
    finally:
        store.close()


def _count_images(data: Path) -> int:
    store = quiet_store(data)
    try:
        with store.connected():
            count: int = store.parts.models.image.select().count()
        return count
    finally:
        store.close()


if __name__ == "__main__":
    main(run)
