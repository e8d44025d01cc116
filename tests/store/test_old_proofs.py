"""What a proof that somebody has kept opens later."""

from pixstore.wire import WireState
from tests.images import jpeg, png


def test_a_proof_opens_a_newer_version_within_its_window(store, now, config):
    """A proof is for an image, not for a version: it opens what has been put in the image's place, while it is good."""
    record = store.save(png())
    store.update(record.id, jpeg())

    soon = store.answer(record.id, proof=record.stateless_proof).to_bytes()
    now.forward(2 * config.stateless_key_window_length)
    late = store.answer(record.id, proof=record.stateless_proof).to_bytes()

    assert store.record(record.id).token > record.token
    assert (soon[0], late) == (WireState.UPDATED, bytes([WireState.INVALID_PROOF]))


def test_a_proof_opens_nothing_that_was_deleted(store):
    """With the image its proofs are worth nothing, at once."""
    record = store.save(png())
    store.delete(record.id)

    answer = store.answer(record.id, proof=record.stateless_proof)

    assert answer.to_bytes() == bytes([WireState.NOT_FOUND])
