"""
The operations of a store that are stopped at each of their steps, and what may be there afterwards.

Each works on a copy of one small store: images ``kept`` that nobody touches, one to update, one to delete, a few under
an old store key, an orphaned blob.
"""

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pixstore.config import Config
from pixstore.ids import new_blob_id
from pixstore.maintenance import rotation
from pixstore.maintenance.backup import backup
from pixstore.maintenance.backup_files import BackupRefused
from pixstore.maintenance.check import check
from pixstore.maintenance.rebuild import rebuild
from pixstore.maintenance.restore import restore
from pixstore.maintenance.sweep import sweep
from pixstore.store import ImageStore
from tests.labelled import labelled
from tests.torture.tools.stores import Expected, later, quiet_store, settings_of, wrong_images


@dataclass
class Template:
    """The small store before anything happened, and the ids of its images."""

    directory: Path
    kept: list[str] = field(default_factory=list)
    updated: str = ""
    deleted: str = ""

    def copy_to(self, directory: Path) -> None:
        """Make *directory* a copy of the store."""
        shutil.copytree(self.directory, directory)

    def labels(self) -> dict[str, list[str | None]]:
        """Return what the store holds."""
        images: dict[str, list[str | None]] = {
            image_id: [f"kept {n}"] for n, image_id in enumerate(self.kept)
        }
        return {**images, self.updated: ["old"], self.deleted: ["doomed"]}


def make_template(directory: Path) -> Template:
    """Make the small store in *directory*."""
    template = Template(directory)
    store = quiet_store(directory)
    template.kept = [store.save(labelled(f"kept {n}"), directory="kept").id for n in range(2)]
    template.updated = store.save(labelled("old"), details={"title": "a title"}).id
    template.deleted = store.save(labelled("doomed")).id
    rotation.rotate_store_key(store)
    template.kept.append(store.save(labelled("kept 2")).id)
    store.parts.blobs.put(new_blob_id(), [b"an orphan"])
    store.close()
    return template


@dataclass(frozen=True)
class Scenario:
    """
    An operation. *before* makes ready for it; *recover* is what an administrator does after it was stopped, and returns
    what is wrong then; *expected* tells what may be there in the end, by whether the operation was acknowledged.
    """

    name: str
    run: Callable[[ImageStore, Template], object]
    expected: Callable[[Template, bool], Expected]
    before: Callable[[Path], object] = lambda _directory: None
    recover: Callable[[Path, Template], list[str]] = lambda _directory, _template: []


def _unchanged(template: Template, acknowledged: bool) -> Expected:
    return Expected(template.labels())


def _save(store: ImageStore, template: Template) -> None:
    store.save(labelled("new"), details={"title": "a title"})


def _saved(template: Template, acknowledged: bool) -> Expected:
    return Expected(template.labels(), new=["new"], at_most=1)


def _update(store: ImageStore, template: Template) -> None:
    store.update(template.updated, labelled("new"))
    store.parts.reaper.reap()


def _updated(template: Template, acknowledged: bool) -> Expected:
    return Expected({**template.labels(), template.updated: ["new"] if acknowledged else ["old", "new"]})


def _delete(store: ImageStore, template: Template) -> None:
    store.delete(template.deleted)
    store.parts.reaper.reap()


def _deleted(template: Template, acknowledged: bool) -> Expected:
    return Expected({**template.labels(), template.deleted: [None] if acknowledged else ["doomed", None]})


NOTES = "CREATE TABLE IF NOT EXISTS note (words TEXT)"


def _unit(store: ImageStore, template: Template) -> None:
    """Save an image with its thumbnail, update one, delete one, and write a row of the caller's: all or nothing."""
    with store.unit_of_work() as work:
        work.save(labelled("new"))
        work.save(labelled("thumbnail"))
        work.update(template.updated, labelled("new"))
        work.delete(template.deleted)
        work.also(lambda: store.database.execute_sql("INSERT INTO note VALUES ('new')"))
    store.parts.reaper.reap()


def _unit_done(template: Template, acknowledged: bool) -> Expected:
    images = {**template.labels(), template.updated: ["old", "new"], template.deleted: ["doomed", None]}
    return Expected(images, new=["new", "thumbnail"], at_most=2)


def _whole_unit(directory: Path, template: Template) -> list[str]:
    store = quiet_store(directory)
    with store.connected():
        has_note = bool(store.database.execute_sql("SELECT count(*) FROM note").fetchone()[0])
        images = store.parts.models.image.select().count()
    done = [
        store.load(template.updated) == labelled("new"),
        not store.exists(template.deleted),
        images == len(template.kept) + 3,
        has_note,
    ]
    store.close()
    return [] if len(set(done)) == 1 else [f"a unit of work was committed in part: {done}"]


