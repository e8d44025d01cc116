"""Image ids and blob ids."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixstore import ids
from pixstore.errors import InvalidId

_GOOD = ("k3v9t2m5", "players:k3v9t2m5x7q4w6z2", "a-b_c:" + "z" * 64, "d" * 64 + ":" + "0" * 8)
_BAD = (
    "", ":", "a:", ":k3v9t2m5", "k3v9t2m", "z" * 65, "d" * 65 + ":k3v9t2m5", "a:b:k3v9t2m5", "K3V9T2M5",
    "k3v9t2m5\n", "\nk3v9t2m5", "k3v9t2m5 ", "k3v9t2m5\0", "../../etc/passwd", "..", "players/k3v9t2m5",
    "players\\k3v9t2m5", "pl ayers:k3v9t2m5", "players:k3v9_2m5", "k3v9t2m5%00", "ｋ3v9t2m5", "k3v9t2m\u0665", "κ3v9t2m5",
)  # fmt: skip


@pytest.mark.parametrize("image_id", _GOOD)
def test_ids_that_follow_the_grammar_pass(image_id):
    """`key` and `dir:key` are ids, at their shortest and their longest."""
    assert ids.is_image_id(image_id)
    assert ids.check_image_id(image_id) == image_id


@pytest.mark.parametrize("image_id", (*_BAD, None, 5, b"k3v9t2m5", ["k3v9t2m5"]), ids=repr)
def test_anything_else_is_refused(image_id):
    """Paths, capitals, controls, other digits, other types: none is an id."""
    assert not ids.is_image_id(image_id)
    with pytest.raises(InvalidId, match="not an image id"):
        ids.check_image_id(image_id)


def test_the_error_does_not_repeat_what_came_from_outside():
    """Nothing a stranger sends as an id gets into a page or a log through the error."""
    with pytest.raises(InvalidId) as refused:
        ids.check_image_id("<script>")
    assert "script" not in str(refused.value)


@given(st.text())
def test_no_text_confuses_the_grammar(text):
    """Any text is either refused or made of the characters that are safe in paths, queries and headers."""
    if ids.is_image_id(text):
        assert set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-:")
        assert text.count(":") <= 1


def test_new_ids_follow_the_grammar_and_differ():
    """Fresh ids pass their own check, and no two are the same."""
    fresh = [ids.new_image_id("Players") for _ in range(1000)]

    assert all(map(ids.is_image_id, fresh))
    assert all(image_id.startswith("players:") for image_id in fresh)
    assert len(set(fresh)) == 1000


def test_keys_come_from_the_given_randomness():
    """A key is 128 random bits in lower-case base32, which is enough never to be guessed or to collide."""
    asked = []

    key = ids.new_key(lambda size: asked.append(size) or b"\xff" * size)

    assert asked == [16]
    assert key == "7" * 25 + "4"


def test_without_directory_an_id_is_a_key():
    """No directory, or an empty one, leads to an id without a namespace."""
    assert ":" not in ids.new_image_id()
    assert ":" not in ids.new_image_id("")


@pytest.mark.parametrize(
    ("given_name", "cleaned"),
    (
        ("players", "players"),
        ("  Players 2025 ", "players2025"),
        ("a/../b", "ab"),
        ("Team_A-1", "team_a-1"),
        ("Ärzte", "rzte"),
        ("\u212aelvin", "kelvin"),
        ("d" * 64, "d" * 64),
    ),
)
def test_directories_are_cleaned(given_name, cleaned):
    """A directory keeps its letters, digits, `_` and `-`, in lower case."""
    assert ids.clean_directory(given_name) == cleaned


@pytest.mark.parametrize("directory", (" ", "///", "写真", "d" * 65))
def test_directories_of_which_nothing_usable_is_left_are_refused(directory):
    """A directory of no usable character, or of too many, is an error that says so."""
    with pytest.raises(InvalidId, match="directory name"):
        ids.new_image_id(directory)


@given(st.text())
def test_any_directory_gives_an_id_or_an_error(directory):
    """Whatever an album is called, its id follows the grammar or there is an `InvalidId`."""
    with suppress(InvalidId):
        assert ids.is_image_id(ids.new_image_id(directory))


@pytest.mark.parametrize("directory", (5, b"players", ["players"]))
def test_a_directory_must_be_text(directory):
    """Another type is named in the error."""
    with pytest.raises(InvalidId, match=type(directory).__name__):
        ids.new_image_id(directory)


def test_blob_ids_are_128_random_bits():
    """A blob id is 32 hexadecimal digits and passes its own check."""
    assert ids.new_blob_id(lambda size: bytes(range(size))) == "000102030405060708090a0b0c0d0e0f"
    assert ids.is_blob_id(ids.new_blob_id())


@pytest.mark.parametrize(
    "name", ("", "0" * 31, "0" * 33, "A" * 32, "../" + "0" * 29, "0" * 31 + "\n", "٠" * 32)
)
def test_other_names_are_no_blob_ids(name):
    """Nothing else is one."""
    assert not ids.is_blob_id(name)
