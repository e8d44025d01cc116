"""
Sealing with AES-256-GCM and key derivation with HKDF-SHA256. Pure; imports only ``errors``.

Two uses of AES-GCM, kept apart:

- An image is sealed once under its own random key, so its random 96-bit IV cannot repeat under that key. It has no
  associated data, and its tag is stored apart from the ciphertext, because other programs read that format.
- Small secrets (image keys, titles) are *wrapped* under a long-lived key with a random nonce in front and the tag
  behind. Associated data names the one place where they may be opened. NIST SP 800-38D allows 2**32 such messages
  under one key.
"""

from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import ciphers, hashes
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pixstore.errors import DecryptionFailed

KEY_SIZE = 32
IV_SIZE = 12
TAG_SIZE = 16
WRAP_OVERHEAD = IV_SIZE + TAG_SIZE
_BLOCK_SIZE = 16
WRAPPED_KEY_SIZE = KEY_SIZE + WRAP_OVERHEAD

Buffer = bytes | bytearray | memoryview
Cipher = AESGCM
"""An AES-GCM cipher with its key set up."""


class SealedImage(NamedTuple):
    """Ciphertext of ``[format byte][image bytes]`` and its tag. The ciphertext is a view, not a copy."""

    ciphertext: memoryview
    tag: bytes


def seal(image: Buffer, format_byte: int, *, key: bytes, iv: bytes) -> SealedImage:
    """
    Encrypt one version of one image.

    *key* (32 bytes) and *iv* (12 bytes) must be fresh and random for each version; pass fixed ones only to reproduce
    a test vector.
    """
    encryptor = _image_cipher(key, iv).encryptor()
    ciphertext = memoryview(bytearray(1 + len(image) + _BLOCK_SIZE - 1))  # room that the library insists on
    encryptor.update_into(bytes((format_byte,)), ciphertext)
    encryptor.update_into(image, ciphertext[1:])
    encryptor.finalize()
    return SealedImage(ciphertext[: 1 + len(image)], encryptor.tag)


def unseal(ciphertext: Buffer, *, key: bytes, iv: bytes, tag: bytes) -> tuple[int, bytes]:
    """
    Return the format byte and the image bytes.

    Raises:
        DecryptionFailed: If anything at all is wrong.
    """
    if (len(key), len(iv), len(tag)) != (KEY_SIZE, IV_SIZE, TAG_SIZE) or len(ciphertext) < 2:
        raise DecryptionFailed
    decryptor, view = _image_cipher(key, iv, bytes(tag)).decryptor(), memoryview(ciphertext)
    format_byte, image = decryptor.update(view[:1]), decryptor.update(view[1:])
    try:
        decryptor.finalize()  # until this has returned, nobody gets any of it
    except InvalidTag:
        raise DecryptionFailed from None
    return format_byte[0], image


def wrap(secret: bytes, *, key: bytes | Cipher, nonce: bytes, associated_data: bytes) -> bytes:
    """
    Return ``nonce | ciphertext | tag``, which opens only under *key* and with the same *associated_data*.

    *key* is 32 bytes or their ``cipher``.
    """
    return nonce + _cipher(key).encrypt(nonce, secret, associated_data)


def unwrap(wrapped: bytes, *, key: bytes | Cipher, associated_data: bytes) -> bytes:
    """
    Undo ``wrap``.

    Raises:
        DecryptionFailed: If anything at all is wrong.
    """
    nonce, opener = wrapped[:IV_SIZE], _cipher(key)
    if len(nonce) != IV_SIZE:
        raise DecryptionFailed
    try:
        return opener.decrypt(nonce, wrapped[IV_SIZE:], associated_data)
    except (InvalidTag, ValueError):
        raise DecryptionFailed from None


def derive(secret: bytes, label: str) -> bytes:
    """Return the 32-byte key for the one purpose that *label* names (RFC 5869, no salt, info = label)."""
    return HKDF(algorithm=hashes.SHA256(), length=KEY_SIZE, salt=None, info=label.encode()).derive(secret)


def cipher(key: bytes) -> Cipher:
    """
    Return the cipher of *key*.

    Keep it if the key is used often: making it takes as long as sealing a small secret.

    Raises:
        DecryptionFailed: If *key* is not 32 bytes long. AES-GCM takes other lengths too; this format does not.
    """
    if len(key) != KEY_SIZE:
        raise DecryptionFailed
    return AESGCM(key)


def _image_cipher(key: bytes, iv: bytes, tag: bytes | None = None) -> ciphers.Cipher[modes.GCM]:
    # Unlike AESGCM, this takes the format byte and the image one after the other, so nothing has to be copied.
    return ciphers.Cipher(algorithms.AES(key), modes.GCM(iv, tag))


def _cipher(key: bytes | Cipher) -> Cipher:
    return cipher(key) if isinstance(key, bytes) else key
