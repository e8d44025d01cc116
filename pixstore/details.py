"""
The details sealed into a blob: format, size, and what the caller of ``save`` adds. Pure; imports ``blob_format``, ``errors``.

    {"format": "jpg", "size": <bytes of the image>, "extra": {…}}        JSON in UTF-8, padded with spaces
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from pixstore.blob_format import pad_details
from pixstore.errors import BlobFormatError


class Details(NamedTuple):
    """Format name, size of the image in bytes, and the caller's own details."""

    format: str
    size: int
    extra: dict[str, Any]


def encode_details(image_format: str, size: int, extra: Mapping[str, Any] | None) -> bytes:
    """Return the bytes to seal."""
    document = {"format": image_format, "size": size, "extra": dict(extra or {})}
    return pad_details(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())


def decode_details(encoded: bytes) -> Details:
    """
    Undo ``encode_details``.

    Raises:
        BlobFormatError: If *encoded* is anything else.
    """
    try:
        document = json.loads(encoded)
        return Details(str(document["format"]), int(document["size"]), dict(document["extra"]))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        raise BlobFormatError("the details of the blob are damaged") from None