def _make_notes(directory: Path) -> None:
    store = quiet_store(directory)
    with store.connected():
        store.database.execute_sql(NOTES)
    store.close()


def _lose_database(directory: Path) -> None:
    for path in directory.glob("pixstore.sqlite*"):
        path.unlink()


def _rebuild(store: ImageStore, template: Template) -> None:
    rebuild(store)


def _go_on_with_rebuild(directory: Path, template: Template) -> list[str]:
    store = quiet_store(directory, now=later)
    rebuild(store, merge=True)
    store.close()
    return []


def _back_up_then_change(directory: Path) -> None:
    """Leave a backup behind that is as old as can be: an image is another, and the key of others has been dropped since."""
    store = quiet_store(directory, now=lambda: later() + rotation.RETIREMENT)
    backup(store, _backup_of(directory))
    assert rotation.re_encrypt(store, reseal_texts=lambda _store: 0).dropped_keys
    with store.connected():
        updated = next(
            row.id for row in store.parts.models.image.select() if store.load(row.id) == labelled("old")
        )
    store.update(updated, labelled("new"))
    store.save(labelled("another"))
    store.parts.reaper.reap()
    store.close()


def _backup_again(store: ImageStore, template: Template) -> None:
    backup(store, _backup_of(store.config.data_dir))


def _restore(directory: Path, template: Template) -> list[str]:
    """Restore the backup as an interrupted one left it: it must hold the earlier state or the later one."""
    restore(_restored(directory), _backup_of(directory))
    labels = {
        i: [*allowed, "new"] if i == template.updated else allowed for i, allowed in template.labels().items()
    }
    return _wrong_in_restored(directory, Expected(labels, new=["another"], at_most=1))


def _back_up(directory: Path) -> None:
    store = quiet_store(directory)
    backup(store, _backup_of(directory))
    store.close()


def _restore_here(store: ImageStore, template: Template) -> None:
    directory = store.config.data_dir
    restore(_restored(directory), _backup_of(directory))


def _go_on_with_restore(directory: Path, template: Template) -> list[str]:
    """Run the interrupted restore again. If it was complete, the second run is refused."""
    with suppress(BackupRefused):
        restore(_restored(directory), _backup_of(directory))
    return _wrong_in_restored(directory, Expected(template.labels()))


def _wrong_in_restored(directory: Path, expected: Expected) -> list[str]:
    settings = _restored(directory)
    store = quiet_store(settings.data_dir, master_key_file=settings.master_key_file)
    findings = check(store, deep=True).findings
    found = [f"restored: {f.kind}: {f.message}" for f in findings if f.kind != "orphan"]
    found += [f"restored: {words}" for words in wrong_images(store, expected)]
    store.close()
    return found


def _restored(directory: Path) -> Config:
    return settings_of(directory.with_name("restored"), master_key_file=directory / "master.key")


def _backed_up(template: Template, acknowledged: bool) -> Expected:
    return Expected({**template.labels(), template.updated: ["new"]}, new=["another"], at_most=1)


def _backup_of(directory: Path) -> Path:
    return directory.with_name("backup")


SCENARIOS = [
    Scenario("save", _save, _saved),
    Scenario("update", _update, _updated),
    Scenario("delete", _delete, _deleted),
    Scenario("unit of work", _unit, _unit_done, _make_notes, _whole_unit),
    Scenario("rotate the master key", lambda store, _: rotation.rotate_master(store), _unchanged),
    Scenario("rotate the store key", lambda store, _: rotation.rotate_store_key(store), _unchanged),
    Scenario(
        "re-encrypt",
        lambda store, _: rotation.re_encrypt(store, reseal_texts=lambda _store: 0),
        _unchanged,
    ),
    Scenario("sweep", lambda store, _: sweep(store, force=True), _unchanged),
    Scenario("check and repair", lambda store, _: check(store, deep=True, repair=True), _unchanged),
    Scenario("rebuild", _rebuild, _unchanged, _lose_database, _go_on_with_rebuild),
    Scenario("backup", _backup_again, _backed_up, _back_up_then_change, _restore),
    Scenario("restore", _restore_here, _unchanged, _back_up, _go_on_with_restore),
    Scenario("open", lambda store, _: quiet_store(store.config.data_dir, now=later).close(), _unchanged),
]
