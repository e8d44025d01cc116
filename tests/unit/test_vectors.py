"""The vector files: that they are what their recipes say, and that the recipes stay independent."""

import ast
from pathlib import Path

import pytest

from tests.vector_files import DIRECTORY, load
from tests.vectors import make


@pytest.mark.parametrize("name", make.documents())
def test_file_is_what_its_recipe_says(name):
    """A vector file holds exactly what `python -m tests.vectors.make` writes."""
    text = (DIRECTORY / name).read_text(encoding="utf-8")

    assert text == make.documents()[name]


def test_every_file_has_a_recipe():
    """No vector file was written by hand."""
    assert {path.name for path in DIRECTORY.glob("*.json")} == set(make.documents())


@pytest.mark.parametrize("path", sorted(DIRECTORY.rglob("*.py")), ids=lambda path: path.name)
def test_recipes_do_not_use_the_product(path: Path):
    """What the product is measured by is computed without it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))

    imported = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
    }

    assert not [name for name in imported if name.split(".")[0] == "pixstore"]


@pytest.mark.parametrize("name", make.documents())
def test_every_entry_says_why(name):
    """Every entry has a name of its own, a reason, and says what is expected."""
    parts = [part for part in load(name).values() if isinstance(part, list) and "why" in part[0]]

    for entries in parts:
        assert len({entry["name"] for entry in entries}) == len(entries)
        assert all(entry["why"] and entry["expect"] in ("ok", "refused") for entry in entries)
