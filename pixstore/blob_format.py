"""
A blob: the sealed bytes of one version of one image, header and payload. Pure; imports ``crypto``, ``errors``, ``ids``.

    offset size
         0    8  magic "PXBLOB" and version 0x0001 (u16 LE)
         8    8  id of the store key
        16   16  blob id
        32    8  written at, ms since 1970 (u64 LE)
        40   60  wrapped image key: nonce(12) | key(32) | tag(16)
       100   12  iv
       112   16  tag
       128    1  length i of the image id
       129    i  image id (ASCII)
     129+i    4  length d of the sealed details (u32 LE)
     133+i    d  sealed details: nonce(12) | JSON | tag(16), JSON padded to a multiple of 64 with spaces
   133+i+d    1  0x00
   134+i+d       ciphertext

From the zero byte on, a blob is exactly a Success payload of the image endpoint, so it can be sent with
sendfile. The header repeats what the database knows, so a store can be rebuilt from blobs, keyring and master
key alone. The associated data of the sealed details is the whole header before them.
"""

import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from pixstore.crypto import IV_SIZE, TAG_SIZE, WRAPPED_KEY_SIZE, Buffer
from pixstore.errors import BlobFormatError
from pixstore.ids import KEY_BYTES, is_image_id

MAGIC = b"PXBLOB\x01\x00"
FORMAT_VERSION = 1
STORE_KEY_ID_SIZE = 8
DETAILS_BLOCK = 64
MAX_DETAILS_SIZE = 2**16
PAYLOAD_STATE = b"\x00"

_FIXED = struct.Struct(f"<8s{STORE_KEY_ID_SIZE}s{KEY_BYTES}sQ{WRAPPED_KEY_SIZE}s{IV_SIZE}s{TAG_SIZE}sB")
_DETAILS_LENGTH = struct.Struct("<I")
MAX_HEADER_SIZE = _FIXED.size + 255 + _DETAILS_LENGTH.size + MAX_DETAILS_SIZE


@dataclass(frozen=True, slots=True)
class BlobHead:
    """The header before the sealed details. It is the associated data of the details."""

    store_key_id: str
    blob_id: str
    written_at: int
    wrapped_key: bytes = field(repr=False)
    iv: bytes = field(repr=False)
    tag: bytes = field(repr=False)
    image_id: str


class BlobHeader(NamedTuple):
    """A parsed header and where the payload starts, in bytes from the start of the blob."""

    head: BlobHead
    sealed_details: bytes
    payload_offset: int


def encode_head(head: BlobHead) -> bytes:
    """Return the bytes of *head*, the associated data of the sealed details."""
    image_id = head.image_id.encode("ascii")
    fixed = _FIXED.pack(
        MAGIC,
        bytes.fromhex(head.store_key_id),
        bytes.fromhex(head.blob_id),
        head.written_at,
        head.wrapped_key,
        head.iv,
        head.tag,
        len(image_id),
    )
    return fixed + image_id


def encode_header(head: BlobHead, sealed_details: bytes) -> bytes:
    """Return the whole header; the payload (zero byte and ciphertext) follows it."""
    if len(sealed_details) > MAX_DETAILS_SIZE:
        raise BlobFormatError(f"the details take {len(sealed_details)} bytes, more than {MAX_DETAILS_SIZE}")
    return encode_head(head) + _DETAILS_LENGTH.pack(len(sealed_details)) + sealed_details


def decode_header(data: Buffer) -> BlobHeader:
    """
    Return the header that *data*, the start of a blob, encodes.

    Raises:
        BlobFormatError: If it is not a blob, has another version, or is cut off.
    """
    data = bytes(data[:MAX_HEADER_SIZE])
    if len(data) < _FIXED.size or not data.startswith(MAGIC):
        raise BlobFormatError("not a sealed blob, or one of a newer version")
    _, store_key_id, blob_id, written_at, wrapped_key, iv, tag, id_length = _FIXED.unpack_from(data)
    details_at = _FIXED.size + id_length + _DETAILS_LENGTH.size
    image_id = data[_FIXED.size : _FIXED.size + id_length].decode("ascii", "replace")
    if len(data) < details_at or not is_image_id(image_id):
        raise BlobFormatError("the header of the blob is damaged")
    (details_length,) = _DETAILS_LENGTH.unpack_from(data, details_at - _DETAILS_LENGTH.size)
    payload_offset = details_at + details_length
    if details_length > MAX_DETAILS_SIZE or len(data) < payload_offset:
        raise BlobFormatError("the header of the blob is damaged")
    head = BlobHead(store_key_id.hex(), blob_id.hex(), written_at, wrapped_key, iv, tag, image_id)
    return BlobHeader(head, data[details_at:payload_offset], payload_offset)


def pad_details(encoded: bytes) -> bytes:
    """Return the JSON *encoded*, padded with spaces, so that its sealed length tells little about a title."""
    return encoded.ljust(-len(encoded) % DETAILS_BLOCK + len(encoded))
