"""
Opens blobs without the database: header, key, details, image.

Imports ``blobs``, ``blob_format``, ``keyring``.

``check``, ``rebuild`` and ``re_encrypt`` use it.
"""

from dataclasses import dataclass, field
from typing import Any

from pixstore import blob_format, crypto
from pixstore.blob_format import BlobHeader
from pixstore.blobs import BlobStore
from pixstore.details import Details, decode_details
from pixstore.errors import BlobFormatError, DecryptionFailed
from pixstore.files import storage_errors
from pixstore.keyring import Keyring

USUAL_HEADER_SIZE = 1024


@dataclass(frozen=True, slots=True)
class SealedBlob:
    """
    A blob whose header was read, and whose key and details were opened.

    *size* is that of the whole blob in bytes.
    """

    header: BlobHeader
    details: Details
    size: int
    key: bytes = field(repr=False)

    @property
    def row_fields(self) -> dict[str, Any]:
        """The row of the image whose current version is this blob, without the token."""
        head = self.header.head
        return {
            "id": head.image_id,
            "format": self.details.format,
            "size": self.details.size,
            "blob_id": head.blob_id,
            "payload_offset": self.header.payload_offset,
            "payload_size": self.size - self.header.payload_offset,
            "store_key_id": head.store_key_id,
            "wrapped_key": head.wrapped_key,
            "iv": head.iv,
            "tag": head.tag,
            "written_at": head.written_at,
        }


def read_header(blobs: BlobStore, blob_id: str) -> tuple[BlobHeader, int]:
    """
    Return the header of a blob and the size of the whole blob in bytes.

    Raises:
        BlobNotFound: If there is none.
        BlobFormatError: If the file is not a blob, or its header has another blob id than its name.
    """
    with storage_errors("the image could not be read", blob_id), blobs.open(blob_id) as file:
        start = file.read(USUAL_HEADER_SIZE)
        try:
            header = blob_format.decode_header(start)
        except BlobFormatError:
            if len(start) < USUAL_HEADER_SIZE:
                raise
            header = blob_format.decode_header(start + file.read(blob_format.MAX_HEADER_SIZE))
        size = file.seek(0, 2)
    if header.head.blob_id != blob_id:
        raise BlobFormatError("the header names another blob")
    if size <= header.payload_offset + len(blob_format.PAYLOAD_STATE):
        raise BlobFormatError("the blob ends before its ciphertext")
    return header, size


def open_sealed(blobs: BlobStore, blob_id: str, keyring: Keyring) -> SealedBlob:
    """
    Return the opened blob *blob_id*, its image still sealed.

    Raises:
        BlobNotFound, BlobFormatError: As ``read_header``.
        KeyringError, DecryptionFailed: If the key or the details do not open.
    """
    header, size = read_header(blobs, blob_id)
    head = header.head
    key = keyring.unwrap_key(
        head.wrapped_key, store_key_id=head.store_key_id, image_id=head.image_id, blob_id=head.blob_id
    )
    details = keyring.open_details(
        header.sealed_details, store_key_id=head.store_key_id, head=blob_format.encode_head(head)
    )
    return SealedBlob(header, decode_details(details), size, key)


def unseal_image(blobs: BlobStore, sealed: SealedBlob) -> tuple[int, bytes]:
    """
    Return format byte and image bytes of *sealed*.

    Raises:
        BlobNotFound: If the blob is gone.
        DecryptionFailed: If it was damaged or altered.
    """
    head = sealed.header.head
    with storage_errors("the image could not be read", head.blob_id), blobs.open(head.blob_id) as file:
        file.seek(sealed.header.payload_offset)
        payload = memoryview(file.read())
    state, ciphertext = payload[:1], payload[1:]
    if state != blob_format.PAYLOAD_STATE:
        raise DecryptionFailed
    format_byte, image = crypto.unseal(ciphertext, key=sealed.key, iv=head.iv, tag=head.tag)
    if len(image) != sealed.details.size:
        raise DecryptionFailed
    return format_byte, image
