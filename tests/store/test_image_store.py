"""`ImageStore`: save, update, delete, record, load, on a real database and real files."""

import base64
from dataclasses import replace

import pytest

from pixstore import crypto
from pixstore.answers import Question
from pixstore.blobs.memory import MemoryBlobs
from pixstore.errors import (
    DecryptionFailed,
    ImageNotFound,
    ImageRejected,
    InvalidId,
    PixstoreError,
    StorageError,
)
from pixstore.ids import is_image_id
from pixstore.maintenance import rotation
from pixstore.maintenance.sealed_blobs import open_sealed
from pixstore.store import ImageStore
from tests import images
from tests.clock import START

NOBODY = "k3v9t2m5x7q4"


def _row(store, image_id):
    with store.connected():
        return store.parts.models.image.get_by_id(image_id)


def _blob_ids(store):
    return {info.blob_id for info in store.parts.blobs.blobs()}


def _blob_path(store, image_id):
    blob_id = _row(store, image_id).blob_id
    return store.config.blobs_path / "objects" / blob_id[:3] / blob_id


def _change_row(store, image_id, **fields):
    with store.connected():
        store.parts.models.image.update(fields).where(store.parts.models.image.id == image_id).execute()


# --- save


@pytest.mark.parametrize(
    ("data", "image_format"),
    ((images.png(alpha=True), "png"), (images.webp(), "webp"), (images.photo(orientation=6), "jpg")),
    ids=("png", "webp", "jpg"),
)
def test_what_is_saved_is_loaded_byte_for_byte(store, data, image_format):
    """The image comes back exactly as it was, metadata and all."""
    record = store.save(data)

    assert store.load(record.id) == data
    assert record.image_format == image_format


def test_a_saved_image_has_an_id_a_token_and_a_proof(store, now):
    """The record names the image and its version and lets it be fetched."""
    record = store.save(images.png(), "Team A")

    assert is_image_id(record.id)
    assert record.id.startswith("teama:")
    assert record.token == START
    assert store.answer(record.id, proof=record.stateless_proof).to_bytes()[0] == 1


def test_the_record_opens_the_blob(store):
    """Key, IV and tag of the record decrypt what lies in the blob store, as other programs do it."""
    data = images.png()
    record = store.save(data)

    payload = store.answer(record.id, proof=record.stateless_proof, client_token=record.token).to_bytes()

    meta = {name: base64.b64decode(getattr(record.meta, name)) for name in ("key", "iv", "tag")}
    assert crypto.unseal(payload[1:], **meta) == (1, data)


def test_every_version_has_a_key_of_its_own(store):
    """No two versions share a key or an IV, not even of the same bytes."""
    record = store.save(images.png())
    metas = [
        record.meta,
        *(store.update(record.id, images.png()).meta for _ in range(20)),
        store.save(images.png()).meta,
    ]

    assert len({meta.key for meta in metas}) == len({meta.iv for meta in metas}) == 22


@pytest.mark.parametrize(
    "data", (b"", b"hello", images.png()[:-1], images.gif()), ids=("empty", "text", "cut", "gif")
)
def test_a_refused_image_leaves_nothing(store, data):
    """No row and no blob."""
    with pytest.raises(ImageRejected):
        store.save(data)

    assert _blob_ids(store) == set()
    with store.connected():
        assert store.parts.models.image.select().count() == 0


def test_a_refused_directory_leaves_nothing(store):
    """The name is checked before anything is written."""
    with pytest.raises(InvalidId):
        store.save(images.png(), "///")

    assert _blob_ids(store) == set()


def test_limits_of_the_settings_hold(config, now, tmp_path):
    """Size, pixels and formats are those of the store's settings."""
    limited = replace(
        config,
        max_image_bytes=2000,
        max_image_pixels=300,
        image_formats=("png", "webp", "jpg", "jpeg", "gif"),
    )
    store = ImageStore.open(limited, now=now)

    reasons = []
    for data in (images.png(size_kb=3), images.webp(width=30)):
        with pytest.raises(ImageRejected) as rejected:
            store.save(data)
        reasons.append(rejected.value.reason)
    gif = images.gif()

    assert reasons == ["too_large", "too_many_pixels"]
    assert store.load(store.save(gif).id) == gif
    store.close()


