"""Reads tests/vectors/*.json as parameters of tests."""

import json
from pathlib import Path
from typing import Any

import pytest

DIRECTORY = Path(__file__).parent / "vectors"


def load(file: str) -> dict[str, Any]:
    """Return what vector file *file* holds."""
    document: dict[str, Any] = json.loads((DIRECTORY / file).read_text(encoding="utf-8"))
    return document


def vectors(file: str, part: str, *, expect: str) -> list[Any]:
    """Return the entries of *part* with this expectation, each as a parameter named as the entry is."""
    entries = [entry for entry in load(file)[part] if entry["expect"] == expect]
    return [pytest.param(entry, id=entry["name"]) for entry in entries]
