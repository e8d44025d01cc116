"""Sealing, wrapping and deriving: our vectors, those of NIST and of the RFCs, and what altered bytes lead to."""

import re
from contextlib import closing

import cryptography_vectors
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixstore import crypto
from pixstore.errors import BlobFormatError, DecryptionFailed
from pixstore.formats import format_of_byte
from tests.vector_files import load, nist_gcm_vectors, vectors

KEY, IV = bytes(range(32)), bytes(range(12))
FORMATS = tuple(load("sealed.json")["image_formats"])


def _unhex(entry, *names):
    return {name: bytes.fromhex(entry[name]) for name in names}


@pytest.mark.parametrize("entry", vectors("sealed.json", "images", expect="ok"))
def test_sealed_image_opens(entry):
    """A sealed image of the format other programs use opens to its format and its bytes."""
    format_byte, image = crypto.unseal(**_unhex(entry, "ciphertext", "key", "iv", "tag"))

    assert (format_byte, image.hex()) == (entry["format_byte"], entry["image"])
    assert format_of_byte(format_byte, FORMATS) == entry["format"]


@pytest.mark.parametrize("entry", vectors("sealed.json", "images", expect="ok"))
def test_sealing_gives_the_same_bytes(entry):
    """With the key and IV of a vector, sealing gives its ciphertext and tag to the bit."""
    sealed = crypto.seal(bytes.fromhex(entry["image"]), entry["format_byte"], **_unhex(entry, "key", "iv"))

    assert (sealed.ciphertext.hex(), sealed.tag.hex()) == (entry["ciphertext"], entry["tag"])


@pytest.mark.parametrize("entry", vectors("sealed.json", "images", expect="refused"))
def test_anything_else_does_not_open(entry):
    """Altered, cut, shifted or badly shaped: it is refused and no byte comes out."""
    with pytest.raises((DecryptionFailed, BlobFormatError)):
        format_of_byte(crypto.unseal(**_unhex(entry, "ciphertext", "key", "iv", "tag"))[0], FORMATS)


def test_every_refusal_looks_the_same():
    """A wrong key and an altered image can not be told apart by the error."""
    sealed = crypto.seal(b"image", 1, key=KEY, iv=IV)
    refusals = [
        {"key": bytes(32), "iv": IV, "tag": sealed.tag, "ciphertext": sealed.ciphertext},
        {"key": KEY, "iv": IV, "tag": bytes(16), "ciphertext": sealed.ciphertext},
        {"key": KEY, "iv": IV, "tag": sealed.tag, "ciphertext": b""},
    ]

    seen = set()
    for refusal in refusals:
        with pytest.raises(DecryptionFailed) as refused:
            crypto.unseal(**refusal)
        seen.add((str(refused.value), refused.value.__cause__))

    assert len(seen) == 1


@given(image=st.binary(min_size=1), format_byte=st.integers(1, 255))
def test_what_is_sealed_opens_again(image, format_byte):
    """Whatever the bytes, they come back as they were, one byte longer on the way."""
    sealed = crypto.seal(image, format_byte, key=KEY, iv=IV)

    assert crypto.unseal(sealed.ciphertext, key=KEY, iv=IV, tag=sealed.tag) == (format_byte, image)
    assert len(sealed.ciphertext) == 1 + len(image)


