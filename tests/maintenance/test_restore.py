"""`restore`: make an empty store out of a backup. That a backup restores to the same gallery: test_backup.py."""

import json
from contextlib import closing
from dataclasses import replace

import pytest

from pixstore.config import Config
from pixstore.errors import KeyringError
from pixstore.gallery import accounts
from pixstore.maintenance import rotation
from pixstore.maintenance.backup import backup
from pixstore.maintenance.backup_files import BackupRefused, open_sqlite
from pixstore.maintenance.restore import restore
from pixstore.store import ImageStore
from tests import releases, stored
from tests.gallery_client import PASSWORD, GalleryClient
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


def test_a_backup_with_a_password_of_somebody_else_is_refused(run, anna, gallery, elsewhere, tmp_path):
    """Who can write to a backup cannot let himself in by it: a changed database is not restored."""
    accounts.create_user(gallery, "thief", PASSWORD)
    run("backup", str(tmp_path / "copy"))
    (snapshot,) = (tmp_path / "copy").glob("pixstore-*.sqlite")
    with closing(open_sqlite(snapshot, "mode=rw")) as connection, connection:
        hashes = "SELECT password_hash FROM gallery_user WHERE name = 'thief'"
        connection.execute(f"UPDATE gallery_user SET password_hash = ({hashes}) WHERE name = 'anna'")

    with pytest.raises(BackupRefused, match="was changed after it was made"):
        restore(elsewhere, tmp_path / "copy")

    assert _is_untouched(elsewhere)


# --- a store without a gallery


def _is_untouched(config):
    return [path.name for path in config.data_dir.iterdir()] == ["master.key"]


@pytest.fixture(name="copy")
def _copy(store, tmp_path):
    """Return a backup of two images."""
    for seed in range(2):
        store.save(png(seed=seed))
    backup(store, tmp_path / "copy")
    return tmp_path / "copy"


def _named(copy):
    return json.loads((copy / "backup.json").read_text())


@pytest.mark.parametrize("part", ["the database", "the keyring", "the blobs"])
def test_a_backup_that_lacks_something_is_refused(copy, elsewhere, part):
    """A directory that holds half a backup is refused, nothing is put in place, and nothing is made in the backup."""
    for path in {
        "the database": [copy / _named(copy)["database"]],
        "the keyring": [copy / "blobs" / "keyring" / _named(copy)["keyring"]],
        "the blobs": [path for path in (copy / "blobs").rglob("*") if path.is_file()],
    }[part]:
        path.unlink()
    before = sorted(copy.rglob("*"))

    with pytest.raises(BackupRefused, match=r"is not a whole backup: .* is missing"):
        restore(elsewhere, copy)

    assert _is_untouched(elsewhere)
    assert sorted(copy.rglob("*")) == before


def test_a_directory_that_is_no_backup(elsewhere, tmp_path):
    """Neither an empty directory nor one that is not there is restored, and none is made."""
    (tmp_path / "empty").mkdir()

    for name in ("empty", "none"):
        with pytest.raises(BackupRefused, match="is not a whole backup"):
            restore(elsewhere, tmp_path / name)

    assert not list((tmp_path / "empty").iterdir())
    assert not (tmp_path / "none").exists()


_CHANGES = {
    "images": {"images": 3},
    "time": {"made_at": 0},
    "another database": {"database": "../data/pixstore.sqlite"},
    "digest": {"sha256": "0" * 64},
    "no seal": {"seal": None},
    "odd seal": {"seal": "é"},
    "version": {"version": 2},
    "no keyring": {"keyring": None},
}


@pytest.mark.parametrize("change", _CHANGES.values(), ids=_CHANGES)
def test_a_changed_manifest_is_refused(copy, elsewhere, change):
    """Whatever is altered in the description of a backup is found out before anything is put in place."""
    (copy / "backup.json").write_text(json.dumps(_named(copy) | change))

    with pytest.raises(BackupRefused, match=r"was changed after it was made|is damaged"):
        restore(elsewhere, copy)

    assert _is_untouched(elsewhere)