# --- update


def test_an_update_replaces_the_image(store, now):
    """Id stays; bytes, format, key and token are new; the old bytes are gone from the disk."""
    first = store.save(images.png())
    old = _blob_ids(store)
    now.forward(1000)

    second = store.update(first.id, images.jpeg())

    store.parts.reaper.reap()
    assert store.load(first.id) == images.jpeg()
    assert (second.id, second.token, second.image_format) == (first.id, START + 1000, "jpg")
    assert second.meta.key != first.meta.key
    assert _blob_ids(store).isdisjoint(old)


@pytest.mark.parametrize("passed", (0, -86_400_000), ids=("same ms", "clock set back"))
def test_tokens_only_grow(store, now, passed):
    """Whatever the clock does, a new version has a larger token, and says it was written later."""
    record = store.save(images.png())
    tokens, written = [record.token], [_row(store, record.id).written_at]

    for seed in range(3):
        now.forward(passed)
        tokens.append(store.update(record.id, images.png(seed=seed)).token)
        written.append(_row(store, record.id).written_at)

    assert tokens == [START, START + 1, START + 2, START + 3]
    assert written == sorted(set(written))


def test_updating_what_is_not_there(store):
    """There is nothing to replace, and no blob is left."""
    with pytest.raises(ImageNotFound) as error:
        store.update(NOBODY, images.png())

    assert error.value.image_id == NOBODY
    assert _blob_ids(store) == set()


def test_a_refused_update_changes_nothing(store):
    """The image is what it was, under the same token."""
    record = store.save(images.png())

    with pytest.raises(ImageRejected):
        store.update(record.id, images.png()[:-1])

    assert store.record(record.id) == record
    assert store.load(record.id) == images.png()
    assert len(_blob_ids(store)) == 1


def test_an_image_deleted_during_its_update_stays_deleted(store, monkeypatch):
    """Whoever deletes while the new version is being written wins, and no blob is left."""
    record = store.save(images.png())
    put = store.parts.blobs.put

    def delete_meanwhile(*arguments):
        put(*arguments)
        store.delete(record.id)

    monkeypatch.setattr(store.parts.blobs, "put", delete_meanwhile)
    with pytest.raises(ImageNotFound):
        store.update(record.id, images.jpeg())

    store.parts.reaper.reap()
    assert not store.exists(record.id)
    assert _blob_ids(store) == set()


# --- delete


def test_a_deleted_image_is_gone(store):
    """Record, proof and bytes: nothing answers any more, and nothing is left on the disk."""
    record = store.save(images.png())

    assert store.delete(record.id) is True

    store.parts.reaper.reap()
    assert store.record(record.id) is None
    assert not store.exists(record.id)
    assert _blob_ids(store) == set()
    with pytest.raises(ImageNotFound):
        store.load(record.id)


def test_deleting_again_is_no_error(store):
    """There was nothing: said so."""
    record = store.save(images.png())
    store.delete(record.id)

    assert store.delete(record.id) is False
    assert store.delete(NOBODY) is False


def test_deleting_one_leaves_the_others(store):
    """Others in the same directory stay as they were."""
    one, other = (store.save(images.png(seed=seed), "team") for seed in (1, 2))

    store.delete(one.id)

    store.parts.reaper.reap()
    assert store.load(other.id) == images.png(seed=2)


# --- reading


def test_records_of_a_page_come_without_keys(store):
    """One query for all, only those that exist, and no key in any."""
    saved = [store.save(images.png(seed=seed)) for seed in range(3)]

    records = store.records([*(record.id for record in saved), NOBODY, "../x", ""])

    assert set(records) == {record.id for record in saved}
    assert all(records[record.id].token == record.token for record in saved)
    assert all(record.meta is None for record in records.values())


