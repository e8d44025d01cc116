"""
Image ids, ``dir:key`` or ``key``, and the names of blobs. Pure; imports only ``errors``.

The key is 128 random bits in lower-case base32. ``dir`` is a namespace chosen by the caller, cleaned to ``[a-z0-9_-]``.
Every id from outside passes ``check_image_id`` before it meets a path, a query or a header.
"""

import base64
import re
import secrets
from collections.abc import Callable

from pixstore.errors import InvalidId, StorageError

KEY_BYTES = 16
MAX_DIRECTORY_LENGTH = 64

_IMAGE_ID = re.compile(r"(?:[a-z0-9_-]{1,64}:)?[a-z0-9]{8,64}", re.ASCII)
_BLOB_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_UNUSABLE = re.compile(r"[^a-z0-9_-]", re.ASCII)

RandomBytes = Callable[[int], bytes]


def new_key(randbytes: RandomBytes = secrets.token_bytes) -> str:
    """Return 128 random bits as 26 characters of ``[a-z2-7]``."""
    return base64.b32encode(randbytes(KEY_BYTES)).decode("ascii").rstrip("=").lower()


def new_image_id(directory: str | None = None, randbytes: RandomBytes = secrets.token_bytes) -> str:
    """
    Return a fresh image id, in the namespace *directory* if one is given.

    Raises:
        InvalidId: If nothing of *directory* is left after cleaning, or it is too long.
    """
    key = new_key(randbytes)
    return f"{clean_directory(directory)}:{key}" if directory else key


def clean_directory(directory: str) -> str:
    """
    Return *directory* in lower case with everything but ``[a-z0-9_-]`` removed.

    Raises:
        InvalidId: If nothing is left, or more than 64 characters are.
    """
    if not isinstance(directory, str):
        raise InvalidId(f"a directory name must be text, not {type(directory).__name__}")
    cleaned = _UNUSABLE.sub("", directory.strip().lower())
    if not cleaned:
        raise InvalidId("the directory name holds none of the characters a-z, 0-9, _ and -")
    if len(cleaned) > MAX_DIRECTORY_LENGTH:
        raise InvalidId(f"the directory name is longer than {MAX_DIRECTORY_LENGTH} characters")
    return cleaned


def is_image_id(image_id: object) -> bool:
    """Tell whether *image_id* follows the grammar ``[dir:]key``."""
    return isinstance(image_id, str) and _IMAGE_ID.fullmatch(image_id) is not None


def check_image_id(image_id: object) -> str:
    """
    Return *image_id* if it follows the grammar.

    Raises:
        InvalidId: If it does not.
    """
    if isinstance(image_id, str) and _IMAGE_ID.fullmatch(image_id):
        return image_id
    raise InvalidId("not an image id: expected [dir:]key of lower-case letters, digits, _ and -")


def new_blob_id(randbytes: RandomBytes = secrets.token_bytes) -> str:
    """Return 128 random bits as 32 hexadecimal digits: the name of a blob, never used twice."""
    return randbytes(KEY_BYTES).hex()


def is_blob_id(name: str) -> bool:
    """Tell whether *name* is one that ``new_blob_id`` could have made."""
    return _BLOB_ID.fullmatch(name) is not None


def check_blob_id(name: str) -> str:
    """
    Return *name* if it is one that ``new_blob_id`` could have made.

    Raises:
        StorageError: If it is not, so that no other name is ever used in a path.
    """
    if not is_blob_id(name):
        raise StorageError("not the name of a blob")
    return name
