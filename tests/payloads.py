"""What the image endpoint answers, taken apart: the payloads of a batch, and the image in a payload."""

import struct

from pixstore import wire
from pixstore.crypto import unseal


def unbatched(body: bytes) -> list[bytes]:
    """Return the payloads of the answer to a batch, in its order."""
    payloads, at = [], 0
    while at < len(body):
        (length,) = struct.unpack_from("<I", body, at)
        assert len(body) >= at + 4 + length, "the answer breaks off"
        payloads.append(body[at + 4 : at + 4 + length])
        at += 4 + length
    return payloads


def image_of(payload: wire.Updated) -> bytes:
    """Return the image in a payload that brings its own key."""
    return unsealed(payload.ciphertext, payload.key, payload.iv, payload.tag)


def unsealed(ciphertext: bytes, key: bytes, iv: bytes, tag: bytes) -> bytes:
    """Decrypt the *ciphertext* of an image, without the byte in front of it that names the format."""
    return bytes(unseal(ciphertext, key=key, iv=iv, tag=tag)[1])
