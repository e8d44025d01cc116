"""No key is lost where the database is lost, put back to another state, or comes from the first release."""

import json
import sqlite3
from contextlib import closing

import pytest

from pixstore.config import Config
from pixstore.errors import KeyringError, StorageError
from pixstore.maintenance import rotation
from pixstore.maintenance.rebuild import rebuild
from pixstore.store import ImageStore
from pixstore.store_keyring import REFRESH_INTERVAL
from tests import images
from tests.releases import ARCHIVES, unpack
from tests.store.keyrings import keys_of, lose_database, row_of

# --- the database lost, or put back


def test_an_old_database_put_back_loses_no_key(config, now):
    """Keys that were made after the copy of a database come back from beside the images, and stay until a rebuild."""
    store = ImageStore.open(config, now=now)
    first = store.save(images.png(seed=1)).id
    store.close()
    old = config.sqlite_path.read_bytes()
    store = ImageStore.open(config, now=now)
    rotation.rotate_store_key(store)
    second = store.save(images.png(seed=2)).id
    keys = set(keys_of(store))
    store.close()
    lose_database(config)
    config.sqlite_path.write_bytes(old)

    with closing(ImageStore.open(config, now=now)) as again:
        assert set(keys_of(again)) == keys
        now.forward(2 * rotation.RETIREMENT)
        assert rotation.re_encrypt(again).dropped_keys == []
        assert [image.image_id for image in rebuild(again, merge=True).images if image.image_id == second]
        assert (again.load(first), again.load(second)) == (images.png(seed=1), images.png(seed=2))
        assert again.parts.keyring.latest().held == frozenset()


def test_a_newer_database_put_back_after_an_older_one_loses_no_image(config, now):
    """What was saved under a key that the newer database has dropped can still be rebuilt: the key comes back from its copy."""
    ImageStore.open(config, now=now).close()
    older = config.sqlite_path.read_bytes()
    with closing(ImageStore.open(config, now=now)) as store:
        rotation.rotate_store_key(store)
        now.forward(rotation.RETIREMENT)
        assert len(rotation.re_encrypt(store).dropped_keys) == 1
    newer = config.sqlite_path.read_bytes()
    lose_database(config)
    config.sqlite_path.write_bytes(older)
    with closing(ImageStore.open(config, now=now)) as store:
        image_id = store.save(images.png()).id
    lose_database(config)
    config.sqlite_path.write_bytes(newer)

    with closing(ImageStore.open(config, now=now)) as store:
        rotation.rotate_store_key(store)
        rebuild(store, merge=True)

        assert store.load(image_id) == images.png()


def test_a_database_put_back_under_a_running_program(store, now):
    """A program that knew newer keys than the database has brings them back from their copies."""
    rotation.rotate_store_key(store)
    keys = set(keys_of(store))
    first = store.parts.keyring.latest()
    rotation.rotate_store_key(store)
    with store.connected(), store.database.atomic():
        document = first.to_json(store.parts.keyring._master_key)
        store.parts.models.keyring.update(generation=first.generation, document=document).execute()

    now.forward(REFRESH_INTERVAL)
    store.save(images.png())

    assert keys < set(keys_of(store))


def test_a_database_put_back_that_has_come_as_far_again(store, other, config, tmp_path, now):
    """A program reads and keeps the keys of another history, also where that has as many generations as its own."""
    with (
        closing(sqlite3.connect(config.sqlite_path)) as live,
        closing(sqlite3.connect(tmp_path / "old")) as old,
    ):
        live.backup(old)
        rotation.rotate_store_key(store)
        keys = set(keys_of(store))
        old.backup(live)
    rotation.rotate_store_key(other)
    image_id = other.save(images.png()).id
    assert row_of(store).generation == store.parts.keyring.latest().generation

    assert store.load(image_id) == images.png()
    rotation.rotate_store_key(store)

    assert keys | set(keys_of(other)) < set(keys_of(store))
    now.forward(REFRESH_INTERVAL)
    assert other.load(image_id) == images.png()


def test_a_database_put_back_that_has_come_further(store, other, config, tmp_path, now):
    """A program that knew a key which the row neither has nor dropped brings it back, whatever the generation."""
    with (
        closing(sqlite3.connect(config.sqlite_path)) as live,
        closing(sqlite3.connect(tmp_path / "old")) as old,
    ):
        live.backup(old)
        rotation.rotate_store_key(store)
        keys = set(keys_of(store))
        old.backup(live)
    for _ in range(3):
        rotation.rotate_store_key(other)

    now.forward(REFRESH_INTERVAL)

    assert keys < set(keys_of(store))


