"""
Titles of albums and pictures. They are cleaned when they arrive, and sealed in the database.

A sealed title opens only in the row it was sealed for, so titles cannot be swapped in the database. It is
padded, so its length tells little. The title of a picture is part of its description (``descriptions``).
"""

import unicodedata
from pathlib import PurePosixPath, PureWindowsPath

from pixstore.gallery import Gallery
from pixstore.gallery.errors import InvalidInput

MAX_LENGTH = 120
UNTITLED = "Untitled"

ALBUM, PICTURE = "gallery/album-title", "gallery/picture-title"
"""The purposes that titles are sealed for. ``PICTURE`` is only for titles that earlier releases sealed."""

_BLOCK = 32

# Control, surrogate and private characters; below, characters that change the direction of text.
_UNWANTED = {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}
_DIRECTION = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean_title(text: str, *, field: str = "title") -> str:
    """
    Return *text* as a title: one line, normalised, without control characters.

    Raises:
        InvalidInput: If nothing is left, or too much is.
    """
    cleaned = _printable(text)
    if not cleaned:
        raise InvalidInput(field, "Please enter a title.")
    if len(cleaned) > MAX_LENGTH:
        raise InvalidInput(field, f"The title is too long: at most {MAX_LENGTH} characters.")
    return cleaned


def title_of_file(file_name: str | None) -> str:
    """Return a title made from the name of an uploaded file, without folders and extension. It is never empty."""
    base = PureWindowsPath(PurePosixPath(_printable(file_name or "")).name).name
    return PurePosixPath(base).stem.strip(" .")[:MAX_LENGTH].strip() or UNTITLED


def title_of_folder(path: str) -> str:
    """Return a title made of the names of a folder and of those around it, with `/` between them; never empty."""
    names = (_printable(name) for name in path.split("/"))
    return " / ".join(name for name in names if name)[:MAX_LENGTH].strip(" /") or UNTITLED


def seal_title(gallery: Gallery, title: str, *, of: str, row_id: str) -> bytes:
    """Seal the title *of* an ``ALBUM`` or a ``PICTURE``, for the row *row_id*."""
    return gallery.store.seal_text(padded(title, _BLOCK), purpose=of, row_id=row_id)


def open_title(gallery: Gallery, sealed: bytes, *, of: str, row_id: str) -> str:
    """Undo ``seal_title``. The padding can be removed because no title ends in a blank."""
    return gallery.store.open_text(sealed, purpose=of, row_id=row_id).rstrip(" ")


def padded(text: str, block: int) -> str:
    """Return *text* with blanks added, up to a multiple of *block* bytes."""
    return text + " " * (-len(text.encode()) % block)


def _printable(text: str) -> str:
    text = unicodedata.normalize("NFC", text)
    kept = (" " if unicodedata.category(c) in _UNWANTED else c for c in text if c not in _DIRECTION)
    return " ".join("".join(kept).split())