def test_the_manifest_of_another_backup_is_refused(store, copy, elsewhere, tmp_path):
    """An old database with a new description, or the other way round, is no backup."""
    store.save(jpeg())
    backup(store, tmp_path / "newer")
    (copy / "backup.json").write_bytes((tmp_path / "newer" / "backup.json").read_bytes())
    (copy / _named(tmp_path / "newer")["database"]).write_bytes(
        next(path for path in copy.glob("pixstore-*.sqlite")).read_bytes()
    )

    with pytest.raises(BackupRefused, match="was changed after it was made"):
        restore(elsewhere, copy)


def test_a_damaged_image_is_named(store, copy, elsewhere):
    """A blob that was altered in the backup does not open, and is named; the others are there."""
    damaged = next(path for path in (copy / "blobs" / "objects").rglob("*") if path.is_file())
    stored.flip_last_bit(damaged)

    report = restore(elsewhere, copy)

    assert [finding.kind for finding in report.findings] == ["damaged"]
    assert report.images == 2


def test_a_backup_is_only_read(copy, elsewhere):
    """A backup on a medium that cannot be written to can be restored: nothing in it changes."""
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}

    assert restore(elsewhere, copy).is_clean

    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before


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


def test_a_backup_from_before_the_master_key_was_rotated(store, copy, elsewhere, config):
    """It opens with the key of its time, which has to be kept as long as the backup; the new one does not open it."""
    rotation.rotate_master(store)
    new = replace(elsewhere, master_key_file=config.data_dir / "master.key")

    with pytest.raises(KeyringError, match="master key"):
        restore(new, copy)
    assert restore(elsewhere, copy).is_clean


def test_a_restored_store_can_be_backed_up_again(copy, elsewhere, tmp_path):
    """A backup goes on where the store was restored, into the directory that it came from."""
    restore(elsewhere, copy)

    with closing(ImageStore.open(elsewhere)) as restored:
        restored.save(jpeg())
        assert backup(restored, copy) == (3, 1, [])


# --- backups of release 0.1


@pytest.fixture(name="left")
def _left(tmp_path):
    """Return what release 0.1 left, the settings of a store with its master key, and what is in its backup."""
    told = releases.unpack(releases.ARCHIVES[0], tmp_path / "left")
    config = Config(data_dir=tmp_path / "now", master_key_file=tmp_path / "left" / "data" / "master.key")
    return tmp_path / "left", config, told


def test_a_backup_without_seal_has_to_be_asked_for(left):
    """Nobody can tell whether a backup of release 0.1 was changed: it is restored by its operator's word alone."""
    directory, config, _ = left

    with pytest.raises(BackupRefused, match="--unauthenticated"):
        restore(config, directory / "backup")
    assert not config.data_dir.exists()

    assert restore(config, directory / "backup", unauthenticated=True).is_clean


def test_the_command_warns_of_a_backup_without_seal(left, reopened):
    """With the backup of release 0.1 come the accounts, and words that tell to look at them; no login goes on."""
    directory, config, told = left

    result = command_line(reopened(config))("restore", "--unauthenticated", str(directory / "backup"))

    assert result.exit_code == 0
    assert "reset the passwords" in result.stderr
    app = reopened(config)
    gallery = app.extensions["pixstore.gallery"]
    with gallery.store.connected():
        assert gallery.models.login_session.select().count() == 0
    assert GalleryClient(app).logs_in("anna", told["password"]).get("/").status_code == 200


@pytest.mark.parametrize("part", ["pixstore.sqlite", "keyring.json"])
def test_a_backup_of_the_first_release_that_lacks_a_part(left, part):
    """It is refused as well, by the name of the part."""
    directory, config, _ = left
    (directory / "backup" / part).unlink()

    with pytest.raises(BackupRefused, match=f"{part} is missing"):
        restore(config, directory / "backup", unauthenticated=True)


def test_a_backup_of_the_first_release_is_continued(left):
    """A backup into a directory that release 0.1 has written to copies what is new, and makes it one with a seal."""
    directory, config, _ = left
    here = replace(config, data_dir=directory / "data")
    with closing(ImageStore.open(here)) as store:
        store.save(jpeg(seed=99))
        report = backup(store, directory / "backup")

    assert (report.copied, report.missing) == (1, [])
    assert not (directory / "backup" / "pixstore.sqlite").exists()
    assert restore(config, directory / "backup").is_clean
