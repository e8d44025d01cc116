"""The errors: one tree, words that can be shown, nothing secret."""

import ast
from pathlib import Path

import pytest

from pixstore import errors
from pixstore.errors import (
    BlobNotFound,
    DecryptionFailed,
    ImageNotFound,
    ImageRejected,
    PixstoreError,
    StorageError,
)

CLASSES = [value for value in vars(errors).values() if isinstance(value, type)]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_is_one_of_the_library(kind):
    """Whoever catches `PixstoreError` catches everything raised on purpose."""
    assert issubclass(kind, PixstoreError)
    assert kind.__doc__


def test_the_tree_is_drawn_in_the_docstring():
    """The drawing names every error, under the one it belongs to."""
    drawing = errors.__doc__

    for kind in CLASSES:
        assert kind.__name__ in drawing
    indented = {
        line.strip("│├└─ ").split()[0]
        for line in drawing.splitlines()
        if "    │" in line or "        " in line
    }
    assert {kind.__name__ for kind in StorageError.__subclasses__()} <= indented


def test_errors_carry_facts():
    """A program reads the fact, a person the sentence."""
    assert ImageRejected("empty", "the file is empty").reason == "empty"
    assert ImageNotFound("players:k3v9t2m5").image_id == "players:k3v9t2m5"
    assert BlobNotFound("0a").name == "0a"
    assert StorageError("x").name is None
    assert str(DecryptionFailed()) == "wrong key, or the data was damaged or altered"


def test_an_id_from_outside_is_quoted():
    """Control characters in an id cannot break a line of a log."""
    assert str(ImageNotFound("a\nb")) == r"there is no image 'a\nb'"


def test_errors_import_nothing_of_ours():
    """Every module may import them."""
    tree = ast.parse(Path(errors.__file__).read_text(encoding="utf-8"))

    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name for name in modules if name.startswith("pixstore")}
