"""
Stateless, time-bound permission to fetch one image. Pure; imports only the standard library.

    window = floor(now in ms / window length in ms)          "-1" where proofs never expire
    proof  = base64(HMAC-SHA256(key, "pixstore/v1/proof" | 0 | image id | 0 | window in decimal)[:16])

The current and the previous window are accepted, so a proof lives between one and two window lengths. Neither an id nor
a window can hold a zero byte, so no two pairs give the same message.
"""

import binascii
import hashlib
import hmac
from functools import lru_cache

PURPOSE = "pixstore/v1/proof"
NEVER_EXPIRES = -1
PROOF_BYTES = 16


def issue(image_id: str, *, key: bytes, now: int, window_length: int) -> str:
    """Return the proof for *image_id* at *now* (ms) with windows of *window_length* (ms, or -1: never expires)."""
    return _proof(image_id, key, _window(now, window_length))


def verify(proof: object, image_id: str, *, key: bytes, now: int, window_length: int) -> bool:
    """Tell whether *proof* is the one of the current or the previous window, in constant time."""
    if not isinstance(proof, str) or not proof.isascii():
        return False
    window = _window(now, window_length)
    previous = window if window_length == NEVER_EXPIRES else window - 1
    is_current = hmac.compare_digest(proof, _proof(image_id, key, window))
    is_previous = hmac.compare_digest(proof, _proof(image_id, key, previous))
    return is_current or is_previous


def _window(now: int, window_length: int) -> int:
    return NEVER_EXPIRES if window_length == NEVER_EXPIRES else now // window_length


def _proof(image_id: str, key: bytes, window: int) -> str:
    mac = _begun(key).copy()
    mac.update(f"{image_id}\0{window}".encode())
    return binascii.b2a_base64(mac.digest()[:PROOF_BYTES], newline=False).decode("ascii")


@lru_cache(maxsize=4)
def _begun(key: bytes) -> hmac.HMAC:
    """
    Return an HMAC that has read the prefix of every message.

    It is cached: making one takes longer than the rest.
    """
    return hmac.new(key, f"{PURPOSE}\0".encode(), hashlib.sha256)
