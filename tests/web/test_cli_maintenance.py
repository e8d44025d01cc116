"""The commands that look after the store, over a gallery with pictures in it."""

import base64
import json
import os
import shutil
from dataclasses import replace

import pytest

from app import create_app
from pixstore.gallery import accounts, pictures
from tests.images import jpeg, png
from tests.web.visitor import PASSWORD, Visitor

HOUR = 60 * 60_000
DAY = 24 * HOUR


def _command(app):
    runner = app.test_cli_runner()
    return lambda *words: runner.invoke(args=["pixstore", *words])


@pytest.fixture
def store(gallery):
    """Return the store of the application, connected for the test's own queries."""
    return gallery.store


@pytest.fixture
def run(app):
    """Return a function that runs a command and returns its result."""
    return _command(app)


@pytest.fixture
def reopened(config, now):
    """Return a function that makes the application anew, as another process would."""
    made = []

    def reopened(config=config):
        app = create_app(config, now=now)
        made.append(app)
        return app

    yield reopened
    for app in made:
        app.extensions["pixstore"].close()


def _blob_path(store, image_id):
    row = store.parts.models.image.get_by_id(image_id)
    return next((store.config.blobs_path / "objects").glob(f"*/{row.blob_id}"))


def _lose_database(config):
    for file in config.data_dir.glob("pixstore.sqlite*"):
        file.unlink()


def test_a_sound_store(run, anna, add_pictures):
    """A check that finds nothing says how much it looked at, with exit code 0."""
    add_pictures("anna", 2)

    result = run("check", "--deep")

    assert (result.exit_code, result.stdout) == (0, "4 images, 4 blobs, 0 findings\n")


def test_a_damaged_image_is_named(run, anna, add_pictures, store):
    """A flipped bit is found by a deep check, as JSON too, with exit code 1; the other images are well."""
    damaged, _ = add_pictures("anna", 2)
    path = _blob_path(store, damaged.original_id)
    sealed = bytearray(path.read_bytes())
    sealed[-1] ^= 1
    path.write_bytes(sealed)

    result = run("check", "--deep", "--json")

    assert result.exit_code == 1
    (finding,) = json.loads(result.stdout)["findings"]
    assert (finding["kind"], finding["image_id"]) == ("damaged", damaged.original_id)
    assert run("check").exit_code == 0


def test_a_damaged_record_is_mended(run, anna, add_pictures, store):
    """What a row lost is written anew from the blob, and the picture opens again."""
    (picture,) = add_pictures("anna", 1)
    image = store.parts.models.image
    image.update(wrapped_key=bytes(60), size=1).where(image.id == picture.original_id).execute()

    result = run("check", "--deep", "--repair")

    assert result.exit_code == 0
    assert "disagrees" in result.stdout
    assert "(repaired)" in result.stdout
    assert store.load(picture.original_id) == jpeg(seed=0)
    assert run("check", "--deep").stdout == "2 images, 2 blobs, 0 findings\n"


