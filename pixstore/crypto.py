"""
Sealing with AES-256-GCM and key derivation with HKDF-SHA256. Pure; imports only ``errors``.

Two uses of AES-GCM, kept apart:

- An image is sealed once under its own random key, so its random 96-bit IV cannot repeat under that key. It has no
  associated data and its tag is kept apart from the ciphertext: that is the format other programs read.
- Small secrets (image keys, titles) are *wrapped* under a long-lived key with a random nonce in front and the tag
  behind. Associated data names the one place where they may be opened. NIST SP 800-38D allows 2**32 such messages
  under one key.
"""

from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pixstore.errors import DecryptionFailed

KEY_SIZE = 32
IV_SIZE = 12
TAG_SIZE = 16
WRAP_OVERHEAD = IV_SIZE + TAG_SIZE
WRAPPED_KEY_SIZE = KEY_SIZE + WRAP_OVERHEAD

Buffer = bytes | bytearray | memoryview


class SealedImage(NamedTuple):
    """Ciphertext of ``[format byte][image bytes]`` and its tag. The ciphertext is a view: nothing was copied."""

    ciphertext: memoryview
    tag: bytes


def seal(image: Buffer, format_byte: int, *, key: bytes, iv: bytes) -> SealedImage:
    """
    Encrypt one version of one image.

    *key* (32 bytes) and *iv* (12 bytes) must be fresh and random for each version; pass fixed ones only to reproduce
    a test vector.
    """
    sealed = bytearray(1 + len(image) + TAG_SIZE)
    AESGCM(key).encrypt_into(iv, b"".join((bytes((format_byte,)), image)), None, sealed)
    view = memoryview(sealed)
    return SealedImage(view[:-TAG_SIZE], bytes(view[-TAG_SIZE:]))


def unseal(ciphertext: Buffer, *, key: bytes, iv: bytes, tag: bytes) -> tuple[int, memoryview]:
    """
    Return the format byte and the image bytes.

    Raises:
        DecryptionFailed: If anything at all is wrong.
    """
    if len(tag) != TAG_SIZE:
        raise DecryptionFailed
    plaintext = _open(b"".join((ciphertext, tag)), key=key, nonce=iv, associated_data=None)
    if len(plaintext) < 2:
        raise DecryptionFailed
    return plaintext[0], memoryview(plaintext)[1:]


def wrap(secret: bytes, *, key: bytes, nonce: bytes, associated_data: bytes) -> bytes:
    """Return ``nonce | ciphertext | tag``, which opens only under *key* and with the same *associated_data*."""
    return nonce + AESGCM(key).encrypt(nonce, secret, associated_data)


def unwrap(wrapped: bytes, *, key: bytes, associated_data: bytes) -> bytes:
    """
    Undo ``wrap``.

    Raises:
        DecryptionFailed: If anything at all is wrong.
    """
    return _open(wrapped[IV_SIZE:], key=key, nonce=wrapped[:IV_SIZE], associated_data=associated_data)


def derive(secret: bytes, label: str) -> bytes:
    """Return the 32-byte key for the one purpose that *label* names (RFC 5869, no salt, info = label)."""
    return HKDF(algorithm=hashes.SHA256(), length=KEY_SIZE, salt=None, info=label.encode()).derive(secret)


def _open(sealed: Buffer, *, key: bytes, nonce: bytes, associated_data: bytes | None) -> bytes:
    if len(key) != KEY_SIZE or len(nonce) != IV_SIZE:  # AES-GCM takes other lengths too; this format does not
        raise DecryptionFailed
    try:
        return AESGCM(key).decrypt(nonce, sealed, associated_data)
    except (InvalidTag, ValueError):
        raise DecryptionFailed from None
