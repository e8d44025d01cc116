"""Nothing readable at rest: the whole data directory is searched for everything that went in."""

import base64
from dataclasses import replace

import pytest

from pixstore.errors import KeyringError
from pixstore.master_key import master_keys
from pixstore.store import ImageStore
from tests import images

MASTER_KEY = bytes(range(32))
TITLE = "Anna am Meer"
MAGIC = (
    b"\x89PNG\r\n",
    b"\xff\xd8\xff\xe0\x00\x10JFIF",
    b"\xff\xd8\xff\xe1",
    b"WEBPVP8",
    b"Exif\0\0",
    b"IHDR",
    b"IDAT",
    b"IEND",
)


def _forms(secret):
    """Return the ways in which bytes might have been written down."""
    return (
        secret,
        secret.hex().encode(),
        base64.b64encode(secret),
        base64.urlsafe_b64encode(secret),
        secret[::-1],
    )


def _found(directory, wanted):
    """Return the files of *directory* in which one of the *wanted* bytes stands."""
    return {
        (path.name, needle[:20])
        for path in directory.rglob("*")
        if path.is_file()
        for needle in wanted
        if needle in path.read_bytes()
    }


@pytest.fixture(name="used", params=("open", "closed"))
def _used(request, config, now):
    """Return settings and records of a store that was used, while it is open and after it was closed."""
    config = replace(config, master_key=MASTER_KEY)
    store = ImageStore.open(config, now=now)
    details = {"owner": 7, "title": TITLE}
    records = [
        store.save(images.png(size_kb=20), "album", details),
        store.save(images.photo(width=300, height=200, orientation=6), None, details),
        store.save(images.webp(size_kb=20), None, details),
    ]
    records.append(store.update(records[0].id, images.jpeg(size_kb=30), details))
    store.seal_text(TITLE, purpose="title", row_id="7")
    if request.param == "closed":
        store.close()
    yield config, records
    if request.param == "open":
        store.close()


def test_no_image_can_be_read(used):
    """No magic number of any format and no piece of any image is found."""
    config, _ = used
    pieces = [
        data[at : at + 12]
        for data in (images.jpeg(size_kb=30), images.webp(size_kb=20))
        for at in range(0, 9000, 1000)
    ]

    assert _found(config.data_dir, [*MAGIC, *pieces]) == set()


def test_no_name_can_be_read(used):
    """The title that went into the details is not found, in no encoding."""
    config, _ = used

    assert _found(config.data_dir, [*_forms(TITLE.encode()), TITLE.encode("utf-16-le")]) == set()


def test_no_key_can_be_read(used):
    """Neither an image's key, nor a store key, nor the service secret, nor what is derived from it, nor the master key."""
    config, records = used
    store = ImageStore.open(config)
    keyring = store.parts.keyring.latest()
    secrets = [
        MASTER_KEY,
        keyring.service_secret,
        *(key.secret for key in keyring.store_keys.values()),
        *(keyring.secret(f"pixstore/v1/{name}") for name in ("proof", "session", "content-id")),
        *(base64.b64decode(record.meta.key) for record in records),
    ]
    store.close()

    assert _found(config.data_dir, [form for secret in secrets for form in _forms(secret)]) == set()


def test_no_proof_is_written(used):
    """Proofs are made when they are needed."""
    config, records = used

    assert _found(config.data_dir, [record.stateless_proof.encode() for record in records]) == set()


def test_the_search_finds_what_is_there(config, now):
    """The same search finds the one key that does lie in the data directory: the master key of a first start."""
    ImageStore.open(config, now=now).close()

    found = _found(config.data_dir, _forms(master_keys(config)[0]))

    assert {name for name, _ in found} == {"master.key"}


def test_without_the_master_key_a_copy_of_everything_is_worth_nothing(used):
    """Whoever takes the directory but not the key opens nothing with another key."""
    config, _ = used

    with pytest.raises(KeyringError):
        ImageStore.open(replace(config, master_key=bytes(32)))


def test_equal_images_look_different(store):
    """Two copies of one image have no common bytes that would tell."""
    data = images.png(size_kb=5)
    for _ in range(2):
        store.save(data)

    first, second = (path.read_bytes() for path in (store.config.blobs_path / "objects").glob("*/*"))

    assert len(first) == len(second)
    common = sum(a == b for a, b in zip(first[-4096:], second[-4096:], strict=True))
    assert common < 4096 / 256 * 4


def test_the_size_of_a_title_does_not_show(store):
    """Details of similar length lead to blobs of one length."""
    for title in ("A", "Anna", "Anna am Me"):
        store.save(images.png(), details={"title": title})

    assert len({info.size for info in store.parts.blobs.blobs()}) == 1
