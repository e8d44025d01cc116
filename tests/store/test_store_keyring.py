"""The keyring in the database and its copies beside the blobs: no key is lost to another host, a copy, or an old state put back."""

import json
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace

import pytest

from pixstore.config import Config
from pixstore.errors import KeyringError, StorageError
from pixstore.keyring import Keyring, store_key_ids
from pixstore.maintenance import rotation
from pixstore.maintenance.rebuild import rebuild
from pixstore.store import ImageStore
from pixstore.store_keyring import REFRESH_INTERVAL
from tests import images
from tests.releases import ARCHIVES, unpack


@pytest.fixture(name="other_config")
def _other_config(config, tmp_path):
    """Return the settings of another host: its own data directory over the same database, blobs and master key."""
    return replace(
        config,
        data_dir=tmp_path / "other",
        database_path=config.sqlite_path,
        image_root_dir=config.blobs_path,
        master_key_file=config.data_dir / "master.key",
    )


@pytest.fixture(name="other")
def _other(store, other_config, now):
    """Return the store as another host has it open."""
    other = ImageStore.open(other_config, now=now)
    yield other
    other.close()


def _row(store):
    with store.connected():
        return store.parts.models.keyring.get()


def _keys(store):
    return store.parts.keyring.latest().store_keys.keys()


def _copies(config):
    return {path.name: path.read_bytes() for path in (config.blobs_path / "keyring").iterdir()}


def _lose_database(config):
    for path in config.sqlite_path.parent.glob(f"{config.sqlite_path.name}*"):
        path.unlink()


# --- several hosts


def test_a_key_of_another_host_is_found(store, other):
    """An image under a key that another host has made can be read at once."""
    rotation.rotate_store_key(store)
    image_id = store.save(images.png()).id

    assert other.load(image_id) == images.png()


def test_a_host_that_knew_an_older_keyring_replaces_nothing(store, other, other_config, now):
    """A host that starts or saves after another's rotation takes over the newer keyring; with either host gone all is there."""
    rotation.rotate_store_key(store)
    kept = {store.save(images.png(seed=1)).id: 1, other.save(images.png(seed=2)).id: 2}
    other.close()
    again = ImageStore.open(other_config, now=now)
    rotation.rotate_store_key(again)
    kept[again.save(images.png(seed=3)).id] = 3
    again.close()
    store.close()
    for path in store.config.data_dir.glob("keyring*"):
        path.unlink()

    with closing(ImageStore.open(other_config, now=now)) as last:
        assert {image_id: last.load(image_id) for image_id in kept} == {
            image_id: images.png(seed=seed) for image_id, seed in kept.items()
        }


def test_a_newer_keyring_is_taken_up_within_seconds(store, other, now):
    """A host writes under the key that another has made active, a few seconds later."""
    active = rotation.rotate_store_key(store)

    now.forward(REFRESH_INTERVAL)
    image_id = other.save(images.png()).id

    assert store.parts.row(image_id).store_key_id == active


