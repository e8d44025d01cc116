"""New keys for old: master key, store key, service secret; and everything encrypted again under the new store key."""

from dataclasses import replace

import pytest

from pixstore.gallery import accounts, pictures, upkeep
from pixstore.gallery.photo_facts import PhotoFacts
from pixstore.maintenance import rotation
from tests import stored
from tests.gallery_fixtures import command_line, snapshot
from tests.images import jpeg, png

HOUR = 60 * 60_000


def test_rotating_the_master_key(run, anna, add_pictures, config, reopened):
    """After a rotation the new master key opens everything, and the old one is no longer in its file."""
    (picture,) = add_pictures("anna", 1)
    old = (config.data_dir / "master.key").read_bytes()

    result = run("rotate", "master")

    assert (result.exit_code, result.stdout) == (0, "the keyring is under the new master key\n")
    assert (config.data_dir / "master.key").read_bytes() != old
    assert reopened().extensions["pixstore"].load(picture.original_id) == jpeg(seed=0)


def test_a_master_key_of_the_environment_is_rotated_by_it(config, reopened):
    """If the master key comes from the environment, the new one is given there too; the words say what to do then."""
    old, new = bytes(32), bytes(range(32))
    app = reopened(replace(config, master_key=old))
    record = app.extensions["pixstore"].save(jpeg())
    refused = command_line(app)("rotate", "master")
    assert (refused.exit_code, "PIXSTORE_NEW_MASTER_KEY" in refused.stderr) == (1, True)

    result = command_line(reopened(replace(config, master_key=old, new_master_key=new)))("rotate", "master")

    assert (result.exit_code, "make the new key the current one" in result.output) == (0, True)
    assert reopened(replace(config, master_key=new)).extensions["pixstore"].load(record.id) == jpeg()


def test_a_new_service_secret_ends_logins_alone(run, anna, add_pictures, gallery, reopened):
    """After a new service secret and a restart, proofs are void, and every picture is there."""
    (picture,) = add_pictures("anna", 1)
    proof = gallery.store.record(picture.original_id).stateless_proof

    run("rotate", "service-secret")
    again = reopened().extensions["pixstore.gallery"]

    assert again.store.answer(picture.original_id, proof=proof).to_bytes() == b"\x05"
    assert again.store.load(picture.original_id) == jpeg(seed=0)
    with again.store.connected():
        user = accounts.find_user(again, "anna")
        assert pictures.get_picture(again, user, picture.id).id == picture.id


# --- re-encryption


def test_re_encryption_moves_everything(run, anna, add_pictures, gallery, now):
    """Every image and text is sealed again under the new store key; two hours later the old key is dropped."""
    (picture,) = add_pictures("anna", 1)
    before = gallery.store.record(picture.original_id)
    run("rotate", "store-key")

    first = run("re-encrypt")
    now.forward(2 * HOUR)
    second = run("re-encrypt")

    line, reason = first.stdout.splitlines()
    assert line == "2 images and 4 texts encrypted again, 0 old keys dropped"
    assert "writes that began under it may still be going on: `re-encrypt` after 01:00 UTC drops it" in reason
    assert second.stdout == "0 images and 4 texts encrypted again, 1 old keys dropped\n"
    after = gallery.store.record(picture.original_id)
    assert after.token > before.token
    assert after.meta != before.meta
    assert gallery.store.load(picture.original_id) == jpeg(seed=0)
    assert "picture 0" in anna.get("/").text
    assert run("check", "--deep").exit_code == 0


def test_texts_move_to_a_new_store_key(gallery, anna, now):
    """After a re-encryption every title, and what is known of every photo, opens without the old key."""
    anna.uploads(("Sea.jpg", jpeg()), new_album="Walks")
    before = snapshot(gallery)
    rotation.rotate_store_key(gallery.store)
    now.forward(2 * rotation.RETIREMENT)

    report = rotation.re_encrypt(
        gallery.store, reseal_texts=lambda _: upkeep.reseal_texts(gallery), text_purposes=upkeep.TEXT_PURPOSES
    )

    # The titles of two albums, the description and the facts of the picture, and the content key of the account.
    assert report.texts == 5
    assert len(report.dropped_keys) == 1
    assert snapshot(gallery) == before
    assert pictures.facts_of(gallery, gallery.models.picture.get()) == PhotoFacts()


@pytest.mark.parametrize("change", ("update", "delete"))
def test_re_encryption_that_loses_the_race_has_nothing_to_report(store, monkeypatch, change):
    """An image that is replaced or deleted while it is re-encrypted is not reported as missing."""
    record = store.save(png())
    rotation.rotate_store_key(store)
    open_blob = store.parts.blobs.open

    def changed_meanwhile(blob_id):
        monkeypatch.setattr(store.parts.blobs, "open", open_blob)
        store.update(record.id, jpeg()) if change == "update" else store.delete(record.id)
        store.parts.reaper.reap()
        return open_blob(blob_id)

    monkeypatch.setattr(store.parts.blobs, "open", changed_meanwhile)

    assert rotation.re_encrypt(store).failed == {}
    assert store.exists(record.id) is (change == "update")


def test_re_encryption_names_an_image_whose_blob_is_missing(store):
    """An image whose blob is missing is reported, with the reason."""
    record = store.save(png())
    blob_id = stored.row(store, record.id).blob_id
    store.parts.blobs.delete(blob_id)
    rotation.rotate_store_key(store)

    assert rotation.re_encrypt(store).failed == {record.id: f"the blob {blob_id} is missing"}