def test_a_lost_database_finds_its_keyring_beside_the_images(config, now, caplog):
    """Every key is there again, and none is dropped before a rebuild has looked at every blob."""
    store = ImageStore.open(config, now=now)
    kept = [store.save(images.png(seed=seed)).id for seed in range(2)]
    rotation.rotate_store_key(store)
    kept.append(store.save(images.png(seed=2)).id)
    keys = set(keys_of(store))
    store.close()
    lose_database(config)

    with closing(ImageStore.open(config, now=now)) as again:
        assert "made again from its copies" in caplog.text
        assert set(keys_of(again)) == again.parts.keyring.latest().held == keys
        now.forward(2 * rotation.RETIREMENT)
        assert rotation.re_encrypt(again).dropped_keys == []
        rebuild(again)
        assert [again.load(image_id) for image_id in kept] == [images.png(seed=seed) for seed in range(3)]


def test_keys_are_held_while_a_blob_cannot_be_read(config, now, monkeypatch):
    """A rebuild that could not read every blob does not let a key go that one of them may need."""
    store = ImageStore.open(config, now=now)
    store.save(images.png())
    store.close()
    lose_database(config)
    with closing(ImageStore.open(config, now=now)) as again:
        usual = again.parts.blobs.open

        def failing(blob_id):
            monkeypatch.setattr(again.parts.blobs, "open", usual)
            raise StorageError("the image could not be read: Input/output error", name=blob_id)

        monkeypatch.setattr(again.parts.blobs, "open", failing)
        rebuild(again)
        assert again.parts.keyring.latest().held

        rebuild(again, merge=True)
        assert not again.parts.keyring.latest().held


def test_without_any_copy_a_store_with_images_does_not_start(config, now):
    """A new keyring would leave every image unreadable, so none is made."""
    store = ImageStore.open(config, now=now)
    store.save(images.png())
    store.close()
    lose_database(config)
    for path in (config.blobs_path / "keyring").iterdir():
        path.unlink()

    with pytest.raises(KeyringError, match="restore one of them from a backup"):
        ImageStore.open(config, now=now)


# --- the keyring of release 0.1


@pytest.fixture(name="released")
def _released(tmp_path):
    """Return the settings of a store that release 0.1 left, and what is in it."""
    told = unpack(ARCHIVES[0], tmp_path)
    return Config(data_dir=tmp_path / "data"), told


def _originals(told):
    return [entry["original"] for entries in told["accounts"].values() for entry in entries]


def test_the_keyring_of_the_first_release_moves_into_the_database(released):
    """All its keys are there, none is held, and its files are gone."""
    config, told = released
    keys = {entry["id"] for entry in json.loads((config.data_dir / "keyring.json").read_text())["store_keys"]}

    with closing(ImageStore.open(config)) as store:
        assert set(keys_of(store)) == keys
        assert store.parts.keyring.latest().held == frozenset()
        assert all(store.load(image_id) for image_id in _originals(told))
    assert not (config.data_dir / "keyring.json").exists()
    assert not (config.blobs_path / "keyring.json").exists()


def test_a_second_directory_of_the_first_release_brings_its_keys(released, tmp_path):
    """Where file and copy differ, as after a rotation by another host, the keys of both are there."""
    config, told = released
    file = config.data_dir / "keyring.json"
    document = json.loads(file.read_text())
    older = {**document, "active": document["store_keys"][0]["id"], "store_keys": document["store_keys"][:1]}
    file.write_text(json.dumps(older))

    with closing(ImageStore.open(config)) as store:
        assert all(store.load(image_id) for image_id in _originals(told))
        assert store.parts.keyring.latest().held == {document["store_keys"][1]["id"]}


def test_a_lost_database_of_the_first_release(released):
    """With the database gone before the first start, every image comes back, and no key is dropped before."""
    config, told = released
    lose_database(config)

    with closing(ImageStore.open(config)) as store:
        assert store.parts.keyring.latest().held == frozenset(keys_of(store))
        rebuild(store)
        assert all(store.load(image_id) for image_id in _originals(told))


def test_texts_of_the_first_release_keep_their_keys(released, now):
    """Which programs sealed texts under a key of release 0.1 is not known: it is kept, and said how it goes."""
    config, _ = released
    with closing(ImageStore.open(config, now=now)) as store:
        rotation.rotate_store_key(store)
        now.forward(2 * rotation.RETIREMENT)

        kept = rotation.re_encrypt(store).kept_keys
        dropped = rotation.re_encrypt(store, no_other_texts=True).dropped_keys

    assert len(kept) == 2
    assert all("--no-other-texts" in reason for reason in kept.values())
    assert set(dropped) == set(kept)