def test_sweep_removes_orphans_of_yesterday(run, anna, add_pictures, store, now):
    """A blob that no record names goes once no upload can be that old; what records name stays."""
    (picture,) = add_pictures("anna", 1)
    store.parts.blobs.put("ab" * 16, [b"left by a crash"])
    now.forward(-now() + store.parts.blobs._objects.stat().st_mtime_ns // 1_000_000)
    assert run("sweep").stdout == "0 orphaned blobs and 0 unfinished files removed\n"

    now.forward(2 * DAY)
    result = run("sweep")

    assert result.stdout == "1 orphaned blobs and 0 unfinished files removed\n"
    assert store.load(picture.original_id) == jpeg(seed=0)


def test_sweep_stops_where_everything_would_go(app, anna, add_pictures, store, config, reopened, now):
    """With a database that was lost, the images are not taken for rubbish."""
    add_pictures("anna", 2)
    _lose_database(config)
    now.forward(-now() + store.parts.blobs._objects.stat().st_mtime_ns // 1_000_000 + 2 * DAY)

    result = _command(reopened())("sweep")

    assert result.exit_code == 1
    assert "rebuild it" in result.stderr
    assert len(list(config.blobs_path.glob("objects/*/*"))) == 4


@pytest.mark.parametrize(("old", "young", "goes"), ((30, 0, True), (3, 0, False), (3, 30, False)))
def test_sweep_asks_for_the_right_database(run, store, now, old, young, goes):
    """
    Orphans that outnumber the images of their age stay, and it says why.

    Whoever lost the database and went on uploading has many images in the new one, and none of the old.
    """
    orphans = [store.parts.blobs._path(f"{number:032x}") for number in range(25)]
    for orphan in orphans:
        store.parts.blobs.put(orphan.name, [b"left by a crash"])
    aged = [_blob_path(store, store.save(png(seed=number)).id) for number in range(old)]
    for file in (*orphans, *aged):
        os.utime(file, (0, 0))
    for number in range(young):
        store.save(png(seed=number))
    now.forward(-now() + store.parts.blobs._objects.stat().st_mtime_ns // 1_000_000)

    result = run("sweep")

    assert result.exit_code == (0 if goes else 1)
    assert ("25 orphaned blobs" if goes else f"25 of the {25 + old} blobs older than") in result.output
    assert any(orphan.exists() for orphan in orphans) is not goes


def test_rebuild_brings_back_a_lost_database(anna, add_pictures, config, reopened):
    """Images, albums, titles and owners are back; a new password lets the owner in to see them."""
    before = {picture.id: picture.original_id for picture in add_pictures("anna", 3)}
    _lose_database(config)
    app = reopened()

    result = _command(app)("rebuild")

    assert result.exit_code == 0
    assert result.stdout.startswith("6 images back; 3 pictures, 1 albums and 1 accounts made; 0 blobs")
    gallery = app.extensions["pixstore.gallery"]
    with gallery.store.connected():
        assert {picture.id: picture.original_id for picture in gallery.models.picture.select()} == before
        assert all(gallery.store.load(image_id)[:2] == b"\xff\xd8" for image_id in before.values())
        user = accounts.find_user(gallery, "anna")
        accounts.set_password(gallery, user, PASSWORD)
    assert "picture 2" in Visitor(app).logs_in("anna").get("/").text
    assert _command(app)("rebuild").exit_code == 1


def test_backup_and_restore(run, anna, add_pictures, store, config, tmp_path, reopened):
    """A backup, taken twice, makes an empty store the same gallery again; the master key is not in it."""
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
    result = _command(reopened(other))("restore", str(tmp_path / "copy"))

    assert (result.exit_code, result.stdout) == (0, "4 images restored and opened, 0 findings\n")
    app = reopened(other)
    assert app.extensions["pixstore"].load(picture.original_id) == store.load(picture.original_id)
    assert "picture 0" in Visitor(app).logs_in("anna").get("/").text


def test_restore_overwrites_nothing(run, anna, add_pictures, tmp_path, reopened):
    """Where there is a store already, a restore is refused and changes nothing."""
    (picture,) = add_pictures("anna", 1)
    run("backup", str(tmp_path / "copy"))

    result = _command(reopened())("restore", str(tmp_path / "copy"))

    assert result.exit_code == 1
    assert "there is a store" in result.stderr
    assert reopened().extensions["pixstore"].load(picture.original_id) == jpeg(seed=0)


def test_restore_needs_the_master_key(run, anna, add_pictures, config, tmp_path, reopened):
    """With another master key a restore is refused before anything is put in place."""
    add_pictures("anna", 1)
    run("backup", str(tmp_path / "copy"))

    result = _command(reopened(replace(config, data_dir=tmp_path / "other")))(
        "restore", str(tmp_path / "copy")
    )

    assert result.exit_code == 1
    assert "master key" in result.stderr
    assert not list((tmp_path / "other" / "blobs").glob("objects/*/*"))


def test_rotating_the_master_key(run, anna, add_pictures, config, reopened):
    """The old key opens nothing any more, the new one everything."""
    (picture,) = add_pictures("anna", 1)
    old = (config.data_dir / "master.key").read_bytes()

    result = run("rotate", "master")

    assert (result.exit_code, result.stdout) == (0, "the keyring is under the new master key\n")
    assert (config.data_dir / "master.key").read_bytes() != old
    assert reopened().extensions["pixstore"].load(picture.original_id) == jpeg(seed=0)


def test_a_master_key_of_the_environment_is_rotated_by_it(config, monkeypatch, reopened):
    """The new key is read from PIXSTORE_NEW_MASTER_KEY, and has to be given."""
    old, new = bytes(32), bytes(range(32))
    app = reopened(replace(config, master_key=old))
    record = app.extensions["pixstore"].save(jpeg())
    assert _command(app)("rotate", "master").exit_code == 1

    monkeypatch.setenv("PIXSTORE_NEW_MASTER_KEY", base64.b64encode(new).decode())
    assert _command(app)("rotate", "master").exit_code == 0

    assert reopened(replace(config, master_key=new)).extensions["pixstore"].load(record.id) == jpeg()


def test_re_encryption_moves_everything(run, anna, add_pictures, store, now):
    """Every image and text comes under the new store key, with new keys and tokens; an hour later the old one goes."""
    (picture,) = add_pictures("anna", 1)
    before = store.record(picture.original_id)
    run("rotate", "store-key")

    first = run("re-encrypt")
    now.forward(2 * HOUR)
    second = run("re-encrypt")

    assert first.stdout == "2 images and 3 texts encrypted again, 0 old keys dropped\n"
    assert second.stdout == "0 images and 3 texts encrypted again, 1 old keys dropped\n"
    after = store.record(picture.original_id)
    assert after.token > before.token
    assert after.meta != before.meta
    assert store.load(picture.original_id) == jpeg(seed=0)
    assert "picture 0" in anna.get("/").text
    assert run("check", "--deep").exit_code == 0


def test_a_new_service_secret_ends_logins_alone(run, anna, add_pictures, store, reopened):
    """After a restart nobody is logged in, proofs are void, and every picture is there."""
    (picture,) = add_pictures("anna", 1)
    proof = store.record(picture.original_id).stateless_proof

    run("rotate", "service-secret")
    gallery = reopened().extensions["pixstore.gallery"]

    assert gallery.store.answer(picture.original_id, proof=proof).to_bytes() == b"\x05"
    assert gallery.store.load(picture.original_id) == jpeg(seed=0)
    with gallery.store.connected():
        user = accounts.find_user(gallery, "anna")
        assert pictures.get_picture(gallery, user, picture.id).id == picture.id