def test_two_changes_at_once_both_happen(store, other):
    """Whoever is slower tries again on the newer keyring."""
    begin = threading.Barrier(2)

    def rotate(host):
        begin.wait()
        rotation.rotate_store_key(host)

    threads = [threading.Thread(target=rotate, args=[host]) for host in (store, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    store.parts.keyring.refresh()
    assert len(_keys(store)) == 3
    assert _row(store).generation == 3


def test_many_first_starts_make_one_keyring(config, now):
    """Whoever comes second uses what the first has made."""
    stores, begin = [], threading.Barrier(6)

    def start():
        begin.wait()
        stores.append(ImageStore.open(config, now=now))

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({frozenset(_keys(store)) for store in stores}) == 1
    assert len(_copies(config)) == 1
    for store in stores:
        store.close()


def test_a_running_program_makes_no_keyring(store, now):
    """If the row is gone, the database was replaced: that is said, and nothing is written."""
    with store.connected():
        store.parts.models.keyring.delete().execute()
    now.forward(REFRESH_INTERVAL)

    with pytest.raises(KeyringError, match="missing from the database"):
        store.save(images.png())

    with store.connected():
        assert not store.parts.models.keyring.select().exists()


def test_a_proof_survives_a_database_that_is_away(store, monkeypatch, now, caplog):
    """Records are given out with the secret that is known, when the keyring cannot be read."""
    record = store.save(images.png())
    monkeypatch.setattr(store.parts.keyring, "_read_row", _unavailable)
    now.forward(REFRESH_INTERVAL)

    assert store.parts.record(store.parts.row(record.id), None).stateless_proof == record.stateless_proof
    assert "could not be read again" in caplog.text


def _unavailable():
    raise StorageError("the database is not available")


# --- keys in use


def test_a_key_in_use_cannot_be_dropped(store):
    """As long as one image is under it, a store key stays, whoever wants it gone."""
    store.save(images.png())
    old = store.parts.keyring.latest().active
    rotation.rotate_store_key(store)
    before = _copies(store.config)

    with pytest.raises(KeyringError, match="still in use"):
        store.parts.keyring.change(lambda keyring: keyring.without_store_keys([old]))

    assert old in _keys(store)
    assert _copies(store.config) == before


def test_a_dropped_key_is_gone_from_every_copy(store, config, now):
    """A key that was dropped on purpose stands in no copy of the keyring, and does not come back."""
    old = store.parts.keyring.latest().active
    rotation.rotate_store_key(store)
    now.forward(rotation.RETIREMENT)
    assert rotation.re_encrypt(store).dropped_keys == [old]
    store.close()

    assert [old in store_key_ids(document) for document in _copies(config).values()] == [False]
    with closing(ImageStore.open(config, now=now)) as again:
        assert old not in _keys(again)


def test_an_image_sealed_under_a_key_that_has_gone_is_an_error_with_a_name(store, other):
    """A save whose key another host has dropped meanwhile says so, leaves nothing behind, and works when tried again."""
    other.parts.keyring.latest()
    rotation.rotate_store_key(store)
    old = next(iter(_keys(store) - {store.parts.keyring.latest().active}))
    store.parts.keyring.change(lambda keyring: keyring.without_store_keys([old]))

    with pytest.raises(StorageError, match="try again"):
        other.save(images.png())

    assert list(store.parts.blobs.blobs()) == []
    assert store.load(other.save(images.png()).id) == images.png()


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
    keys = set(_keys(store))
    store.close()
    _lose_database(config)
    config.sqlite_path.write_bytes(old)

    with closing(ImageStore.open(config, now=now)) as again:
        assert set(_keys(again)) == keys
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
    _lose_database(config)
    config.sqlite_path.write_bytes(older)
    with closing(ImageStore.open(config, now=now)) as store:
        image_id = store.save(images.png()).id
    _lose_database(config)
    config.sqlite_path.write_bytes(newer)

    with closing(ImageStore.open(config, now=now)) as store:
        rotation.rotate_store_key(store)
        rebuild(store, merge=True)

        assert store.load(image_id) == images.png()


def test_a_database_put_back_under_a_running_program(store, now):
    """A program that knew newer keys than the database has brings them back from their copies."""
    rotation.rotate_store_key(store)
    keys = set(_keys(store))
    first = store.parts.keyring.latest()
    rotation.rotate_store_key(store)
    with store.connected(), store.database.atomic():
        document = first.to_json(store.parts.keyring._master_key)
        store.parts.models.keyring.update(generation=first.generation, document=document).execute()

    now.forward(REFRESH_INTERVAL)
    store.save(images.png())

    assert keys < set(_keys(store))


def test_a_database_put_back_that_has_come_as_far_again(store, other, config, tmp_path, now):
    """A program reads and keeps the keys of another history, also where that has as many generations as its own."""
    with (
        closing(sqlite3.connect(config.sqlite_path)) as live,
        closing(sqlite3.connect(tmp_path / "old")) as old,
    ):
        live.backup(old)
        rotation.rotate_store_key(store)
        keys = set(_keys(store))
        old.backup(live)
    rotation.rotate_store_key(other)
    image_id = other.save(images.png()).id
    assert _row(store).generation == store.parts.keyring.latest().generation

    assert store.load(image_id) == images.png()
    rotation.rotate_store_key(store)

    assert keys | set(_keys(other)) < set(_keys(store))
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
        keys = set(_keys(store))
        old.backup(live)
    for _ in range(3):
        rotation.rotate_store_key(other)

    now.forward(REFRESH_INTERVAL)

    assert keys < set(_keys(store))


def test_a_lost_database_finds_its_keyring_beside_the_images(config, now, caplog):
    """Every key is there again, and none is dropped before a rebuild has looked at every blob."""
    store = ImageStore.open(config, now=now)
    kept = [store.save(images.png(seed=seed)).id for seed in range(2)]
    rotation.rotate_store_key(store)
    kept.append(store.save(images.png(seed=2)).id)
    keys = set(_keys(store))
    store.close()
    _lose_database(config)

    with closing(ImageStore.open(config, now=now)) as again:
        assert "made again from its copies" in caplog.text
        assert set(_keys(again)) == again.parts.keyring.latest().held == keys
        now.forward(2 * rotation.RETIREMENT)
        assert rotation.re_encrypt(again).dropped_keys == []
        rebuild(again)
        assert [again.load(image_id) for image_id in kept] == [images.png(seed=seed) for seed in range(3)]


def test_keys_are_held_while_a_blob_cannot_be_read(config, now, monkeypatch):
    """A rebuild that could not read every blob does not let a key go that one of them may need."""
    store = ImageStore.open(config, now=now)
    store.save(images.png())
    store.close()
    _lose_database(config)
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
    _lose_database(config)
    for path in (config.blobs_path / "keyring").iterdir():
        path.unlink()

    with pytest.raises(KeyringError, match="restore one of them from a backup"):
        ImageStore.open(config, now=now)


# --- what somebody else writes


def test_the_active_key_is_authenticated(config, now):
    """Whoever can write to the database, but has no master key, cannot make an older key the active one again."""
    store = ImageStore.open(config, now=now)
    old = store.parts.keyring.latest().active
    rotation.rotate_store_key(store)
    row = _row(store)
    document = json.loads(row.document)
    with store.connected():
        altered = json.dumps({**document, "active": old}).encode()
        store.parts.models.keyring.update(document=altered).execute()
    store.close()

    with pytest.raises(KeyringError, match="does not open"):
        ImageStore.open(config, now=now)


def test_a_document_without_seal_is_not_the_authority(config, now):
    """The format of release 0.1, in which anybody can choose the active key, is refused in the database."""
    store = ImageStore.open(config, now=now)
    document = json.loads(_row(store).document)
    for name in ("generation", "dropped", "held", "seal"):
        del document[name]
    with store.connected():
        unsealed = json.dumps({**document, "version": 1}).encode()
        store.parts.models.keyring.update(document=unsealed).execute()
    store.close()

    with pytest.raises(KeyringError):
        ImageStore.open(config, now=now)


def test_a_copy_of_another_store_is_of_no_use(config, now, caplog):
    """A copy that the master key does not open is left alone, and said."""
    ImageStore.open(config, now=now).close()
    foreign = Keyring.create(now=0).to_json(bytes(32))
    path = config.blobs_path / "keyring" / "0000000009-0123456789abcdef.json"
    path.write_bytes(foreign)

    with closing(ImageStore.open(config, now=now)) as store:
        assert len(_keys(store)) == 1
    assert "cannot be used" in caplog.text
    assert path.read_bytes() == foreign


# --- the copies


def test_the_row_always_has_its_copy(store, config):
    """After every change there is one copy, of this generation, and a missing one is put again at a start."""
    for _ in range(3):
        rotation.rotate_store_key(store)
        assert list(_copies(config).values()) == [bytes(_row(store).document)]
    store.close()
    for path in (config.blobs_path / "keyring").iterdir():
        path.unlink()

    with closing(ImageStore.open(config)) as again:
        assert list(_copies(config).values()) == [bytes(_row(again).document)]


@pytest.mark.parametrize("moment", ["before the row", "after the row"])
def test_a_change_that_is_cut_off_loses_nothing(store, config, now, monkeypatch, moment):
    """A program that ends between copy and row leaves either generation, whole."""
    image_id = store.save(images.png()).id
    usual = store.parts.keyring._replace_row

    def cut_off(*arguments):
        if moment == "after the row":
            usual(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(store.parts.keyring, "_replace_row", cut_off)
    with pytest.raises(KeyboardInterrupt):
        rotation.rotate_store_key(store)
    store.close()

    with closing(ImageStore.open(config, now=now)) as again:
        assert again.load(image_id) == images.png()
        assert again.load(again.save(images.jpeg()).id) == images.jpeg()
        assert bytes(_row(again).document) in _copies(config).values()


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
        assert set(_keys(store)) == keys
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
    _lose_database(config)

    with closing(ImageStore.open(config)) as store:
        assert store.parts.keyring.latest().held == frozenset(_keys(store))
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


# --- texts of programs


def test_a_key_stays_while_texts_may_be_under_it(store, now):
    """What a program has sealed keeps its store key, until the program says that it has sealed it again."""
    sealed = store.seal_text("Anna", purpose="shop/name", row_id="7")
    old = store.parts.keyring.latest().active
    rotation.rotate_store_key(store)
    now.forward(2 * rotation.RETIREMENT)

    kept = rotation.re_encrypt(store).kept_keys

    assert list(kept) == [old]
    assert "shop/name" in kept[old]
    assert store.open_text(sealed, purpose="shop/name", row_id="7") == "Anna"
    resealed = rotation.re_encrypt(store, reseal_texts=lambda _store: 1, text_purposes=["shop/name"])
    assert resealed.dropped_keys == [old]


def test_a_text_of_a_transaction_that_is_rolled_back_is_noted_the_next_time(store):
    """A note that was rolled back with the caller's own rows is made again with the next text."""

    def seal_and_fail():
        with store.connected(), store.database.atomic():
            store.seal_text("Anna", purpose="shop/name", row_id="7")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        seal_and_fail()
    store.seal_text("Ben", purpose="shop/name", row_id="8")

    with store.connected():
        assert store.parts.models.text_purpose.select().count() == 1


def test_old_keys_say_when_they_go(store, now):
    """Right after a rotation nothing is dropped, and the reason has a time in it."""
    store.save(images.png())
    old = store.parts.keyring.latest().active
    rotation.rotate_store_key(store)

    report = rotation.re_encrypt(store)

    assert report.dropped_keys == []
    assert "may still be going on" in report.kept_keys[old]
    assert " UTC" in report.kept_keys[old]


def test_a_clock_that_was_ahead_keeps_no_key_for_ever(store, now):
    """After a rotation dated far in the future the older keys stay for an hour from now, and no longer."""
    store.save(images.png())
    old = store.parts.keyring.latest().active
    now.forward(365 * 24 * 3_600_000)
    rotation.rotate_store_key(store)
    now.forward(-365 * 24 * 3_600_000)

    (reason,) = rotation.re_encrypt(store).kept_keys.values()
    assert "may still be going on" in reason
    now.forward(rotation.RETIREMENT)
    assert rotation.re_encrypt(store).dropped_keys == [old]
