"""`backup`: copy a store while it is in use. The other half: test_restore.py."""

import shutil
import stat
from contextlib import ExitStack, closing
from dataclasses import replace
from types import SimpleNamespace
from unittest import mock

import pytest

from pixstore.maintenance import backup as module
from pixstore.maintenance.backup import _held, backup
from pixstore.maintenance.backup_files import BackupRefused, open_sqlite
from pixstore.maintenance.restore import restore
from pixstore.reaper import HOLD_LENGTH
from pixstore.store import ImageStore
from tests import stored
from tests.eventually import eventually
from tests.gallery_client import GalleryClient
from tests.gallery_fixtures import command_line
from tests.images import jpeg, png
from tests.labelled import labelled
from tests.mounts import can_mount, mounted


def test_backup_and_restore(run, anna, add_pictures, gallery, config, tmp_path, reopened):
    """A backup that was taken twice makes an empty store the same gallery again, and does not hold the master key."""
    add_pictures("anna", 1)
    assert run("backup", str(tmp_path / "copy")).stdout == "2 images in the backup, 2 copied now\n"
    (picture,) = add_pictures("anna", 1)
    again = run("backup", str(tmp_path / "copy"))
    assert again.stdout == "4 images in the backup, 2 copied now\n"
    assert "master key" in again.stderr
    assert not list((tmp_path / "copy").glob("master*"))

    other = replace(config, data_dir=tmp_path / "other")
    other.data_dir.mkdir()
    shutil.copy(config.data_dir / "master.key", other.data_dir)
    result = command_line(reopened(other))("restore", str(tmp_path / "copy"))

    assert (result.exit_code, result.stdout) == (0, "4 images restored and opened, 0 findings\n")
    app = reopened(other)
    assert app.extensions["pixstore"].load(picture.original_id) == gallery.store.load(picture.original_id)
    assert "picture 0" in GalleryClient(app).logs_in("anna").get("/").text


