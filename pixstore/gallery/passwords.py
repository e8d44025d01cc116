"""
Passwords: Argon2id in PHC strings. Pure apart from the salt; imports ``cryptography`` only.

The parameters are OWASP's first choice for Argon2id (Password Storage Cheat Sheet): 19 MiB, 2 passes, 1 lane.
They are part of the string, so they can be raised here while old hashes still verify. ``needs_rehash`` tells
which hashes to replace at login.
"""

import os
import unicodedata

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

MIN_LENGTH = 10
MAX_LENGTH = 1024

_MEMORY_KIB, _PASSES, _LANES = 19 * 1024, 2, 1
_SALT_SIZE, _HASH_SIZE = 16, 32
_CURRENT = f"$argon2id$v=19$m={_MEMORY_KIB},t={_PASSES},p={_LANES}$"
# A valid hash whose password nobody knows. It is verified if there is no account, so that this takes as long.
_NOBODY = f"{_CURRENT}{'A' * 22}${'A' * 43}"


def hash_password(password: str) -> str:
    """Return the PHC string of *password* under a fresh salt."""
    kdf = Argon2id(
        salt=os.urandom(_SALT_SIZE),
        length=_HASH_SIZE,
        iterations=_PASSES,
        lanes=_LANES,
        memory_cost=_MEMORY_KIB,
    )
    return kdf.derive_phc_encoded(_bytes_of(password))


def verify_password(password: str, password_hash: str) -> bool:
    """
    Tell whether *password_hash* was made from *password*.

    An empty hash never matches, but takes as long to check: the time of an answer must not tell which
    accounts exist.
    """
    try:
        Argon2id.verify_phc_encoded(_bytes_of(password), password_hash or _NOBODY)
    except InvalidKey:
        return False
    return bool(password_hash)


def needs_rehash(password_hash: str) -> bool:
    """Tell whether *password_hash* was made with other parameters than today's."""
    return not password_hash.startswith(_CURRENT)


def _bytes_of(password: str) -> bytes:
    # Two keyboards may send the same password composed or decomposed (RFC 8265).
    return unicodedata.normalize("NFC", password).encode()
