"""`backup`: copy a store while it is in use. The other half: test_restore.py."""

import shutil
from contextlib import ExitStack, closing
from dataclasses import replace
from unittest import mock

import pytest

from pixstore.maintenance.backup import _held, backup
from pixstore.maintenance.backup_files import BackupRefused
from pixstore.store import ImageStore
from tests import stored
from tests.gallery_client import GalleryClient
from tests.gallery_fixtures import command_line
from tests.images import png
from tests.labelled import labelled


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


def test_a_backup_that_begins_during_removal_keeps_its_blobs(store, config):
    """If a backup begins while the reaper removes replaced images, the blobs that the backup needs stay."""
    image_id = store.save(labelled("old")).id
    blobs = {blob.blob_id for blob in store.parts.blobs.blobs()}
    usual, begun = store.database.execute_sql, []

    with closing(ImageStore.open(config)) as other, ExitStack() as held:

        def execute(sql, *rest):
            result = usual(sql, *rest)
            if not begun:
                begun.append(sql)
                held.enter_context(_held(other.parts))
                other.update(image_id, labelled("new"))
            return result

        with mock.patch.object(store.database, "execute_sql", execute):
            store.parts.reaper.reap()

        assert blobs <= {blob.blob_id for blob in store.parts.blobs.blobs()}


def test_a_missing_blob_is_named(store, tmp_path):
    """A backup of a store that lacks a blob holds the others, and says which one is missing."""
    lost, kept = store.save(png()).id, store.save(png()).id
    missing, there = (stored.blob_file(store, image_id) for image_id in (lost, kept))
    missing.unlink()

    report = backup(store, tmp_path / "copy")

    assert report == (2, 1, [missing.name])
    assert (tmp_path / "copy" / "blobs" / there.relative_to(store.config.blobs_path)).exists()


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


def test_a_backup_into_the_store_itself_is_refused(store):
    """The data directory is no place for its own backup."""
    with pytest.raises(BackupRefused):
        backup(store, store.config.data_dir)
