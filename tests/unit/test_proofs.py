"""Proofs: the vectors, how long one lives, and that nothing else is accepted."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixstore import proofs
from tests.vector_files import load, vectors

KEY = bytes.fromhex(load("proof.json")["key"])
OK, REFUSED = (vectors("proof.json", "proofs", expect=expect) for expect in ("ok", "refused"))
IMAGE_ID = "players:k3v9t2m5x7q4w6z2"
LENGTH = 1000


def _issue(now=5500, image_id=IMAGE_ID, key=KEY, window_length=LENGTH):
    return proofs.issue(image_id, key=key, now=now, window_length=window_length)


def _verify(proof, now=5500, image_id=IMAGE_ID, key=KEY, window_length=LENGTH):
    return proofs.verify(proof, image_id, key=key, now=now, window_length=window_length)


@pytest.mark.parametrize("entry", (*OK, *REFUSED))
def test_vectors(entry):
    """Each vector is accepted or refused as it says, and is issued or not as it says."""
    place = {"key": KEY, "now": entry["now"], "window_length": entry["window_length"]}

    accepted = proofs.verify(entry["proof"], entry["image_id"], **place)

    assert accepted is (entry["expect"] == "ok")
    assert (proofs.issue(entry["image_id"], **place) == entry["proof"]) is entry["issued_now"]


@pytest.mark.parametrize("issued_at", (5000, 5999))
def test_a_proof_lives_for_one_to_two_windows(issued_at):
    """Wherever in its window it was issued, it ends with the next window, to the millisecond."""
    proof = _issue(now=issued_at)

    assert _verify(proof, now=issued_at)
    assert _verify(proof, now=6999)
    assert not _verify(proof, now=7000)


def test_a_proof_is_not_valid_before_its_window():
    """With the clock set back, a proof of a later window is refused."""
    assert not _verify(_issue(now=6000), now=5999)


def test_without_windows_a_proof_never_ends():
    """Window length -1: any time is the time."""
    assert _verify(_issue(now=0, window_length=-1), now=10**15, window_length=-1)


@given(proof=st.text(max_size=40) | st.binary(max_size=16).map(lambda raw: base64.b64encode(raw).decode()))
def test_random_text_is_no_proof(proof):
    """Neither text nor base64 of random bytes is accepted."""
    assert not _verify(proof)


@given(position=st.integers(0, 23), character=st.characters())
def test_no_changed_character_is_accepted(position, character):
    """A proof with one character changed is refused, whatever the character."""
    proof = _issue()
    changed = proof[:position] + character + proof[position + 1 :]

    assert _verify(changed) is (changed == proof)


@given(bit=st.integers(0, 127))
def test_no_flipped_bit_is_accepted(bit):
    """Every one of its 128 bits counts."""
    raw = bytearray(base64.b64decode(_issue()))
    raw[bit // 8] ^= 1 << bit % 8

    assert not _verify(base64.b64encode(raw).decode())


@given(
    other_id=st.from_regex(r"([a-z0-9_-]{1,8}:)?[a-z0-9]{8,10}", fullmatch=True),
    other_key=st.binary(min_size=32),
)
def test_a_proof_is_for_one_image_and_one_key(other_id, other_key):
    """It opens no other image, and another key makes no proof of ours."""
    assert _verify(_issue(), image_id=other_id) is (other_id == IMAGE_ID)
    assert _verify(_issue(key=other_key)) is (other_key == KEY)


@pytest.mark.parametrize("proof", (None, 5, b"", _issue().encode(), [_issue()], "\ud800"))
def test_what_is_not_ascii_text_is_refused(proof):
    """Other types, and text that has no bytes, are refused without an error."""
    assert _verify(proof) is False


def test_both_windows_are_compared_in_constant_time(monkeypatch):
    """Each comparison is `hmac.compare_digest`, and both are made whatever the first one says."""
    compared = []
    compare = proofs.hmac.compare_digest
    monkeypatch.setattr(proofs.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or compare(a, b))

    for proof in (_issue(now=5500), _issue(now=4500), _issue(now=0)):
        _verify(proof)

    assert len(compared) == 6


def test_a_proof_tells_nothing_but_itself():
    """It is 128 bits in base64: no id, time or window is in it."""
    assert len(base64.b64decode(_issue(), validate=True)) == proofs.PROOF_BYTES
