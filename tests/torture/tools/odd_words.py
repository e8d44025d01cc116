"""Odd words for hosts, header fields, paths and forms, as an attacker would send them."""

import json
from pathlib import Path

ODD: dict[str, list[str]] = json.loads(Path(__file__).with_suffix(".json").read_text())


def bytes_of(kind: str) -> list[bytes]:
    """Return the words of *kind* as they go over the wire."""
    return [word.encode("latin-1") for word in ODD[kind]]


def naughty(big_list: str | None) -> list[str]:
    """Return the odd texts, with those of the file *big_list*: a JSON array."""
    more = json.loads(Path(big_list).read_text()) if big_list else []
    return [*ODD["texts"], *more]
