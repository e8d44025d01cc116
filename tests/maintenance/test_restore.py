"""`restore`: make an empty store out of a backup. That a backup restores to the same gallery: test_backup.py."""

import shutil
from contextlib import closing
from dataclasses import replace

import pytest

from pixstore.maintenance.backup import backup
from pixstore.maintenance.backup_files import BackupRefused
from pixstore.maintenance.restore import restore
from pixstore.store import ImageStore
from tests.gallery_fixtures import command_line
from tests.images import jpeg, png


def test_restore_overwrites_nothing(run, anna, add_pictures, tmp_path, reopened):
    """A restore into a store that exists is refused and changes nothing."""
    (picture,) = add_pictures("anna", 1)
    run("backup", str(tmp_path / "copy"))

    result = command_line(reopened())("restore", str(tmp_path / "copy"))

    assert result.exit_code == 1
    assert "there is a store" in result.stderr
    assert reopened().extensions["pixstore"].load(picture.original_id) == jpeg(seed=0)


def test_restore_needs_the_master_key(run, anna, add_pictures, config, tmp_path, reopened):
    """With another master key a restore is refused before anything is put in place."""
    add_pictures("anna", 1)
    run("backup", str(tmp_path / "copy"))

    result = command_line(reopened(replace(config, data_dir=tmp_path / "other")))(
        "restore", str(tmp_path / "copy")
    )

    assert result.exit_code == 1
    assert "master key" in result.stderr
    assert not list((tmp_path / "other" / "blobs").glob("objects/*/*"))


# --- a store without a gallery


@pytest.fixture
def elsewhere(store, config, tmp_path):
    """Return the settings of a store that does not exist yet, but has the same master key."""
    other = replace(config, data_dir=tmp_path / "elsewhere")
    other.data_dir.mkdir()
    shutil.copy(config.data_dir / "master.key", other.data_dir)
    return other


def test_a_backup_without_its_database_is_refused(store, elsewhere, tmp_path):
    """A directory in which no backup was finished is refused, and nothing is put in place."""
    store.save(png())
    backup(store, tmp_path / "copy")
    (tmp_path / "copy" / "pixstore.sqlite").unlink()

    with pytest.raises(BackupRefused, match=r"not a whole backup: pixstore\.sqlite is missing"):
        restore(elsewhere, tmp_path / "copy")

    assert [path.name for path in elsewhere.data_dir.iterdir()] == ["master.key"]


def test_a_keyring_file_that_is_missing_is_taken_from_the_database(store, elsewhere, tmp_path):
    """The database of a backup carries the keyring that belongs to it."""
    store.save(png())
    backup(store, tmp_path / "copy")
    (tmp_path / "copy" / "keyring.json").unlink()
    (tmp_path / "copy" / "blobs" / "keyring.json").unlink()

    assert restore(elsewhere, tmp_path / "copy").is_clean


def test_an_interrupted_restore_goes_on(store, elsewhere, tmp_path):
    """A restore that was stopped among the blobs is finished when it is run again."""
    saved = [store.save(png(seed=seed)).id for seed in range(3)]
    backup(store, tmp_path / "copy")

    def interrupt(_done, _total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore(elsewhere, tmp_path / "copy", progress=interrupt)
    report = restore(elsewhere, tmp_path / "copy")

    assert (report.images, report.findings) == (3, [])
    with closing(ImageStore.open(elsewhere)) as restored:
        assert [restored.load(image_id) for image_id in saved] == [png(seed=seed) for seed in range(3)]
