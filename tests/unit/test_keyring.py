"""The keyring: its document, what it wraps, rotation, and that it shows no secret."""

import base64
import itertools
import json
import math
from contextlib import suppress
from itertools import count

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pixstore import crypto
from pixstore.errors import DecryptionFailed, KeyringError, PixstoreError
from pixstore.keyring import Keyring, store_key_ids
from tests.vector_files import load, vectors

VECTORS = load("keyring.json")
GOOD = VECTORS["keyrings"][0]
MASTER_KEY = bytes.fromhex(GOOD["master_key"])
IMAGE_ID, BLOB_ID = "players:k3v9t2m5", "0a" * 16


@pytest.fixture(name="keyring")
def _keyring():
    return Keyring.create(now=1000)


def _opened(entry=GOOD, **arguments):
    arguments["may_be_unsealed"] = entry.get("may_be_unsealed", False)
    return Keyring.from_json(entry["document"].encode(), bytes.fromhex(entry["master_key"]), **arguments)


def _counting():
    """Return a source of bytes that are all different and always the same."""
    numbers = count()
    return lambda size: next(numbers).to_bytes(size, "big")


# --- the document


@pytest.mark.parametrize("entry", vectors("keyring.json", "keyrings", expect="ok"))
def test_document_opens(entry):
    """With the master key a document gives every store key and the service secret."""
    keyring = _opened(entry)

    keys = [
        {"id": key.id, "created_at": key.created_at, "secret": key.secret.hex()}
        for key in keyring.store_keys.values()
    ]
    assert (keyring.active, keys) == (entry["active"], entry["store_keys"])
    assert (keyring.generation, keyring.dropped, keyring.held) == (
        entry["generation"],
        frozenset(entry["dropped"]),
        frozenset(entry["held"]),
    )
    assert keyring.service_secret.hex() == entry["service_secret"]
    assert keyring.service_secret_created_at == entry["service_secret_created_at"]


@pytest.mark.parametrize("entry", vectors("keyring.json", "keyrings", expect="refused"))
def test_anything_else_does_not_open(entry):
    """Another master key, altered or moved secrets, damage: each is a `KeyringError` in plain words."""
    with pytest.raises(KeyringError, match=r"^the (master key|keyring) \w+"):
        _opened(entry)


def test_document_comes_back(keyring):
    """What is written opens to the same keyring."""
    assert Keyring.from_json(keyring.to_json(MASTER_KEY), MASTER_KEY) == keyring


def test_document_of_the_same_randomness_is_the_same():
    """Randomness is an argument: with the same one the bytes are the same."""
    first, second = (Keyring.create(now=1, randbytes=_counting()).to_json(MASTER_KEY) for _ in range(2))

    assert first == second


def test_every_document_is_wrapped_afresh(keyring):
    """Written twice, no nonce is used twice."""
    first, second = (json.loads(keyring.to_json(MASTER_KEY)) for _ in range(2))

    assert first["store_keys"][0]["wrapped"][:16] != second["store_keys"][0]["wrapped"][:16]


def test_document_holds_no_secret(keyring):
    """Neither a key nor the service secret nor the master key stands in the document, in any encoding."""
    document = keyring.to_json(MASTER_KEY)

    for secret in (MASTER_KEY, keyring.service_secret, keyring.store_keys[keyring.active].secret):
        for encoded in (secret, secret.hex().encode(), base64.b64encode(secret).rstrip(b"=")):
            assert encoded not in document


def test_another_master_key_is_told_from_damage(keyring):
    """The two things that a person can do about it are different, so the messages are."""
    with pytest.raises(KeyringError, match="the key of another store"):
        Keyring.from_json(keyring.to_json(MASTER_KEY), bytes(32))
    with pytest.raises(KeyringError, match="the keyring is damaged"):
        Keyring.from_json(keyring.to_json(MASTER_KEY)[:-10], MASTER_KEY)


