"""`ImageStore.save`: what goes in comes out byte for byte, and what is refused leaves nothing."""

import base64
from dataclasses import replace

import pytest

from pixstore import crypto
from pixstore.errors import ImageRejected, InvalidId, PixstoreError
from pixstore.ids import is_image_id
from pixstore.maintenance.sealed_blobs import open_sealed
from pixstore.store import ImageStore
from tests import images, stored
from tests.clock import START


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


# --- what is refused


@pytest.mark.parametrize(
    "data", (b"", b"hello", images.png()[:-1], images.gif()), ids=("empty", "text", "cut", "gif")
)
def test_a_refused_image_leaves_nothing(store, data):
    """A refused image leaves no row and no blob."""
    with pytest.raises(ImageRejected):
        store.save(data)

    assert stored.blob_ids(store) == set()
    with store.connected():
        assert store.parts.models.image.select().count() == 0


def test_a_refused_directory_leaves_nothing(store):
    """The name of the directory is checked before anything is written."""
    with pytest.raises(InvalidId):
        store.save(images.png(), "///")

    assert stored.blob_ids(store) == set()


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


def test_too_many_details_are_refused_before_anything_is_written(store):
    """Details that do not fit are refused with the limit, before anything is written."""
    with pytest.raises(PixstoreError, match="more than 65536"):
        store.save(images.png(), details={"novel": "x" * 70_000})

    assert stored.blob_ids(store) == set()


# --- what is sealed along with the image


def test_details_are_sealed_into_the_blob(store):
    """The details that a caller adds can be read from the blob and the keyring alone."""
    record = store.save(images.png(), details={"owner": 7, "title": "Anna am Meer ☀"})
    blob_id = stored.row(store, record.id).blob_id

    opened = open_sealed(store.parts.blobs, blob_id, store.parts.keyring.latest())

    assert opened.details == ("png", len(images.png()), {"owner": 7, "title": "Anna am Meer ☀"})
    assert opened.header.head.image_id == record.id


def test_the_header_repeats_the_row(store, now):
    """Every column of a row but the token can be restored from its blob."""
    record = store.save(images.jpeg(), "team")
    now.forward(5)
    store.update(record.id, images.webp())
    row = stored.row(store, record.id)

    opened = open_sealed(store.parts.blobs, row.blob_id, store.parts.keyring.latest())

    assert opened.row_fields == {
        "store_key_id" if name == "store_key" else name: bytes(value)
        if isinstance(value, memoryview)
        else value
        for name, value in row.__data__.items()
        if name != "token"
    }
