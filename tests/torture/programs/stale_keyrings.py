"""
Several hosts over one database and one blob store, each with a data directory and a master key file of its own.

They save, rotate, re-encrypt, restart and do so at the same time; the database, or a data directory, is put back to an earlier
copy, or the database is lost. All of it comes in random order. Whatever was acknowledged, every host that has the current
master key must be able to show.

    python -m tests.torture.programs.stale_keyrings '{"trials": 10, "steps": 60}'
"""

import random
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pixstore.errors import StorageError
from pixstore.maintenance import rotation
from pixstore.maintenance.check import check
from pixstore.maintenance.rebuild import rebuild
from pixstore.maintenance.sweep import sweep
from pixstore.store import ImageStore, clock_ms
from pixstore.store_keyring import REFRESH_INTERVAL
from tests.clock import Clock
from tests.labelled import labelled
from tests.torture.tools.outcomes import Outcome, main
from tests.torture.tools.seeded_faults import seeded
from tests.torture.tools.stores import quiet_store, shown_label

HOSTS = 3
MOST_IMAGES = 12
MOST_COPIES = 4
LOOK_EVERY = 4
"""Steps between two looks at every image by every host."""


def run(trials: int = 10, steps: int = 60, seed: str | None = None) -> Outcome:
    """Do *steps* things in random order, *trials* times, each time with a new store."""
    outcome = Outcome()
    done: dict[str, int] = {}
    with seeded(seed):
        for number in range(trials):
            with tempfile.TemporaryDirectory() as place:
                trial = _Trial(Path(place), random.Random(number), done)
                outcome.anomalies += [f"trial {number}: {words}" for words in trial.run(steps)]
                outcome.amount += trial.looks
    outcome.words = f"{trials} trials x {steps} steps, {HOSTS} hosts, {outcome.amount} images looked at"
    outcome.figures = done
    return outcome


class _Host:
    """One machine: its own data directory, and the store as long as it is open."""

    def __init__(self, place: Path, number: int, clock: Clock) -> None:
        self.number, self.name = number, f"host {number}"
        self.data = place / f"host {number}"
        self._settings = {"database_path": place / "shared.sqlite", "image_root_dir": place / "blobs"}
        self._clock = clock
        self._store: ImageStore | None = None

    @property
    def store(self) -> ImageStore:
        """The store, opened now if it is not open."""
        if self._store is None:
            self._store = quiet_store(self.data, now=self._clock, **self._settings)
        return self._store

    @property
    def key_file(self) -> Path:
        """Where the master key of this host lies."""
        return self.data / "master.key"

    @property
    def generation(self) -> int | None:
        """The generation of the keyring that the program knows, if it runs."""
        return None if self._store is None else self._store.parts.keyring._keyring.generation

    def close(self) -> None:
        """Stop the program."""
        if self._store is not None:
            self._store.close()
            self._store = None


@dataclass
class _Copy:
    """What somebody copied at one instant: the database, and the data directory of each host."""

    database: Path
    directories: list[Path]