@pytest.mark.parametrize("document", (b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b"null", b"1e999"))
def test_odd_json_is_damage(document):
    """Deep, binary or bare JSON is refused as any other damage."""
    with pytest.raises(KeyringError, match="damaged"):
        Keyring.from_json(document, MASTER_KEY)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(
    field=st.sampled_from(("active", "store_keys", "service_secret", "created_at", "wrapped", "id")),
    value=_json,
)
@example("created_at", math.inf)
@example("created_at", math.nan)
def test_any_value_in_any_field_is_a_keyring_or_an_error(field, value):
    """A document edited by hand or by an attacker never leads to another error."""
    document = json.loads(GOOD["document"])
    for place in (document, document["store_keys"][0], document["service_secret"]):
        if field in place:
            place[field] = value

    with suppress(KeyringError):
        Keyring.from_json(json.dumps(document).encode(), MASTER_KEY)


# --- image keys


@pytest.mark.parametrize("entry", vectors("keyring.json", "image_keys", expect="ok"))
def test_image_keys_unwrap(entry):
    """An image key opens with the store key that wrapped it, in its place."""
    place = {name: entry[name] for name in ("store_key_id", "image_id", "blob_id")}

    assert _opened().unwrap_key(bytes.fromhex(entry["wrapped"]), **place).hex() == entry["image_key"]


@pytest.mark.parametrize("entry", vectors("keyring.json", "image_keys", expect="refused"))
def test_image_keys_do_not_unwrap_elsewhere(entry):
    """Moved to another image or blob, or altered, it does not open."""
    place = {name: entry[name] for name in ("store_key_id", "image_id", "blob_id")}

    with pytest.raises((DecryptionFailed, KeyringError)):
        _opened().unwrap_key(bytes.fromhex(entry["wrapped"]), **place)


def test_image_keys_are_wrapped_as_in_the_vectors():
    """With the nonce of the vector, wrapping gives its bytes."""
    entry = VECTORS["image_keys"][0]
    wrapped = bytes.fromhex(entry["wrapped"])
    keyring = _opened(randbytes=lambda size: wrapped[:size])

    again = keyring.wrap_key(
        bytes.fromhex(entry["image_key"]), image_id=entry["image_id"], blob_id=entry["blob_id"]
    )

    assert again == wrapped


def test_an_unknown_store_key_is_named(keyring):
    """Who restored an old keyring learns which key is missing."""
    with pytest.raises(KeyringError, match="does not hold the store key 0102030405060708"):
        keyring.unwrap_key(bytes(60), store_key_id="0102030405060708", image_id=IMAGE_ID, blob_id=BLOB_ID)


# --- details and texts


@pytest.mark.parametrize("entry", vectors("keyring.json", "texts", expect="ok"))
def test_texts_open(entry):
    """A title opens in its column and its row."""
    sealed = bytes.fromhex(entry["sealed"])

    assert _opened().open_text(sealed, purpose=entry["purpose"], row_id=entry["row_id"]) == entry["text"]


@pytest.mark.parametrize("entry", vectors("keyring.json", "texts", expect="refused"))
def test_texts_do_not_open_elsewhere(entry):
    """In another column or row, or altered, it does not."""
    with pytest.raises((DecryptionFailed, KeyringError)):
        _opened().open_text(bytes.fromhex(entry["sealed"]), purpose=entry["purpose"], row_id=entry["row_id"])


@given(text=st.text(st.characters(codec="utf-8")))
def test_any_text_comes_back(text):
    """Whatever a picture is called, it is called so again."""
    keyring = _opened()

    assert (
        keyring.open_text(keyring.seal_text(text, purpose="title", row_id="7"), purpose="title", row_id="7")
        == text
    )


@given(garbage=st.binary(max_size=80))
def test_garbage_is_no_text(garbage):
    """Bytes that were never sealed are refused, whatever their length."""
    with pytest.raises(PixstoreError):
        _opened().open_text(garbage, purpose="title", row_id="7")


def test_details_are_bound_to_their_head(keyring):
    """The details of one blob do not open with the header of another."""
    sealed = keyring.seal_details(b"details", head=b"head")

    assert keyring.open_details(sealed, store_key_id=keyring.active, head=b"head") == b"details"
    with pytest.raises(DecryptionFailed):
        keyring.open_details(sealed, store_key_id=keyring.active, head=b"another")


