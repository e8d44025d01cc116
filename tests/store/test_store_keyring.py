"""The keyring in the database and its copies beside the blobs: several hosts, keys in use, copies, texts of programs."""

import json
import threading
from contextlib import closing

import pytest

from pixstore.errors import KeyringError, StorageError
from pixstore.keyring import Keyring, store_key_ids
from pixstore.maintenance import rotation
from pixstore.store import ImageStore
from pixstore.store_keyring import REFRESH_INTERVAL
from tests import images
from tests.store.keyrings import copies_of, keys_of, row_of

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
    assert len(keys_of(store)) == 3
    assert row_of(store).generation == 3


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

    assert len({frozenset(keys_of(store)) for store in stores}) == 1
    assert len(copies_of(config)) == 1
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
    before = copies_of(store.config)

    with pytest.raises(KeyringError, match="still in use"):
        store.parts.keyring.change(lambda keyring: keyring.without_store_keys([old]))

    assert old in keys_of(store)
    assert copies_of(store.config) == before


def test_a_dropped_key_is_gone_from_every_copy(store, config, now):
    """A key that was dropped on purpose stands in no copy of the keyring, and does not come back."""
    old = store.parts.keyring.latest().active
    rotation.rotate_store_key(store)
    now.forward(rotation.RETIREMENT)
    assert rotation.re_encrypt(store).dropped_keys == [old]
    store.close()

    assert [old in store_key_ids(document) for document in copies_of(config).values()] == [False]
    with closing(ImageStore.open(config, now=now)) as again:
        assert old not in keys_of(again)


def test_an_image_sealed_under_a_key_that_has_gone_is_an_error_with_a_name(store, other):
    """A save whose key another host has dropped meanwhile says so, leaves nothing behind, and works when tried again."""
    other.parts.keyring.latest()
    rotation.rotate_store_key(store)
    old = next(iter(keys_of(store) - {store.parts.keyring.latest().active}))
    store.parts.keyring.change(lambda keyring: keyring.without_store_keys([old]))

    with pytest.raises(StorageError, match="try again"):
        other.save(images.png())

    assert list(store.parts.blobs.blobs()) == []
    assert store.load(other.save(images.png()).id) == images.png()


# --- what somebody else writes


def test_the_active_key_is_authenticated(config, now):
    """Whoever can write to the database, but has no master key, cannot make an older key the active one again."""
    store = ImageStore.open(config, now=now)
    old = store.parts.keyring.latest().active
    rotation.rotate_store_key(store)
    row = row_of(store)
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
    document = json.loads(row_of(store).document)
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
        assert len(keys_of(store)) == 1
    assert "cannot be used" in caplog.text
    assert path.read_bytes() == foreign


# --- the copies


def test_the_row_always_has_its_copy(store, config):
    """After every change there is one copy, of this generation, and a missing one is put again at a start."""
    for _ in range(3):
        rotation.rotate_store_key(store)
        assert list(copies_of(config).values()) == [bytes(row_of(store).document)]
    store.close()
    for path in (config.blobs_path / "keyring").iterdir():
        path.unlink()

    with closing(ImageStore.open(config)) as again:
        assert list(copies_of(config).values()) == [bytes(row_of(again).document)]


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
        assert bytes(row_of(again).document) in copies_of(config).values()


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
