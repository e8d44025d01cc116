"""The wire payload: the vectors, one encoding only, nothing printed."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pixstore import wire
from pixstore.errors import WireError
from pixstore.wire import Refusal, Success, Updated, WireState
from tests.vector_files import vectors

OK, REFUSED = (vectors("wire.json", "payloads", expect=expect) for expect in ("ok", "refused"))
KEY, IV, TAG = b"k" * 32, b"i" * 12, b"t" * 16

ciphertexts = st.binary(min_size=1, max_size=64)
tokens = st.integers(0, 2**53 - 1)


def _payload(entry):
    match entry["state"]:
        case WireState.SUCCESS:
            return Success(bytes.fromhex(entry["ciphertext"]))
        case WireState.UPDATED:
            secrets = (bytes.fromhex(entry[name]) for name in ("key", "iv", "tag", "ciphertext"))
            return Updated(entry["token"], *secrets)
        case state:
            return Refusal(WireState(state))


@pytest.mark.parametrize("entry", OK)
def test_vectors_decode(entry):
    """Each payload decodes to the state and the fields it says."""
    assert wire.decode(bytes.fromhex(entry["hex"])) == _payload(entry)


@pytest.mark.parametrize("entry", OK)
def test_vectors_encode(entry):
    """The same state and fields encode to the same bytes."""
    assert wire.encode(_payload(entry)).hex() == entry["hex"]


@pytest.mark.parametrize("entry", REFUSED)
def test_anything_else_is_refused(entry):
    """Bytes that are no payload are refused with a reason."""
    with pytest.raises(WireError, match=r"not a wire payload: \w+"):
        wire.decode(bytes.fromhex(entry["hex"]))


@pytest.mark.parametrize("entry", vectors("wire.json", "batches", expect="ok"))
def test_batch_lengths(entry):
    """A batch is every payload behind its length."""
    payloads = [bytes.fromhex(payload) for payload in entry["payloads"]]

    assert b"".join(wire.batch_length(len(payload)) + payload for payload in payloads).hex() == entry["hex"]


@given(st.binary(max_size=120) | st.binary(min_size=60, max_size=90).map(lambda rest: b"\x01" + rest))
@example(b"\x01" + bytes(8) + KEY + IV + TAG + b"c")
def test_one_encoding_only(data):
    """Whatever decodes encodes to the same bytes again; anything else is a `WireError`."""
    try:
        payload = wire.decode(data)
    except WireError:
        return

    assert wire.encode(payload) == data


@given(
    st.builds(Success, ciphertexts)
    | st.builds(Updated, tokens, st.binary(min_size=32, max_size=32), st.just(IV), st.just(TAG), ciphertexts)
    | st.sampled_from([state for state in WireState if state > WireState.UPDATED]).map(Refusal)
)
def test_whatever_is_encoded_decodes(payload):
    """Every payload survives the way to the browser."""
    assert wire.decode(wire.encode(payload)) == payload


@pytest.mark.parametrize(
    "payload",
    (
        Success(b""),
        Updated(2**53, KEY, IV, TAG, b"c"),
        Updated(-1, KEY, IV, TAG, b"c"),
        Updated(1, KEY[:-1], IV, TAG, b"c"),
        Updated(1, KEY, IV + b"i", TAG[:-1], b"c"),
        Updated(1, KEY, IV, TAG, b""),
        Refusal(WireState.SUCCESS),
        Refusal(WireState.UPDATED),
    ),
    ids=(
        "no ciphertext", "token too large", "token negative", "short key", "lengths that add up",
        "updated without ciphertext", "success as refusal", "updated as refusal",
    ),
)  # fmt: skip
def test_what_could_not_be_decoded_is_not_encoded(payload):
    """A payload nobody could read is never sent."""
    with pytest.raises(WireError):
        wire.encode(payload)


@pytest.mark.parametrize("kind", (bytearray, memoryview))
def test_any_buffer_decodes(kind):
    """What came from a network may be any buffer; the fields do not hold on to it."""
    assert wire.decode(kind(b"\0cipher")) == Success(b"cipher")


def test_states_have_their_numbers():
    """The numbers are the protocol."""
    assert {state.name: int(state) for state in WireState} == {
        "SUCCESS": 0,
        "UPDATED": 1,
        "NOT_FOUND": 2,
        "MISSING_ID": 3,
        "MISSING_PROOF": 4,
        "INVALID_PROOF": 5,
        "INTERNAL_ERROR": 6,
    }


def test_nothing_secret_is_printed():
    """A payload shows no key, IV, tag or ciphertext."""
    shown = repr(Updated(7, KEY, IV, TAG, b"cipher")) + repr(Success(b"cipher"))

    assert "token=7" in shown
    assert not any(secret in shown for secret in ("kkkk", "iiii", "tttt", "cipher'"))
