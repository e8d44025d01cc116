"""
Blob stores: where sealed bytes lie. The protocol below is the contract; ``tests/store/blob_store_contract.py`` is the
same contract as tests, and every blob store passes it.
"""

from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple, Protocol

from pixstore.crypto import Buffer


class BlobInfo(NamedTuple):
    """A blob that is there: its name, size in bytes, and when it was put (ms since 1970)."""

    blob_id: str
    size: int
    put_at: int


class BuriedImage(NamedTuple):
    """A note that an image was deleted, and when (ms since 1970)."""

    image_id: str
    buried_at: int


class BlobStore(Protocol):
    """
    Immutable objects, named once by a random blob id. Threads and processes may use one store at the same time.

    Every method raises ``StorageError`` when the storage fails or the name is not that of a blob, ``StorageFull`` when there
    is no room.
    """

    def put(self, blob_id: str, parts: Sequence[Buffer]) -> None:
        """
        Keep *parts*, one after the other, under *blob_id*. On return they survive a power cut.

        Until then the blob is not seen under its name, not even in part. A name that is taken raises ``StorageError``.
        """

    def open(self, blob_id: str) -> BinaryIO:
        """
        Return the blob as an open binary file at its start; it stays readable after a ``delete``.

        Raises ``BlobNotFound`` if there is none.
        """

    def delete(self, blob_id: str) -> bool:
        """Remove the blob; return whether there was one. May be called again."""

    def touch(self, blob_id: str) -> None:
        """Let the blob be one that was put now. It is no error if it is gone."""

    def blobs(self) -> Iterator[BlobInfo]:
        """Yield every blob, in no order. Blobs that come or go meanwhile may or may not be among them."""

    def discard_unfinished(self, *, before: int) -> int:
        """Remove what interrupted ``put`` calls left before *before* (ms since 1970); return how many."""

    def bury(self, image_ids: Sequence[str]) -> None:
        """
        Note that these images are deleted. On return that survives a power cut, and the loss of the database.

        Their blobs may still be there for a while; a rebuild does not bring them back. May be called again.
        """

    def buried(self) -> Iterator[BuriedImage]:
        """Yield every image that was noted as deleted, in no order."""

    def forget_buried(self, image_ids: Sequence[str]) -> None:
        """Remove the notes on these images. May be called again."""

    def put_copy(self, name: str, document: bytes) -> None:
        """
        Keep a copy of the keyring under *name*, a name that is used for these bytes only. On return it survives a power cut.

        May be called again with the same name and bytes.
        """

    def copies(self) -> dict[str, bytes]:
        """Return every copy of the keyring by name."""

    def remove_copy(self, name: str) -> None:
        """Remove a copy of the keyring. May be called again."""
