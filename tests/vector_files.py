"""Reads vectors: our own, tests/vectors/*.json, as parameters of tests, and those of NIST."""

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cryptography_vectors
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


def nist_gcm_vectors(file: str) -> Iterator[dict[str, Any]]:
    """Yield NIST's vectors for keys of 256, IVs of 96 and tags of 128 bits; ``FAIL`` marks what must not open."""
    with closing(cryptography_vectors.open_vector_file(f"ciphers/AES/GCM/{file}", "r")) as lines:
        text = lines.read()
    for section in re.split(r"(?=\[Keylen)", text):
        if re.search(r"\[IVlen = 96\]", section) and re.search(r"\[Taglen = 128\]", section):
            for block in section.split("\n\n"):
                fields = dict(re.findall(r"^(\w+) = ?(\w*)$", block, re.MULTILINE))
                if "Key" in fields:
                    yield {**fields, "fails": "FAIL" in block}