def test_texts_and_details_have_keys_of_their_own(keyring):
    """One key, one purpose: none of them is the store key itself, and they differ."""
    ciphers = [keyring._cipher(keyring.active, label) for label in (None, "a", "b")]

    for sealer, opener in itertools.permutations(ciphers, 2):
        sealed = crypto.wrap(b"secret", key=sealer, nonce=bytes(12), associated_data=b"")
        with pytest.raises(DecryptionFailed):
            crypto.unwrap(sealed, key=opener, associated_data=b"")


# --- rotation


def test_a_new_store_key_wraps_and_the_old_one_still_opens(keyring):
    """After a rotation new keys are wrapped by the new key, and nothing old is lost."""
    old = keyring.wrap_key(b"k" * 32, image_id=IMAGE_ID, blob_id=BLOB_ID)

    rotated = keyring.with_new_store_key(now=2000)

    place = {"image_id": IMAGE_ID, "blob_id": BLOB_ID}
    new = rotated.wrap_key(b"n" * 32, **place)
    assert rotated.unwrap_key(old, store_key_id=keyring.active, **place) == b"k" * 32
    assert rotated.unwrap_key(new, store_key_id=rotated.active, **place) == b"n" * 32
    assert rotated.active != keyring.active
    assert rotated.store_keys[rotated.active].created_at == 2000
    assert list(keyring.store_keys) == [keyring.active]


def test_a_removed_store_key_opens_nothing(keyring):
    """A store key that nothing needs any more can go; the active one can not."""
    rotated = keyring.with_new_store_key(now=2000)

    assert list(rotated.without_store_keys([keyring.active]).store_keys) == [rotated.active]
    with pytest.raises(KeyringError, match="active"):
        rotated.without_store_keys([rotated.active])


def test_a_new_service_secret_changes_every_derived_secret(keyring):
    """Sessions and proofs end with it; store keys stay."""
    rotated = keyring.with_new_service_secret(now=2000)

    assert rotated.secret("pixstore/v1/session") != keyring.secret("pixstore/v1/session")
    assert rotated.store_keys == keyring.store_keys
    assert rotated.service_secret_created_at == 2000


def test_the_master_key_is_changed_by_writing_the_document_again(keyring):
    """With another master key the same keyring opens, and the earlier one does not open the new document."""
    document = keyring.to_json(bytes(32))

    assert Keyring.from_json(document, bytes(32)) == keyring
    with pytest.raises(KeyringError):
        Keyring.from_json(document, MASTER_KEY)


# --- secrets


@pytest.mark.parametrize("entry", VECTORS["derived"], ids=lambda entry: entry["label"])
def test_each_label_has_its_secret(entry):
    """The secrets for proofs, sessions and content ids are those of the vectors."""
    keyring = _opened()

    assert keyring.secret(entry["label"]).hex() == entry["key"]
    assert keyring.secret(entry["label"]) is keyring.secret(entry["label"])


def test_nothing_secret_is_printed(keyring):
    """A keyring and a store key show ids and times, no secret; so do the errors they raise."""
    keyring.secret("pixstore/v1/session")
    key = keyring.store_keys[keyring.active]
    with pytest.raises(KeyringError) as wrong:
        Keyring.from_json(keyring.to_json(MASTER_KEY), bytes(range(32)))

    shown = f"{keyring!r} {keyring} {key!r} {wrong.value!r}"

    assert keyring.active in shown
    for secret in (
        key.secret,
        keyring.service_secret,
        MASTER_KEY,
        bytes(range(32)),
        keyring.secret("pixstore/v1/session"),
    ):
        assert secret.hex() not in shown
        assert repr(secret)[2:-1] not in shown


def test_the_ids_of_the_store_keys_need_no_master_key():
    """Which store keys a document holds can be told without opening it; a damaged one is refused by name."""
    keyring = Keyring.create(now=1).with_new_store_key(now=2)

    assert store_key_ids(keyring.to_json(bytes(32))) == set(keyring.store_keys)
    for damaged in (b"", b"[]", b'{"format": "pixstore-keyring", "version": 1, "store_keys": [1]}'):
        with pytest.raises(KeyringError, match="damaged"):
            store_key_ids(damaged)