def test_a_page_is_one_query(store):
    """However many images, the database is asked once."""
    saved = [store.save(images.png()).id for _ in range(20)]
    queries = []

    with store.connected():
        execute = store.database.execute_sql
        store.database.execute_sql = lambda *arguments, **options: (
            queries.append(arguments) or execute(*arguments, **options)
        )
        store.records(saved)
        del store.database.execute_sql

    assert len(queries) == 1


@pytest.mark.parametrize(
    "image_id", (NOBODY, "../../etc/passwd", "", "A" * 20, None, 5, b"k3v9t2m5x7q4", ["x"]), ids=repr
)
def test_what_is_no_image_is_not_found(store, image_id):
    """Ids that exist nowhere and things that are no ids look the same."""
    assert store.record(image_id) is None
    assert not store.exists(image_id)
    assert store.delete(image_id) is False
    with pytest.raises(ImageNotFound):
        store.load(image_id)


def test_a_proof_in_a_record_is_fresh(store, now):
    """Each time a record is read its proof is good for at least one more window."""
    image_id = store.save(images.png()).id
    now.forward(10 * store.config.stateless_key_window_length)

    for record in (store.record(image_id), store.records([image_id])[image_id]):
        assert store.answer(image_id, proof=record.stateless_proof).to_bytes()[0] == 1


# --- damage


def test_a_flipped_bit_is_noticed(store):
    """An altered image is not shown; others are not concerned."""
    damaged, sound = store.save(images.png()), store.save(images.jpeg())
    path = _blob_path(store, damaged.id)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    with pytest.raises(DecryptionFailed):
        store.load(damaged.id)
    assert store.load(sound.id) == images.jpeg()


@pytest.mark.parametrize(
    "change",
    (lambda data: data[:-1], lambda data: data + b"\0", lambda _: b""),
    ids=("cut", "longer", "empty"),
)
def test_a_blob_of_another_length_is_noticed(store, change):
    """A truncated file names its blob, and is never sent as if it were whole."""
    record = store.save(images.png())
    path = _blob_path(store, record.id)
    path.write_bytes(change(path.read_bytes()))

    with pytest.raises(StorageError, match="wrong length") as error:
        store.load(record.id)
    assert error.value.name == path.name
    assert store.answer(record.id, proof=record.stateless_proof).to_bytes() == b"\x06"


def test_a_missing_blob_is_named(store):
    """A file that somebody removed is an error, not an image that never was."""
    record = store.save(images.png())
    path = _blob_path(store, record.id)
    path.unlink()

    with pytest.raises(StorageError, match=f"the blob {path.name} is missing"):
        store.load(record.id)
    assert store.answer(record.id, proof=record.stateless_proof).to_bytes() == b"\x06"


def test_a_row_does_not_open_in_another_place(store):
    """What one row says does not open another image's blob: keys are bound to image and blob."""
    mine, other = store.save(images.png(seed=1)), store.save(images.png(seed=2))
    theirs = _row(store, other.id)

    for fields in (
        {"wrapped_key": theirs.wrapped_key},
        {"iv": theirs.iv},
        {"tag": theirs.tag},
        {"wrapped_key": theirs.wrapped_key, "iv": theirs.iv, "tag": theirs.tag},
    ):
        good = _row(store, mine.id)
        _change_row(store, mine.id, **fields)
        with pytest.raises(DecryptionFailed):
            store.load(mine.id)
        _change_row(store, mine.id, wrapped_key=good.wrapped_key, iv=good.iv, tag=good.tag)

    assert store.load(mine.id) == images.png(seed=1)


def test_a_row_that_points_at_anothers_blob_does_not_open_it(store):
    """Renaming rows in the database shows nobody another person's picture."""
    mine, other = store.save(images.png()), store.save(images.png())
    path = _blob_path(store, other.id)
    store.delete(other.id)
    store.parts.blobs.delete(path.name)
    _blob_path(store, mine.id).rename(path)
    _change_row(store, mine.id, blob_id=path.name)

    with pytest.raises(PixstoreError):
        store.load(mine.id)


