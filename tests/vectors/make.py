"""
Write the test vectors again: ``python -m tests.vectors.make`` in the top directory.

The recipes do not use the product, so what it is measured by cannot change with it. A vector that changes is a format that
changes: stores and browsers of today could no longer read each other.
"""

import json
from pathlib import Path

from tests.vectors.recipes import blob_header, keyring, proof, sealed, wire

DIRECTORY = Path(__file__).parent
RECIPES = (sealed, proof, wire, keyring, blob_header)


def documents() -> dict[str, str]:
    """Return the text of every vector file by its name."""
    return {
        f"{recipe.__name__.rpartition('.')[2]}.json": json.dumps(
            recipe.document(), indent=1, ensure_ascii=False
        )
        + "\n"
        for recipe in RECIPES
    }


if __name__ == "__main__":
    for name, text in documents().items():
        (DIRECTORY / name).write_text(text, encoding="utf-8")
