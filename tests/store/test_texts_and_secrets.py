"""Texts that a program seals with the store, and secrets that it derives from it."""

import pytest

from pixstore.errors import DecryptionFailed
from pixstore.store import ImageStore


def test_texts_open_only_in_their_place(store):
    """A title sealed for one row does not open in another."""
    sealed = store.seal_text("Anna am Meer ☀", purpose="title", row_id="7")

    assert store.open_text(sealed, purpose="title", row_id="7") == "Anna am Meer ☀"
    with pytest.raises(DecryptionFailed):
        store.open_text(sealed, purpose="title", row_id="8")


def test_secrets_differ_by_label_and_stay(store, config, now):
    """Each label has a secret of its own, which is the same after a restart."""
    secret = store.secret("pixstore/v1/session")
    store.close()

    again = ImageStore.open(config, now=now)

    assert again.secret("pixstore/v1/session") == secret
    assert again.secret("pixstore/v1/content-id") != secret
    again.close()
