"""Stores that earlier releases left on disk, unpacked. What each holds: README.md."""

import json
import tarfile
from pathlib import Path
from typing import Any

ARCHIVES = sorted(Path(__file__).parent.glob("*.tar.gz"))


def unpack(archive: Path, directory: Path) -> dict[str, Any]:
    """Unpack ``data/`` and ``backup/`` into *directory*; return what is in them."""
    with tarfile.open(archive) as opened:
        opened.extractall(directory, filter="data")
    return json.loads((directory / "told.json").read_text())