_JUNK = (None, -1, "junk", b"\xff", 2**62)


@pytest.mark.parametrize(
    "column", ("token", "wrapped_key", "iv", "tag", "payload_offset", "payload_size", "store_key_id")
)
def test_a_damaged_row_is_answered_and_takes_no_other_with_it(store, column):
    """Whatever stands in a column, the endpoint answers a state, and the next image is served."""
    damaged, sound = store.save(images.png()), store.save(images.png())
    for junk in _JUNK:
        with store.connected():
            sql = f'UPDATE OR IGNORE image SET "{column}" = ? WHERE id = ?'
            store.database.execute_sql(sql, (junk, damaged.id))
        questions = [Question(record.id, record.stateless_proof) for record in (damaged, sound)]

        answers = [answer.to_bytes() for answer in store.answers(questions)]

        assert answers[0][0] in (1, 6)
        assert answers[1][0] == 1


def test_a_failing_disk_while_reading(store, monkeypatch):
    """An input/output error in the middle of a blob is a `StorageError`."""
    record = store.save(images.png())
    open_blob = store.parts.blobs.open

    class FailingBlob:
        def __init__(self, file):
            self.seek, self.close = file.seek, file.close

        def read(self, *_):
            raise OSError(5, "Input/output error")

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.close()

    monkeypatch.setattr(store.parts.blobs, "open", lambda blob_id: FailingBlob(open_blob(blob_id)))

    with pytest.raises(StorageError):
        store.load(record.id)
    assert store.answer(record.id, proof=record.stateless_proof).to_bytes() == b"\x06"


# --- a blob that is gone because an update won


def test_a_reader_that_loses_the_race_reads_the_new_version(store, monkeypatch):
    """Row read, then replaced and removed: the reader gets the newer version, whole."""
    record = store.save(images.png())
    open_blob = store.parts.blobs.open

    def replaced_meanwhile(blob_id):
        monkeypatch.setattr(store.parts.blobs, "open", open_blob)
        store.update(record.id, images.jpeg())
        store.parts.reaper.reap()
        return open_blob(blob_id)

    monkeypatch.setattr(store.parts.blobs, "open", replaced_meanwhile)

    assert store.load(record.id) == images.jpeg()


def test_a_reader_of_an_image_deleted_meanwhile_finds_none(store, monkeypatch):
    """Row read, then deleted: there is no such image."""
    record = store.save(images.png())
    open_blob = store.parts.blobs.open

    def deleted_meanwhile(blob_id):
        store.delete(record.id)
        store.parts.reaper.reap()
        return open_blob(blob_id)

    monkeypatch.setattr(store.parts.blobs, "open", deleted_meanwhile)

    assert store.answer(record.id, proof=record.stateless_proof).to_bytes() == b"\x02"


def test_a_reader_gives_up_in_the_end(store, monkeypatch):
    """An image replaced faster than it can be read is an error, not an endless loop."""
    record = store.save(images.png())
    open_blob = store.parts.blobs.open

    def replaced_each_time(blob_id):
        with monkeypatch.context() as patch:
            patch.setattr(store.parts.blobs, "open", open_blob)
            store.update(record.id, images.png())
            store.parts.reaper.reap()
        return open_blob(blob_id)

    monkeypatch.setattr(store.parts.blobs, "open", replaced_each_time)

    with pytest.raises(StorageError, match="faster than it can be read"):
        store.load(record.id)


