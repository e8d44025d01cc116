"""An answer before it is bytes: its size, its pieces, and that it closes what it opened."""

import io

import pytest

from pixstore.answers import CHUNK_SIZE, Answer
from pixstore.wire import WireState


def test_an_answer_is_head_and_blob():
    """The payload is the head and then the blob, from where it stands."""
    blob = io.BytesIO(b"header|ciphertext")
    blob.seek(7)
    answer = Answer(WireState.UPDATED, b"head", blob, 10)

    assert answer.size == 14
    assert answer.to_bytes() == b"headciphertext"
    assert blob.closed


def test_a_large_blob_comes_in_pieces():
    """Nothing larger than a piece is held in memory."""
    blob = io.BytesIO(bytes(CHUNK_SIZE + 1))

    assert [len(chunk) for chunk in Answer(WireState.SUCCESS, b"", blob, CHUNK_SIZE + 1).chunks()] == [
        CHUNK_SIZE,
        1,
    ]


def test_no_more_is_sent_than_was_announced():
    """What follows the payload in the blob's file is not sent."""
    assert Answer(WireState.SUCCESS, b"", io.BytesIO(b"payload and more"), 7).to_bytes() == b"payload"


def test_a_blob_that_became_shorter_is_an_error():
    """Sent in pieces, the answer breaks off: its length was announced. As one piece, it is an internal error."""
    blob, another = io.BytesIO(b"short"), io.BytesIO(b"short")

    with pytest.raises(OSError, match="became shorter"):
        list(Answer(WireState.SUCCESS, b"", blob, 10).chunks())
    assert Answer(WireState.SUCCESS, b"", another, 10).to_bytes() == bytes((WireState.INTERNAL_ERROR,))
    assert blob.closed
    assert another.closed


def test_a_client_that_leaves_closes_the_blob():
    """Half an answer sent, the blob is closed with it."""
    blob = io.BytesIO(bytes(2 * CHUNK_SIZE))
    chunks = Answer(WireState.SUCCESS, b"", blob, 2 * CHUNK_SIZE).chunks()
    next(chunks)

    chunks.close()

    assert blob.closed


@pytest.mark.parametrize(
    "state", [state for state in WireState if state > WireState.UPDATED], ids=lambda s: s.name
)
def test_a_refusal_is_its_state(state):
    """One byte, and nothing to close."""
    answer = Answer.of_state(state)

    assert (answer.to_bytes(), answer.size) == (bytes((state,)), 1)


def test_nothing_secret_is_printed():
    """The head may carry a key, so it is not shown."""
    assert "KEY" not in repr(Answer(WireState.UPDATED, b"KEY"))
