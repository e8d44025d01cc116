"""The header of a blob, and what a blob gives away with the keyring alone."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pixstore import blob_format, crypto
from pixstore.blob_format import BlobHead, decode_header, encode_head, encode_header
from pixstore.details import decode_details
from pixstore.errors import BlobFormatError, DecryptionFailed, PixstoreError
from pixstore.keyring import Keyring, StoreKey
from tests.vector_files import load, vectors

VECTORS = load("blob_header.json")
OK, REFUSED = (vectors("blob_header.json", "blobs", expect=expect) for expect in ("ok", "refused"))
BLOB = bytes.fromhex(VECTORS["blobs"][0]["hex"])

heads = st.builds(
    BlobHead,
    store_key_id=st.binary(min_size=8, max_size=8).map(bytes.hex),
    blob_id=st.binary(min_size=16, max_size=16).map(bytes.hex),
    written_at=st.integers(0, 2**63),
    wrapped_key=st.binary(min_size=60, max_size=60),
    iv=st.binary(min_size=12, max_size=12),
    tag=st.binary(min_size=16, max_size=16),
    image_id=st.from_regex(r"([a-z0-9_-]{1,64}:)?[a-z0-9]{8,64}", fullmatch=True),
)


@pytest.fixture(name="keyring", scope="module")
def _keyring():
    key = StoreKey(VECTORS["store_key_id"], 0, bytes.fromhex(VECTORS["store_key"]))
    return Keyring({key.id: key}, key.id, bytes(32), 0)


def _opened(blob, keyring):
    """Return details and image of *blob*, read as a store without its database reads it."""
    head, sealed_details, payload_offset = decode_header(blob)
    place = {"store_key_id": head.store_key_id}
    details = decode_details(keyring.open_details(sealed_details, head=encode_head(head), **place))
    key = keyring.unwrap_key(head.wrapped_key, image_id=head.image_id, blob_id=head.blob_id, **place)
    state, ciphertext = blob[payload_offset], blob[payload_offset + 1 :]
    assert state == 0
    return details, crypto.unseal(ciphertext, key=key, iv=head.iv, tag=head.tag)


@pytest.mark.parametrize("entry", OK)
def test_headers_decode(entry):
    """Every field of the header is read from its place."""
    head, sealed_details, payload_offset = decode_header(bytes.fromhex(entry["hex"]))

    assert (head.store_key_id, head.blob_id, head.image_id, head.written_at) == (
        entry["store_key_id"],
        entry["blob_id"],
        entry["image_id"],
        entry["written_at"],
    )
    assert (head.wrapped_key.hex(), head.iv.hex(), head.tag.hex()) == (
        entry["wrapped_key"],
        entry["iv"],
        entry["tag"],
    )
    assert (sealed_details.hex(), payload_offset) == (entry["sealed_details"], entry["payload_offset"])


@pytest.mark.parametrize("entry", OK)
def test_headers_encode(entry):
    """The same fields give the same bytes."""
    blob = bytes.fromhex(entry["hex"])
    head, sealed_details, payload_offset = decode_header(blob)

    assert encode_header(head, sealed_details) == blob[:payload_offset]


@pytest.mark.parametrize("entry", OK)
def test_a_blob_and_its_store_key_give_back_everything(entry, keyring):
    """Format, size, the caller's details and the image come back without any database."""
    details, (format_byte, image) = _opened(bytes.fromhex(entry["hex"]), keyring)

    assert (details.format, details.extra) == (entry["image_format"], entry["extra"])
    assert (details.size, format_byte, image.hex()) == (len(image), 1, entry["image"])


@pytest.mark.parametrize("entry", REFUSED)
def test_damaged_and_moved_blobs_are_refused(entry, keyring):
    """Damage is found by the header, by the details, or by the wrapped key, as the vector says."""
    kind = BlobFormatError if entry["refused_by"] == "header" else DecryptionFailed

    with pytest.raises(kind):
        _opened(bytes.fromhex(entry["hex"]), keyring)


def test_no_flipped_bit_of_a_blob_goes_unnoticed(keyring):
    """Each bit of a blob but those of its constant zero byte is covered by a check."""
    payload_offset = decode_header(BLOB).payload_offset
    for position in range(len(BLOB)):
        altered = bytearray(BLOB)
        altered[position] ^= 1 << position % 8
        if position != payload_offset:
            with pytest.raises(PixstoreError):
                _opened(bytes(altered), keyring)


@pytest.mark.parametrize("cut", range(0, VECTORS["blobs"][0]["payload_offset"], 7))
def test_a_header_cut_anywhere_is_refused(cut):
    """A blob that breaks off inside its header is no blob."""
    with pytest.raises(BlobFormatError):
        decode_header(BLOB[:cut])


@given(head=heads, sealed_details=st.binary(max_size=300), payload=st.binary(max_size=20))
def test_any_header_comes_back(head, sealed_details, payload):
    """Whatever the fields, they are read back as they were written, and the payload is where it is said to be."""
    encoded = encode_header(head, sealed_details)

    decoded = decode_header(encoded + payload)

    assert decoded == (head, sealed_details, len(encoded))


@given(data=st.binary(max_size=400) | st.binary(max_size=400).map(lambda rest: blob_format.MAGIC + rest))
@example(BLOB)
def test_one_encoding_only(data):
    """Whatever decodes encodes to the same bytes again; anything else is a `BlobFormatError`."""
    try:
        head, sealed_details, payload_offset = decode_header(data)
    except BlobFormatError:
        return

    assert encode_header(head, sealed_details) == data[:payload_offset]


def test_details_have_a_largest_size():
    """Details at the limit are written and read; one byte more is refused, with both numbers."""
    head = decode_header(BLOB).head
    largest = bytes(blob_format.MAX_DETAILS_SIZE)

    assert decode_header(encode_header(head, largest)).sealed_details == largest
    with pytest.raises(BlobFormatError, match="65537 bytes, more than 65536"):
        encode_header(head, largest + b"\0")


def test_no_header_is_larger_than_said():
    """Who reads this many bytes of a blob has read its whole header."""
    head = decode_header(BLOB).head
    longest_id = "d" * 64 + ":" + "k" * 64

    encoded = encode_header(
        BlobHead(
            **{name: getattr(head, name) for name in BlobHead.__slots__ if name != "image_id"},
            image_id=longest_id,
        ),
        bytes(blob_format.MAX_DETAILS_SIZE),
    )

    assert len(encoded) <= blob_format.MAX_HEADER_SIZE


@given(extra=st.dictionaries(st.text(max_size=5), st.text(max_size=100), max_size=3))
def test_padded_details_tell_little_of_their_length(extra):
    """The sealed size is a multiple of 64, and the padding does not change what is read."""
    encoded = json.dumps(extra).encode()

    padded = blob_format.pad_details(encoded)

    assert len(padded) % 64 == 0
    assert 0 <= len(padded) - len(encoded) < 64
    assert json.loads(padded) == extra


def test_nothing_secret_is_printed():
    """A header shows ids and time, not the wrapped key, the IV or the tag."""
    head = decode_header(BLOB).head

    assert head.blob_id in repr(head)
    assert not any(repr(secret)[2:-1] in repr(head) for secret in (head.wrapped_key, head.iv, head.tag))
