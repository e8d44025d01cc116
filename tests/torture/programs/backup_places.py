"""
`backup` into the directories of the store itself: however they are spelled, linked to, or mounted, it is refused.

Each try takes one layout of a store, one of its directories and one way to it. The way may lead through a backup that is there
already: its blobs, or part of them, are then those of the store. Afterwards every file of the store must be what it was.

    python -m tests.torture.programs.backup_places '{"tries": 200}'
"""

import hashlib
import itertools
import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

from pixstore.errors import PixstoreError
from pixstore.ids import new_blob_id
from pixstore.maintenance.backup import backup
from pixstore.maintenance.backup_files import BackupRefused
from pixstore.store import ImageStore
from pixstore.store_keyring import copy_name
from tests.labelled import labelled
from tests.mounts import can_mount, mounted
from tests.torture.tools.outcomes import Outcome, main
from tests.torture.tools.seeded_faults import seeded
from tests.torture.tools.stores import quiet_store

DATABASES = ("data/pixstore.sqlite", "rows/pixstore.sqlite", "rows/store.sqlite", "rows/pixstore-main.sqlite")
PARTS = ("blobs", "blobs/objects", "blobs/keyring")
"""Of a backup, which may be those of the store."""


def run(tries: int = 200, seed: str | None = None) -> Outcome:
    """Back up into directories of the store itself, in so many ways."""
    outcome = Outcome(tries)
    kinds: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as place, seeded(seed):
        layouts = list(itertools.product(("data/blobs", "images"), DATABASES))
        for number in range(tries):
            chance = random.Random(number)
            trial = _Trial(Path(place).resolve(), chance, *layouts[number % len(layouts)])
            what, wrong = trial.run()
            kinds[what.partition(":")[0]] += 1
            outcome.anomalies += [f"{what}: {words}" for words in wrong]
    outcome.words = f"{tries} tries"
    outcome.figures = dict(kinds)
    return outcome


class _Trial:
    def __init__(self, place: Path, chance: random.Random, images: str, database: str) -> None:
        self._place, self._chance = place, chance
        shutil.rmtree(place / "now", ignore_errors=True)
        self._now, self._live = place / "now", place / "now" / "live"
        self._live.mkdir(parents=True)
        self._images, self._database = self._live / images, self._live / database
        self._database.parent.mkdir(exist_ok=True)
        settings: dict[str, Any] = {"image_root_dir": self._images, "database_path": self._database}
        self._store = quiet_store(self._live / "data", **settings)

    def run(self) -> tuple[str, list[str]]:
        """Back up into one directory in one way; return what it was, and what is wrong then."""
        _fill(self._store)
        what, way = self._any_way()
        with way as directory:
            before = _digests(self._live, self._database)
            with closing(self._store) as store:  # before anything is unmounted: SQLite keeps files open
                try:
                    backup(store, directory)
                    wrong = ["it was not refused"]
                except BackupRefused:
                    wrong = []
                except PixstoreError as error:
                    wrong = [f"refused with {error}"]
            after = _digests(self._live, self._database)
        gone = [path for path, digest in before.items() if after.get(path) != digest]
        return what, wrong + [f"{path} is gone or altered" for path in gone]

    def _any_way(self) -> tuple[str, AbstractContextManager[Path]]:
        directory = self._chance.choice(self._directories())
        ways: dict[str, Callable[[Path], AbstractContextManager[Path]]] = {
            "spelled": self._spelled,
            "linked": self._linked,
            "a part of a backup, linked": self._linked_part,
        }
        if can_mount():
            ways |= {"mounted": self._mounted, "a part of a backup, mounted": self._mounted_part}
        name = self._chance.choice(list(ways))
        return f"{name}: {directory.relative_to(self._live)}", ways[name](directory)

    def _directories(self) -> list[Path]:
        """Return the directories of the store: those that settings name, and those within."""
        return [self._live / "data", self._database.parent, self._images, self._images / "objects"]

    # --- ways

    @contextmanager
    def _spelled(self, directory: Path) -> Iterator[Path]:
        """Yield one of the many names of *directory*."""
        shard = next((self._images / "objects").iterdir())
        if directory == self._images:
            directory = self._chance.choice((directory, directory / "new" / "one", shard))
        here = Path.cwd()
        os.chdir(self._now)
        try:
            yield Path(self._respelled(directory))
        finally:
            os.chdir(here)

    def _respelled(self, directory: Path) -> str:
        relative = os.path.relpath(directory, self._now)
        return self._chance.choice(
            (
                os.fspath(directory),
                f"{directory}//",
                relative,
                f"./{relative}/.",
                f"live/../{relative}",
                f"{self._live}/data/../..//{relative}",
            )
        )

    @contextmanager
    def _linked(self, directory: Path) -> Iterator[Path]:
        """Yield a link to *directory*, to another link to it, or a path through a link to the directory above it."""
        link, second, above = (self._now / name for name in ("link", "second", "above"))
        link.symlink_to(directory)
        second.symlink_to("link")
        above.symlink_to(directory.parent)
        yield self._chance.choice((link, second, above / directory.name))

    @contextmanager
    def _mounted(self, directory: Path) -> Iterator[Path]:
        target = self._now / "mounted"
        target.mkdir()
        is_above = self._chance.random() < 0.3
        with mounted(directory.parent if is_above else directory, target):
            yield target / directory.name if is_above else target

    @contextmanager
    def _linked_part(self, _directory: Path) -> Iterator[Path]:
        copy, part, source = self._backup_without_a_part()
        part.rmdir()
        part.symlink_to(source)
        yield copy

    @contextmanager
    def _mounted_part(self, _directory: Path) -> Iterator[Path]:
        copy, part, source = self._backup_without_a_part()
        with mounted(source, part):
            yield copy

    def _backup_without_a_part(self) -> tuple[Path, Path, Path]:
        """Return a backup, an empty directory in it, and what of the store is to be seen there."""
        copy, part = self._now / "copy", self._chance.choice(PARTS)
        backup(self._store, copy)
        shutil.rmtree(copy / part)
        (copy / part).mkdir()
        return copy, copy / part, self._images / Path(part).relative_to("blobs")


def _fill(store: ImageStore) -> None:
    """Save images, and leave what a backup has no use for: a blob of an upload under way, another copy of the keyring."""
    for number in range(3):
        store.save(labelled(f"{number}"))
    store.parts.blobs.put(new_blob_id(), [b"an upload under way"])
    keyring = store.parts.keyring.latest().with_new_store_key(now=0)
    document = keyring.to_json(store.parts.keyring._master_key)
    store.parts.blobs.put_copy(copy_name(keyring.generation, document), document)


def _digests(directory: Path, database: Path) -> dict[str, str]:
    """Return what the files in *directory* hold. Of the *database*, which changes by itself, only that it is there."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {
        os.fspath(path.relative_to(directory)): ""
        if path == database
        else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if not path.name.endswith(("-wal", "-shm", ".lock"))
    }


if __name__ == "__main__":
    main(run)