@pytest.mark.parametrize("change", ("update", "delete"))
def test_re_encryption_that_loses_the_race_has_nothing_to_report(store, monkeypatch, change):
    """Row read, then replaced or deleted, and removed: the newer version stays, and nothing is said to be missing."""
    record = store.save(images.png())
    rotation.rotate_store_key(store)
    open_blob = store.parts.blobs.open

    def changed_meanwhile(blob_id):
        monkeypatch.setattr(store.parts.blobs, "open", open_blob)
        store.update(record.id, images.jpeg()) if change == "update" else store.delete(record.id)
        store.parts.reaper.reap()
        return open_blob(blob_id)

    monkeypatch.setattr(store.parts.blobs, "open", changed_meanwhile)

    assert rotation.re_encrypt(store).failed == {}
    assert store.exists(record.id) is (change == "update")


def test_re_encryption_names_an_image_whose_blob_is_missing(store):
    """A blob that is really gone is no race: it is reported, once."""
    record = store.save(images.png())
    blob_id = _row(store, record.id).blob_id
    store.parts.blobs.delete(blob_id)
    rotation.rotate_store_key(store)

    assert rotation.re_encrypt(store).failed == {record.id: f"the blob {blob_id} is missing"}


# --- details, texts, secrets


def test_details_are_sealed_into_the_blob(store):
    """What the caller adds can be had back from the blob and the keyring alone."""
    record = store.save(images.png(), details={"owner": 7, "title": "Anna am Meer ☀"})
    blob_id = _row(store, record.id).blob_id

    opened = open_sealed(store.parts.blobs, blob_id, store.parts.keyring.latest())

    assert opened.details == ("png", len(images.png()), {"owner": 7, "title": "Anna am Meer ☀"})
    assert opened.header.head.image_id == record.id


def test_the_header_repeats_the_row(store, now):
    """Every column but the token can be restored from the blob."""
    record = store.save(images.jpeg(), "team")
    now.forward(5)
    store.update(record.id, images.webp())
    row = _row(store, record.id)

    opened = open_sealed(store.parts.blobs, row.blob_id, store.parts.keyring.latest())

    assert opened.row_fields == {
        name: bytes(value) if isinstance(value, memoryview) else value
        for name, value in row.__data__.items()
        if name != "token"
    }


def test_too_many_details_are_refused_before_anything_is_written(store):
    """Who adds more than fits is told how much fits."""
    with pytest.raises(PixstoreError, match="more than 65536"):
        store.save(images.png(), details={"novel": "x" * 70_000})

    assert _blob_ids(store) == set()


def test_texts_open_only_in_their_place(store):
    """A title sealed for one row does not open in another."""
    sealed = store.seal_text("Anna am Meer ☀", purpose="title", row_id="7")

    assert store.open_text(sealed, purpose="title", row_id="7") == "Anna am Meer ☀"
    with pytest.raises(DecryptionFailed):
        store.open_text(sealed, purpose="title", row_id="8")


def test_secrets_differ_by_label_and_stay(store, config, now):
    """Each purpose has its own secret, the same after a restart."""
    secret = store.secret("pixstore/v1/session")
    store.close()

    again = ImageStore.open(config, now=now)

    assert again.secret("pixstore/v1/session") == secret
    assert again.secret("pixstore/v1/content-id") != secret
    again.close()


# --- opening and closing


def test_everything_is_there_after_a_restart(config, now):
    """A closed store opens again with every image, and proofs given before are still good."""
    store = ImageStore.open(config, now=now)
    record = store.save(images.png())
    store.close()

    again = ImageStore.open(config, now=now)

    assert again.load(record.id) == images.png()
    assert again.answer(record.id, proof=record.stateless_proof).to_bytes()[0] == 1
    again.close()


def test_closing_twice_is_no_error(config, now):
    """A program that closes what it closed already goes on."""
    store = ImageStore.open(config, now=now)

    store.close()
    store.close()


def test_any_blob_store_will_do(config, now):
    """The store works on everything that keeps the contract."""
    store = ImageStore.open(config, blobs=MemoryBlobs(), now=now)
    record = store.save(images.png())

    store.update(record.id, images.jpeg())
    store.parts.reaper.reap()

    assert store.load(record.id) == images.jpeg()
    assert len(_blob_ids(store)) == 1
    store.close()