def test_logins_stay_behind(run, anna, gallery, tmp_path):
    """Neither logins nor invitations are in a backup: whoever has it cannot go on with one of them."""
    assert gallery.models.setup_link.select().count() == 1
    gallery.models.login_attempt.create(subject="anna", at=1)
    run("backup", str(tmp_path / "copy"))

    (snapshot,) = (tmp_path / "copy").glob("pixstore-*.sqlite")
    with closing(open_sqlite(snapshot, "mode=ro")) as connection:
        for table in ("gallery_login_session", "gallery_login_attempt", "gallery_setup_link"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    assert anna.get("/").status_code == 200


def test_a_backup_is_private(store, tmp_path):
    """Nobody but the owner can read the files of a backup."""
    store.save(png())

    backup(store, tmp_path / "copy")

    files = [path for path in (tmp_path / "copy").rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_a_missing_blob_is_named(store, tmp_path):
    """A backup of a store that lacks a blob holds the others, and says which one is missing."""
    lost, kept = store.save(png()).id, store.save(png()).id
    missing, there = (stored.blob_file(store, image_id) for image_id in (lost, kept))
    missing.unlink()

    report = backup(store, tmp_path / "copy")

    assert report == (2, 1, [missing.name])
    assert (tmp_path / "copy" / "blobs" / there.relative_to(store.config.blobs_path)).exists()


def test_an_incomplete_backup_takes_the_place_of_none(store, elsewhere, tmp_path):
    """If the store has lost an image, the earlier backup into the same directory stays what a restore takes."""
    kept = store.save(png()).id
    backup(store, tmp_path / "copy")
    store.update(kept, png(seed=1))
    lost = store.save(jpeg()).id
    stored.blob_file(store, lost).unlink()

    assert len(backup(store, tmp_path / "copy").missing) == 1
    assert len(backup(store, tmp_path / "copy").missing) == 1

    assert restore(elsewhere, tmp_path / "copy").is_clean
    with closing(ImageStore.open(elsewhere)) as restored:
        assert restored.load(kept) == png()
        assert not restored.exists(lost)


def test_an_image_that_the_store_has_lost_stays_in_the_backup(store, elsewhere, tmp_path):
    """What the earlier backup has of an image that is still wanted, the next one has as well."""
    lost = store.save(png()).id
    backup(store, tmp_path / "copy")
    stored.blob_file(store, lost).unlink()

    assert backup(store, tmp_path / "copy") == (1, 0, [])

    assert restore(elsewhere, tmp_path / "copy").is_clean
    with closing(ImageStore.open(elsewhere)) as restored:
        assert restored.load(lost) == png()


def test_an_incomplete_backup_can_be_restored_by_name(store, elsewhere, tmp_path):
    """Where there is nothing better, what could be copied comes back, and what is missing is named."""
    lost, kept = store.save(png()).id, store.save(jpeg()).id
    stored.blob_file(store, lost).unlink()
    backup(store, tmp_path / "copy")

    with pytest.raises(BackupRefused, match="--incomplete"):
        restore(elsewhere, tmp_path / "copy")
    report = restore(elsewhere, tmp_path / "copy", incomplete=True)

    assert [finding.image_id for finding in report.findings] == [lost]
    with closing(ImageStore.open(elsewhere)) as restored:
        assert restored.load(kept) == jpeg()


def test_a_later_backup_forgets_what_was_deleted(store, tmp_path):
    """What was deleted since the backup before is not in the next one into the same directory."""
    gone = store.save(png()).id
    store.save(png())
    backup(store, tmp_path / "copy")
    file = tmp_path / "copy" / "blobs" / stored.blob_file(store, gone).relative_to(store.config.blobs_path)
    assert file.exists()
    store.delete(gone)

    assert backup(store, tmp_path / "copy") == (1, 0, [])
    assert not file.exists()
    assert len(list((tmp_path / "copy").glob("pixstore-*.sqlite"))) == 1


def test_a_backup_that_was_cut_off_leaves_the_earlier_one_whole(store, elsewhere, tmp_path):
    """Until a backup is finished, the one before in the same directory is what a restore finds."""
    before = store.save(png()).id
    backup(store, tmp_path / "copy")
    store.update(before, jpeg())
    after = store.save(png(seed=1)).id

    def interrupt(_done, _total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backup(store, tmp_path / "copy", progress=interrupt)

    assert restore(elsewhere, tmp_path / "copy").is_clean
    with closing(ImageStore.open(elsewhere)) as restored:
        assert restored.load(before) == png()
        assert not restored.exists(after)


# --- while others work: blobs that a backup needs stay


def _replace_all(store):
    """Replace every image, and remove what can be removed."""
    with store.connected():
        image_ids = [row.id for row in store.parts.models.image.select()]
    for image_id in image_ids:
        store.update(image_id, labelled("new"))
    store.parts.reaper.drain()


def _once(work):
    """Return a progress that does *work* the first time it is told anything."""
    left = [work]
    return lambda _done, _total: left and left.pop()()


def test_a_backup_that_begins_during_removal_keeps_its_blobs(store, other_process):
    """If a backup begins while the reaper removes replaced images, the blobs that the backup needs stay."""
    image_id = store.save(labelled("old")).id
    blobs = {blob.blob_id for blob in store.parts.blobs.blobs()}
    usual, begun = store.database.execute_sql, []

    with ExitStack() as held:

        def execute(sql, *rest):
            result = usual(sql, *rest)
            if not begun:
                begun.append(sql)
                held.enter_context(_held(other_process.parts))
                other_process.update(image_id, labelled("new"))
            return result

        with mock.patch.object(store.database, "execute_sql", execute):
            store.parts.reaper.reap()

        assert blobs <= {blob.blob_id for blob in store.parts.blobs.blobs()}


def test_two_backups_at_once_hold_their_own(store, other_process, tmp_path, elsewhere):
    """A backup that ends lets go of nothing that another one still needs."""
    kept = [store.save(png(seed=seed)).id for seed in range(3)]

    def another_begins_and_ends():
        backup(other_process, tmp_path / "second")
        _replace_all(other_process)

    report = backup(store, tmp_path / "first", progress=_once(another_begins_and_ends))

    assert report == (3, 3, [])
    assert restore(elsewhere, tmp_path / "first").is_clean
    with closing(ImageStore.open(elsewhere)) as restored:
        assert [restored.load(image_id) for image_id in kept] == [png(seed=seed) for seed in range(3)]


def test_a_hold_lasts_as_long_as_the_backup(store, other_process, now, tmp_path, monkeypatch):
    """A backup that copies for hours, with no progress at all, renews its hold by the clock."""
    monkeypatch.setattr(module, "HEARTBEAT", 0.01)
    for seed in range(3):
        store.save(png(seed=seed))

    def hold():
        with store.connected():
            return store.parts.models.hold.get().until

    def hours_pass():
        for _ in range(20):
            now.forward(HOLD_LENGTH - 1)
            eventually(lambda: hold() == now() + HOLD_LENGTH)
        _replace_all(other_process)

    assert backup(store, tmp_path / "copy", progress=_once(hours_pass)) == (3, 3, [])
    with store.connected():
        assert store.parts.models.hold.select().count() == 0


def test_a_hold_that_was_lost_makes_another_snapshot(store, other_process, tmp_path, elsewhere):
    """A backup whose process slept too long finds its blobs gone, begins again, and is whole."""
    kept = [store.save(png(seed=seed)).id for seed in range(3)]

    def sleep_too_long():
        with other_process.connected():
            other_process.parts.models.hold.delete().execute()
        _replace_all(other_process)

    assert backup(store, tmp_path / "copy", progress=_once(sleep_too_long)).missing == []

    assert restore(elsewhere, tmp_path / "copy").is_clean
    with closing(ImageStore.open(elsewhere)) as restored:
        assert {restored.load(image_id) for image_id in kept} == {labelled("new")}


def test_a_second_backup_into_the_same_directory_is_refused(store, other_process, tmp_path):
    """Two that write to one directory would remove each other's files."""
    store.save(png())
    refused = []

    def begin_another():
        with pytest.raises(BackupRefused, match="another backup is being written"):
            backup(other_process, tmp_path / "copy")
        refused.append(True)

    assert backup(store, tmp_path / "copy", progress=_once(begin_another)).missing == []
    assert refused


# --- places where it would destroy something


def _refused(store, directory, words):
    """Check that the backup is refused, and that every image is there afterwards."""
    before = {path for path in store.config.data_dir.rglob("*") if path.is_file()}
    with pytest.raises(BackupRefused, match=words):
        backup(store, directory)
    assert before <= set(store.config.data_dir.rglob("*"))


@pytest.mark.parametrize("place", [".", "blobs", "blobs/objects", "blobs/deep/er"])
def test_a_backup_into_the_store_itself_is_refused(store, place):
    """Neither the data directory nor the one of the images is a place for their backup."""
    store.save(png())

    _refused(store, store.config.data_dir / place, "where the store itself lies")


@pytest.mark.parametrize("name", ["store.sqlite", "pixstore-main.sqlite"])
def test_a_backup_beside_the_database_is_refused(config, tmp_path, name):
    """A database that lies outside of the data directory is not taken for an earlier snapshot, whatever it is called."""
    database = tmp_path / "rows" / name
    database.parent.mkdir()
    with closing(ImageStore.open(replace(config, database_path=database))) as store:
        store.save(png())

        _refused(store, database.parent, "where the store itself lies")

    assert database.exists()


def test_a_file_that_is_called_like_a_snapshot_stays(store, tmp_path):
    """What a backup removes are snapshots of its own, by the form of their names."""
    store.save(png())
    other = tmp_path / "copy" / "pixstore-old.sqlite"
    other.parent.mkdir()
    other.write_bytes(b"of somebody else")

    backup(store, tmp_path / "copy")

    assert other.read_bytes() == b"of somebody else"


@pytest.mark.parametrize("part", ["objects", "keyring"])
def test_a_link_to_a_part_of_the_images_is_refused(store, tmp_path, part):
    """A backup whose blobs, or copies of the keyring, are those of the store would remove what it does not need."""
    store.save(png())
    backup(store, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "blobs" / part)
    (tmp_path / "copy" / "blobs" / part).symlink_to(store.config.blobs_path / part)

    _refused(store, tmp_path / "copy", "where the store itself lies")


@pytest.mark.skipif(not can_mount(), reason="mounts a directory, which only root may")
def test_images_that_are_mounted_elsewhere_are_refused(store, tmp_path):
    """The image directory is known again at another place, too."""
    store.save(png())
    (tmp_path / "copy").mkdir()

    with mounted(store.config.blobs_path, tmp_path / "copy"):
        _refused(store, tmp_path / "copy", "where the store itself lies")


def test_a_link_to_the_images_is_refused(store, tmp_path):
    """A backup directory whose blobs are a link to those of the store would lose them all."""
    store.save(png())
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "blobs").symlink_to(store.config.blobs_path)

    _refused(store, tmp_path / "copy", "where the store itself lies|something else than a backup")


@pytest.mark.skipif(not can_mount(), reason="mounts a directory, which only root may")
def test_images_that_are_mounted_in_the_backup_directory_are_refused(store, tmp_path):
    """However the images come to lie in the backup directory, and whatever lies beside them, they are known again."""
    store.save(png())
    backup(store, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "blobs")
    (tmp_path / "copy" / "blobs").mkdir()

    with mounted(store.config.blobs_path, tmp_path / "copy" / "blobs"):
        _refused(store, tmp_path / "copy", "where the store itself lies")


@pytest.mark.skipif(not can_mount(), reason="mounts a directory, which only root may")
def test_images_that_look_like_others_are_refused(store, tmp_path, monkeypatch):
    """Where a mount hides what a directory is, a blob that is put into it tells."""
    monkeypatch.setattr(module, "_refuse_own_directories", lambda *_: None)
    store.save(png())
    backup(store, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "blobs")
    (tmp_path / "copy" / "blobs").mkdir()

    with mounted(store.config.blobs_path, tmp_path / "copy" / "blobs"):
        _refused(store, tmp_path / "copy", "holds the images of the store itself")


def test_the_images_of_another_store_are_no_backup(store, config, tmp_path, now):
    """The data directory of another store is not taken for a backup directory, whose old blobs may go."""
    other = replace(config, data_dir=tmp_path / "other")
    with closing(ImageStore.open(other, now=now)) as another:
        kept = another.save(png()).id
    store.save(png())

    with pytest.raises(BackupRefused, match="something else than a backup"):
        backup(store, other.data_dir)

    with closing(ImageStore.open(other, now=now)) as another:
        assert another.load(kept) == png()


def test_the_backup_of_another_store_stays(store, config, tmp_path, now, elsewhere):
    """Two stores that are given the same backup directory do not remove each other's backups."""
    kept = store.save(png()).id
    backup(store, tmp_path / "copy")
    with (
        closing(ImageStore.open(replace(config, data_dir=tmp_path / "other"), now=now)) as another,
        pytest.raises(BackupRefused, match="a backup of another store"),
    ):
        backup(another, tmp_path / "copy")

    assert restore(elsewhere, tmp_path / "copy").is_clean
    with closing(ImageStore.open(elsewhere)) as restored:
        assert restored.load(kept) == png()


def test_a_full_disk_leaves_the_earlier_backup(store, tmp_path, elsewhere):
    """If there is no room for the new one, the backup says so, and the earlier one can be restored."""
    kept = store.save(png()).id
    backup(store, tmp_path / "copy")
    store.save(jpeg())

    with (
        mock.patch("pixstore.files.os.fsync", side_effect=OSError(28, "No space left on device")),
        pytest.raises(Exception, match="No space left"),
    ):
        backup(store, tmp_path / "copy")

    assert restore(elsewhere, tmp_path / "copy").is_clean
    with closing(ImageStore.open(elsewhere)) as restored:
        assert restored.load(kept) == png()


def test_a_directory_with_an_odd_name(store, tmp_path, elsewhere):
    """Characters that mean something in the address of a database mean nothing in the name of a directory."""
    store.save(png())
    directory = tmp_path / "50% of #1? ü"

    assert backup(store, directory).missing == []
    assert restore(elsewhere, directory).is_clean


def test_the_database_that_is_dumped_elsewhere(store, tmp_path):
    """What cannot be backed up by this command is said with what can be done instead."""
    with (
        mock.patch.object(store, "parts", replace(store.parts, models=SimpleNamespace(database=object()))),
        pytest.raises(BackupRefused, match="pg_dump"),
    ):
        backup(store, tmp_path / "copy")