class _Trial:
    def __init__(self, place: Path, chance: random.Random, done: dict[str, int]) -> None:
        self.looks = 0
        self._place, self._chance, self._done = place, chance, done
        self._clock = Clock(clock_ms())
        self._hosts = [_Host(place, number, self._clock) for number in range(HOSTS)]
        self._database = place / "shared.sqlite"
        self._copies: list[_Copy] = []
        self._labels: dict[str, list[str]] = {}
        self._number = 0
        self._anomalies: list[str] = []
        self._verbs: dict[Callable[[], None], int] = {
            self._by_one(self._write): 6,
            self._by_one(self._rotate_store_key): 4,
            self._by_one(self._re_encrypt): 2,
            self._rotate_master: 2,
            self._restart: 4,
            self._at_once: 4,
            self._wait: 3,
            self._copy: 3,
            self._put_database_back: 3,
            self._put_directory_back: 1,
            self._lose_database: 1,
        }

    def run(self, steps: int) -> list[str]:
        """Do so many things; return what was not as it should be."""
        self._start()
        for number in range(steps):
            verb = self._chance.choices(list(self._verbs), list(self._verbs.values()))[0]
            self._count(verb)
            self._attempt(f"step {number}: {verb.__name__}", verb)
            if number % LOOK_EVERY == 0 or number == steps - 1:
                self._attempt("looking", self._look_everywhere)
            if self._anomalies:
                break
        for host in self._hosts:
            host.close()
        return self._anomalies

    def _start(self) -> None:
        first = self._hosts[0]
        assert first.store
        for host in self._hosts[1:]:
            host.data.mkdir()
            shutil.copy(first.key_file, host.key_file)

    def _count(self, verb: Callable[[], None]) -> None:
        name = verb.__name__.strip("_").replace("_", " ")
        self._done[name] = self._done.get(name, 0) + 1

    def _attempt(self, what: str, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 - every error is an anomaly
            self._anomalies.append(f"{what}: {type(error).__name__}: {error}")

    # --- what hosts do

    def _by_one(self, action: Callable[[_Host], object]) -> Callable[[], None]:
        def by_one() -> None:
            self._tried_again(action, self._chance.choice(self._hosts))

        by_one.__name__ = action.__name__
        return by_one

    def _tried_again(self, action: Callable[[_Host], object], host: _Host) -> None:
        """Do *action*; where the keyring was changed meanwhile, do it again, as the words of the error say."""
        try:
            action(host)
        except StorageError as error:
            if "try again" not in str(error):
                raise
            action(host)

    def _write(self, host: _Host) -> None:
        """Save an image, or update one of those that only this host updates."""
        self._number += 1
        label = f"{host.name}, {self._number}"
        own = list(self._labels)[host.number :: HOSTS]
        if len(self._labels) < MOST_IMAGES or not own:
            self._labels[host.store.save(labelled(label)).id] = [label]
            return
        image_id = self._chance.choice(own)
        self._labels[image_id].append(label)
        host.store.update(image_id, labelled(label))
        self._labels[image_id] = [label]

    def _rotate_store_key(self, host: _Host) -> None:
        rotation.rotate_store_key(host.store)

    def _re_encrypt(self, host: _Host) -> None:
        """Re-encrypt so late that old keys may go."""
        self._clock.forward(2 * rotation.RETIREMENT)
        report = rotation.re_encrypt(host.store, reseal_texts=lambda _store: 0)
        self._anomalies += [f"re-encrypt: {words}" for words in report.failed.values()]

    def _restart(self) -> None:
        self._chance.choice(self._hosts).close()

    def _wait(self) -> None:
        self._clock.forward(self._chance.choice((1000, REFRESH_INTERVAL)))

    def _at_once(self) -> None:
        """Let every host do something at the same moment."""
        actions = [self._chance.choice((self._write, self._rotate_store_key)) for _ in self._hosts]
        begin = threading.Barrier(HOSTS)

        def act(host: _Host, action: Callable[[_Host], None]) -> None:
            begin.wait()
            self._attempt(f"at once, {action.__name__}", lambda: self._tried_again(action, host))

        assert all(host.store for host in self._hosts)
        threads = [threading.Thread(target=act, args=pair) for pair in zip(self._hosts, actions, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    # --- what an administrator does

    def _rotate_master(self) -> None:
        """Rotate the master key on one host, and hand the new one to the others."""
        host = self._chance.choice(self._hosts)
        rotation.rotate_master(host.store)
        self._hand_out(host.key_file.read_bytes())

    def _hand_out(self, keys: bytes) -> None:
        for host in self._hosts:
            host.key_file.write_bytes(keys)
            host.key_file.chmod(0o600)

    def _copy(self) -> None:
        directory = self._place / f"copy {self._chance.randrange(MOST_COPIES)}"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        self._copies = [copy for copy in self._copies if copy.database.parent != directory]
        copy = _Copy(directory / "database", [directory / f"directory {host.number}" for host in self._hosts])
        _copy_database(self._database, copy.database)
        for host, saved in zip(self._hosts, copy.directories, strict=True):
            shutil.copytree(host.data, saved)
        self._copies.append(copy)

    def _put_database_back(self) -> None:
        """Put an earlier database in the place of this one, mostly under running programs."""
        if not self._copies:
            return
        if self._chance.random() < 0.3:
            self._close_all()
        copy = self._chance.choice(self._copies)
        # Copies that were made after this one belong to a history that ends here.
        self._copies = self._copies[: self._copies.index(copy) + 1]
        _copy_database(copy.database, self._database)
        # Its keyring is under the master key of its time, and the copies of the keyring are under the current one.
        keys = [path.read_text().split() for path in (copy.directories[0] / "master.key", self._key_file)]
        self._hand_out("".join(f"{key}\n" for key in dict.fromkeys([keys[0][0], keys[1][0]])).encode())
        if self._chance.random() < 0.7:
            self._go_on_for_a_while()
        self._recover()

    @property
    def _key_file(self) -> Path:
        return self._hosts[0].key_file

    def _go_on_for_a_while(self) -> None:
        """Let hosts rotate and save before anybody has looked at what the old database lacks; all must see what is saved."""
        known = {host.generation for host in self._hosts}
        since: dict[str, str] = {}
        for _ in range(self._chance.randrange(1, 8)):
            host = self._chance.choice(self._hosts)
            if self._chance.random() < 0.3:
                host.close()
            self._tried_again(self._rotate_store_key, host)
            self._number += 1
            label = f"{host.name}, {self._number}"
            image_id = host.store.save(labelled(label)).id
            since[image_id], self._labels[image_id] = label, [label]
            if host.generation in known and self._chance.random() < 0.5:
                break  # as far as another host has been, in another history
        for host in self._hosts:
            for image_id, label in since.items():
                if (shown := shown_label(host.store, image_id)) != label:
                    self._anomalies.append(f"{host.name} shows {shown!r} where {label!r} was acknowledged")

    def _put_directory_back(self) -> None:
        """Put the data directory of one host back; the host is given the current master key."""
        if not self._copies:
            return
        host, keys = self._chance.choice(self._hosts), self._key_file.read_bytes()
        host.close()
        shutil.rmtree(host.data)
        shutil.copytree(self._chance.choice(self._copies).directories[host.number], host.data)
        host.key_file.write_bytes(keys)

    def _lose_database(self) -> None:
        self._close_all()
        for path in self._place.glob("shared.sqlite*"):
            path.unlink()
        self._recover()

    def _close_all(self) -> None:
        for host in self._hosts:
            host.close()

    def _recover(self) -> None:
        """Bring back what the database does not know; what was updated since its copy may be any version."""
        host = self._chance.choice(self._hosts)
        host.close()  # these are commands: programs of their own
        store = host.store
        rebuild(store, merge=True)
        sweep(store, force=True)  # keeps what the repair needs
        check(store, repair=True)
        self._hand_out_used_key()
        for image_id in self._labels:
            shown = shown_label(store, image_id)
            if shown is None or shown.startswith("!!"):
                self._anomalies.append(f"after the recovery an image is {shown!r}")
            else:
                self._labels[image_id] = [shown]

    def _hand_out_used_key(self) -> None:
        """Make the master key that opens the keyring the only one that hosts are given, as a start does with its own file."""
        self._hosts[0].close()
        assert self._hosts[0].store
        keys = self._key_file.read_text().split()
        self._hand_out(f"{keys[0]}\n".encode())

    # --- what all of them must see

    def _look_everywhere(self) -> None:
        self._clock.forward(REFRESH_INTERVAL)
        for host in self._hosts:
            for image_id, labels in self._labels.items():
                self.looks += 1
                shown = shown_label(host.store, image_id)
                if shown not in labels:
                    self._anomalies.append(f"{host.name} shows {shown!r} where {labels} was acknowledged")


def _copy_database(source: Path, target: Path) -> None:
    """Make *target* what *source* is, also where programs have it open."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target, timeout=15)) as new:
        old.backup(new)


if __name__ == "__main__":
    main(run)
