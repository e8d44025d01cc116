"""
`rotate master` with every kind of key file, stopped at every step in every way, stopped again somewhere, and done at last.

After each stop the keys that are there must open every image. In the end the new key opens them, and the old one nothing; or,
where the file cannot be replaced, the rotation was refused and nothing has changed.

    python -m tests.torture.programs.master_keys '{"kinds": ["a plain file"], "stride": 3}'
"""

import base64
import errno
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pixstore.config import Config
from pixstore.errors import PixstoreError, StorageError
from pixstore.maintenance import rotation
from pixstore.store import ImageStore
from tests.labelled import labelled
from tests.mounts import can_mount, mounted
from tests.torture.tools.outcomes import Outcome, main
from tests.torture.tools.seeded_faults import seeded
from tests.torture.tools.steps import KILLED, Fault, Interrupted, Steps
from tests.torture.tools.stores import later, quiet_store, shown_label

NEW = bytes(range(32))
LABELS = ("first", "second")
DONE, REFUSED, INTERRUPTED, UNTYPED = 0, 3, 4, 5


def run(
    kinds: Collection[str] = (), stride: int = 1, most: int = 100_000, seed: str | None = None
) -> Outcome:
    """Stop the rotation at every *stride*-th step in every way, *most* times in all; *kinds* names some kinds of key file."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as place:
        points = _Points(Path(place), seed)
        for name, deploy in KINDS.items():
            if kinds and name not in kinds:
                continue
            steps = points.count(deploy)
            outcome.figures[name] = len(steps)
            chosen = [(at, fault) for at in range(0, len(steps), stride) for fault in Fault]
            for at, fault in chosen[: max(0, most - outcome.amount)]:
                outcome.amount += 1
                wrong = points.stop_at(deploy, at, fault)
                outcome.anomalies += [f"{name}, {steps[at]}: {fault.value}: {words}" for words in wrong]
    outcome.words = f"{outcome.amount} points, {len(outcome.figures)} kinds of key file"
    return outcome


@dataclass
class Deployment:
    """A store whose master key is given in one way: the settings before, during and after a rotation."""

    before: Config
    rotating: Config
    after: Config
    can_rotate: bool = True
    promote: Callable[[], object] = lambda: None
    """What an administrator does after a rotation to make the new key the current one."""


Deploy = Callable[[Path], AbstractContextManager[Deployment]]


def _of_its_own(config: Config, *, can_rotate: bool = True) -> Deployment:
    return Deployment(config, config, config, can_rotate)


@contextmanager
def _plain_file(place: Path) -> Iterator[Deployment]:
    yield _of_its_own(Config(data_dir=place / "data"))


@contextmanager
def _link(place: Path) -> Iterator[Deployment]:
    path, real = place / "data" / "master.key", place / "elsewhere" / "key"
    real.parent.mkdir()
    path.rename(real)
    path.symlink_to(real)
    yield _of_its_own(Config(data_dir=place / "data"))


@contextmanager
def _mounted_file(place: Path) -> Iterator[Deployment]:
    path = place / "data" / "master.key"
    shutil.copy(path, place / "secret")
    with mounted(place / "secret", path):
        yield _of_its_own(Config(data_dir=place / "data"), can_rotate=False)


@contextmanager
def _read_only_directory(place: Path) -> Iterator[Deployment]:
    with _read_only_keys(place) as keys:
        config = Config(data_dir=place / "data", master_key_file=keys / "current")
        yield _of_its_own(config, can_rotate=False)


@contextmanager
def _environment(place: Path) -> Iterator[Deployment]:
    path = place / "data" / "master.key"
    before = Config(data_dir=place / "data", master_key=_key_in(path))
    path.unlink()
    yield Deployment(before, replace(before, new_master_key=NEW), replace(before, master_key=NEW))


@contextmanager
def _credential(place: Path) -> Iterator[Deployment]:
    with _read_only_keys(place) as keys:
        before = Config(data_dir=place / "data", master_key_file=keys / "current")
        during = replace(before, new_master_key_file=keys / "next")
        yield Deployment(before, during, replace(before, master_key_file=keys / "next"))


@contextmanager
def _mounted_file_with_a_new_one(place: Path) -> Iterator[Deployment]:
    path, new = place / "data" / "master.key", place / "new key"
    shutil.copy(path, place / "secret")
    _write_key(new)
    with mounted(place / "secret", path):
        before = Config(data_dir=place / "data")
        during = replace(before, new_master_key_file=new)
        yield Deployment(before, during, before, promote=lambda: shutil.copy(new, place / "secret"))


@contextmanager
def _read_only_keys(place: Path) -> Iterator[Path]:
    """Take the key out of the data directory, and give it and a new one in a directory that cannot be written to."""
    source, target = place / "keys", place / "read-only"
    source.mkdir()
    target.mkdir()
    (place / "data" / "master.key").rename(source / "current")
    _write_key(source / "next")
    for path in source.iterdir():
        path.chmod(0o400)
    with mounted(source, target, read_only=True):
        yield target


def _write_key(path: Path) -> None:
    path.touch(0o600)
    path.write_bytes(base64.b64encode(NEW) + b"\n")


def _key_in(path: Path) -> bytes:
    return base64.b64decode(path.read_text().split()[0])


KINDS: dict[str, Deploy] = {
    "a plain file": _plain_file,
    "a symbolic link": _link,
    "the environment": _environment,
}
if can_mount():
    KINDS |= {
        "a mounted file": _mounted_file,
        "a read-only directory": _read_only_directory,
        "a mounted file, the new key beside it": _mounted_file_with_a_new_one,
        "a credential of systemd": _credential,
    }


class _Points:
    def __init__(self, place: Path, seed: str | None) -> None:
        self._template, self._work, self._seed = place / "template", place / "work", seed
        with closing(quiet_store(self._template)) as store:
            self._saved = [store.save(labelled(label)).id for label in LABELS]

    def count(self, deploy: Deploy) -> list[str]:
        """Return the steps of a rotation that nobody stops."""
        with self._fresh(deploy) as deployed, seeded(self._seed), Steps(self._work) as steps:
            with closing(quiet_store(deployed.rotating.data_dir, **_settings(deployed.rotating))) as store:
                _rotate(store, steps)
            return steps.names

    def stop_at(self, deploy: Deploy, at: int, fault: Fault) -> list[str]:
        """Stop a rotation there, and the next one somewhere; let a third one end. Return what was wrong after each."""
        chance = random.Random(f"{at} {fault}")
        with self._fresh(deploy) as deployed:
            old = self._opened_by(deployed.before)
            wrong = self._stopped(deployed, at, fault)
            if not wrong:
                wrong = self._stopped(deployed, chance.randrange(at + 1), chance.choice(list(Fault)))
            if not wrong:
                wrong = self._done(deployed, old)
        return wrong

    def _stopped(self, deployed: Deployment, at: int, fault: Fault) -> list[str]:
        """Stop one rotation; return what the keys that are there then do not open."""
        child = os.fork()
        if child == 0:
            with seeded(self._seed):
                _be_stopped(deployed.rotating, self._work, at, fault)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status not in (DONE, REFUSED, INTERRUPTED, KILLED):
            return [f"exit status {status}"]
        return self._unopened(deployed.rotating)

    def _done(self, deployed: Deployment, old: bytes) -> list[str]:
        """Rotate without a fault; return what is not as it should be in the end."""
        try:
            with closing(quiet_store(deployed.rotating.data_dir, **_settings(deployed.rotating))) as store:
                rotation.rotate_master(store)
        except StorageError as error:
            refusal = [] if "nothing was changed" in str(error) else [f"refused with {error}"]
            return [*refusal, *self._unopened(deployed.before)] if not deployed.can_rotate else [str(error)]
        if not deployed.can_rotate:
            return ["a key was rotated that cannot be"]
        deployed.promote()
        wrong = [f"after the rotation {words}" for words in self._unopened(deployed.after)]
        by_old = replace(deployed.after, master_key=old, master_key_file=None)
        return wrong if self._unopened(by_old) else [*wrong, "the old key still opens the store"]

    def _unopened(self, config: Config) -> list[str]:
        """Return what *config* does not open."""
        try:
            with closing(quiet_store(config.data_dir, now=later, **_settings(config))) as store:
                shown = [shown_label(store, image_id) for image_id in self._saved]
        except PixstoreError as error:
            return [f"the store does not open: {error}"]
        return [] if shown == list(LABELS) else [f"images are {shown}"]

    def _opened_by(self, config: Config) -> bytes:
        """Return the master key that *config* gives."""
        path = config.master_key_file or config.data_dir / "master.key"
        return config.master_key or _key_in(path)

    @contextmanager
    def _fresh(self, deploy: Deploy) -> Iterator[Deployment]:
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir()
        shutil.copytree(self._template, self._work / "data")
        with deploy(self._work) as deployed:
            yield deployed


def _settings(config: Config) -> dict[str, object]:
    names = ("master_key", "master_key_file", "new_master_key", "new_master_key_file")
    return {name: getattr(config, name) for name in names}


def _be_stopped(config: Config, root: Path, at: int, fault: Fault) -> None:
    """Be a process that rotates the master key and is stopped at one step; tell by the exit status how it went."""
    status = UNTYPED
    try:
        error = errno.ENOSPC if at % 2 else errno.EROFS
        with Steps(root, at=at, fault=fault, error=error) as steps:
            _rotate(quiet_store(config.data_dir, **_settings(config)), steps)
        status = DONE
    except PixstoreError:
        status = REFUSED
    except Interrupted:
        status = INTERRUPTED
    finally:
        os._exit(status)


def _rotate(store: ImageStore, steps: Steps) -> None:
    with steps.counted():
        try:
            rotation.rotate_master(store)
        except StorageError as error:
            if "nothing was changed" not in str(error):
                raise


if __name__ == "__main__":
    main(run)
