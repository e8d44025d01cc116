"""
The formats of the store written a second time, straight from their description. Never imports ``pixstore``.

Only the generator of the vectors uses this. It stands on the block cipher interface of ``cryptography``, on ``hmac`` and
on ``struct``, so that a mistake in the product is not repeated in what the product is measured by.
"""

import base64
import hashlib
import hmac
import struct
import zlib

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM

FORMATS = ("png", "webp", "jpg", "jpeg", "gif", "avif", "bmp", "tiff")

WEBP = bytes.fromhex("524946461e000000574542505650384c110000002f010000000f10f3bffff31f0e32a2ff0100")
JPEG = bytes.fromhex(
    "ffd8ffe000104a46494600010100000100010000ffdb004300100b0c0e0c0a100e0d0e1211101318281a1816161831"
    "23251d283a333d3c3933383740485c4e404457453738506d51575f626768673e4d71797064785c656763ffc0000b08"
    "0001000101011100ffc40014000100000000000000000000000000000000ffc4001410010000000000000000000000"
    "0000000000ffda0008010100003f003fffd9"
)
GIF = bytes.fromhex("474946383761010001008000000000000000002c000000000100010000080400010404003b")


def fixed(name: str, size: int) -> bytes:
    """Return *size* bytes that look random and are always the same for one *name*."""
    return hashlib.shake_256(b"pixstore test vector: " + name.encode()).digest(size)


def png(width: int, height: int) -> bytes:
    """Return a PNG in true colour, stored uncompressed so that its bytes depend on no version of zlib."""
    rows = b"".join(b"\0" + fixed(f"row {y}", 3 * width) for y in range(height))
    length = struct.pack("<HH", len(rows), len(rows) ^ 0xFFFF)
    pixels = b"\x78\x01\x01" + length + rows + zlib.adler32(rows).to_bytes(4, "big")
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(*chunk) for chunk in chunks)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def gcm(plaintext: bytes, *, key: bytes, iv: bytes, associated_data: bytes = b"") -> tuple[bytes, bytes]:
    """Return the ciphertext and the tag of AES-GCM."""
    encryptor = Cipher(AES(key), GCM(iv)).encryptor()
    encryptor.authenticate_additional_data(associated_data)
    ciphertext = encryptor.update(plaintext) + encryptor.finalize()
    return ciphertext, encryptor.tag


def wrap(secret: bytes, *, key: bytes, nonce: bytes, associated_data: bytes) -> bytes:
    """Return ``nonce | ciphertext | tag``."""
    return nonce + b"".join(gcm(secret, key=key, iv=nonce, associated_data=associated_data))


def hkdf(secret: bytes, label: str) -> bytes:
    """Return 32 bytes by HKDF-SHA256 (RFC 5869) without salt: one block of output is all that is needed."""
    extracted = hmac.digest(bytes(32), secret, "sha256")
    return hmac.digest(extracted, label.encode() + b"\x01", "sha256")


def proof(image_id: str, key: bytes, window: int) -> str:
    """Return the proof for *image_id* in *window*."""
    message = f"pixstore/v1/proof\0{image_id}\0{window}".encode()
    return base64.b64encode(hmac.digest(key, message, "sha256")[:16]).decode()


def updated(token: int, key: bytes, iv: bytes, tag: bytes, ciphertext: bytes) -> bytes:
    """Return an Updated payload; out of range values are written as they are."""
    return b"\x01" + token.to_bytes(8, "little") + key + iv + tag + ciphertext


def keyring_secret(secret: bytes, *, master_key: bytes, nonce: bytes, kind: str, key_id: str) -> str:
    """Return a secret as it stands in keyring.json."""
    place = b"\0".join((b"pixstore/v1/keyring", kind.encode(), key_id.encode()))
    return base64.b64encode(wrap(secret, key=master_key, nonce=nonce, associated_data=place)).decode()


def image_key(
    secret: bytes, *, store_key: bytes, key_id: str, image_id: str, blob_id: str, nonce: bytes
) -> bytes:
    """Return the key of an image, wrapped for one image id and one blob id."""
    place = b"\x01\x00" + bytes.fromhex(key_id) + image_id.encode() + bytes.fromhex(blob_id)
    return wrap(secret, key=store_key, nonce=nonce, associated_data=place)


def blob_head(
    *, key_id: str, blob_id: str, written_at: int, wrapped_key: bytes, iv: bytes, tag: bytes, image_id: bytes
) -> bytes:
    """Return the header of a blob up to the image id: what the sealed details are bound to."""
    return b"".join(
        (
            b"PXBLOB\x01\x00",
            bytes.fromhex(key_id),
            bytes.fromhex(blob_id),
            written_at.to_bytes(8, "little"),
            wrapped_key,
            iv,
            tag,
            bytes((len(image_id),)),
            image_id,
        )
    )


def length_prefixed(data: bytes) -> bytes:
    """Return *data* behind its length as u32, little-endian."""
    return len(data).to_bytes(4, "little") + data