@given(image=st.binary(min_size=1, max_size=64), data=st.data())
def test_no_flipped_bit_goes_unnoticed(image, data):
    """A single flipped bit of ciphertext or tag is refused."""
    sealed = crypto.seal(image, 1, key=KEY, iv=IV)
    joined = bytearray(b"".join(sealed))
    joined[data.draw(st.integers(0, len(joined) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises(DecryptionFailed):
        crypto.unseal(joined[:-16], key=KEY, iv=IV, tag=joined[-16:])


@pytest.mark.parametrize("kind", (bytes, bytearray, memoryview))
def test_any_buffer_can_be_sealed_and_opened(kind):
    """Image and ciphertext may be any buffer of bytes."""
    sealed = crypto.seal(kind(b"image"), 1, key=KEY, iv=IV)

    assert crypto.unseal(kind(bytes(sealed.ciphertext)), key=KEY, iv=IV, tag=sealed.tag)[1] == b"image"


@given(secret=st.binary(max_size=100), associated_data=st.binary(max_size=50))
def test_what_is_wrapped_opens_only_in_its_place(secret, associated_data):
    """A wrapped secret opens with its associated data, and with no other."""
    wrapped = crypto.wrap(secret, key=KEY, nonce=IV, associated_data=associated_data)

    assert crypto.unwrap(wrapped, key=KEY, associated_data=associated_data) == secret
    assert len(wrapped) == len(secret) + crypto.WRAP_OVERHEAD
    with pytest.raises(DecryptionFailed):
        crypto.unwrap(wrapped, key=KEY, associated_data=associated_data + b"\0")


@given(garbage=st.binary(max_size=100))
def test_garbage_does_not_unwrap(garbage):
    """Bytes of any length that were never wrapped are refused in the same way."""
    with pytest.raises(DecryptionFailed):
        crypto.unwrap(garbage, key=KEY, associated_data=b"")


# --- other people's vectors


def _unwrapped(vector) -> str | None:
    wrapped = bytes.fromhex(vector["IV"] + vector["CT"] + vector["Tag"])
    try:
        associated_data = bytes.fromhex(vector["AAD"])
        return crypto.unwrap(wrapped, key=bytes.fromhex(vector["Key"]), associated_data=associated_data).hex()
    except DecryptionFailed:
        return None


def test_unwrap_agrees_with_nist():
    """NIST's AES-256-GCM decryption vectors, those that must fail included."""
    used = list(nist_gcm_vectors("gcmDecrypt256.rsp"))

    assert len(used) > 300
    assert any(vector["fails"] for vector in used)
    for vector in used:
        assert _unwrapped(vector) == (None if vector["fails"] else vector["PT"])


def test_wrap_agrees_with_nist():
    """NIST's AES-256-GCM encryption vectors."""
    used = list(nist_gcm_vectors("gcmEncryptExtIV256.rsp"))

    assert len(used) > 300
    for vector in used:
        key, nonce, secret, associated_data = (
            bytes.fromhex(vector[name]) for name in ("Key", "IV", "PT", "AAD")
        )
        wrapped = crypto.wrap(secret, key=key, nonce=nonce, associated_data=associated_data)
        assert wrapped.hex() == vector["IV"] + vector["CT"] + vector["Tag"]


def test_seal_and_unseal_agree_with_nist():
    """NIST's vectors without associated data, the first plaintext byte taken as the format."""
    used = [v for v in nist_gcm_vectors("gcmEncryptExtIV256.rsp") if not v["AAD"] and len(v["PT"]) >= 4]

    assert len(used) >= 60
    for vector in used:
        key, iv, plaintext = (bytes.fromhex(vector[name]) for name in ("Key", "IV", "PT"))
        sealed = crypto.seal(plaintext[1:], plaintext[0], key=key, iv=iv)
        assert (sealed.ciphertext.hex(), sealed.tag.hex()) == (vector["CT"], vector["Tag"])
        opened = crypto.unseal(sealed.ciphertext, key=key, iv=iv, tag=sealed.tag)
        assert opened == (plaintext[0], plaintext[1:])


def test_derive_agrees_with_rfc_5869():
    """The vector of RFC 5869 that has, as ours, no salt; its info is empty, and 32 bytes are taken."""
    with closing(cryptography_vectors.open_vector_file("KDF/rfc-5869-HKDF-SHA256.txt", "r")) as lines:
        fields = dict(re.findall(r"^(\w+)\s*= ?(\w*)$", lines.read().partition("COUNT = 3")[2], re.MULTILINE))

    assert (fields["salt"], fields["info"]) == ("", "")
    assert crypto.derive(bytes.fromhex(fields["IKM"]), "").hex() == fields["OKM"][:64]


@pytest.mark.parametrize("entry", load("keyring.json")["derived"], ids=lambda entry: entry["label"])
def test_derive_agrees_with_the_vectors(entry):
    """Each label leads to its key."""
    service_secret = bytes.fromhex(load("keyring.json")["keyrings"][0]["service_secret"])

    assert crypto.derive(service_secret, entry["label"]).hex() == entry["key"]
