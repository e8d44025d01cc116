"""The details that are sealed into a blob."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pixstore.details import Details, decode_details, encode_details
from pixstore.errors import BlobFormatError

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(
    extra=st.dictionaries(st.text(st.characters(codec="utf-8")), _json, max_size=4),
    size=st.integers(0, 2**40),
)
def test_details_come_back(extra, size):
    """Format, size and whatever the caller added are read as they were written."""
    assert decode_details(encode_details("jpg", size, extra)) == Details("jpg", size, extra)


def test_nothing_added_is_an_empty_dictionary():
    """Who adds nothing gets nothing back."""
    assert decode_details(encode_details("png", 1, None)).extra == {}


@given(encoded=st.binary(max_size=80))
@example(b"{}")
@example(b"[]")
@example(b"null")
@example(b'{"format": "png", "size": "many", "extra": {}}')
@example(b'{"format": "png", "size": 1, "extra": 7}')
@example(b'{"format": "png", "size": 1e999, "extra": {}}')
@example(b"[" * 100_000)
def test_anything_else_is_damage(encoded):
    """Other bytes are a `BlobFormatError` and nothing else."""
    with pytest.raises(BlobFormatError, match="details of the blob are damaged"):
        decode_details(encoded)
