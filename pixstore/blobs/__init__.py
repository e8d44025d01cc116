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

    def blobs(self) -> Iterator[BlobInfo]:
        """Yield every blob, in no order. Blobs that come or go meanwhile may or may not be among them."""

    def discard_unfinished(self, *, before: int) -> int:
        """Remove what interrupted ``put`` calls left before *before* (ms since 1970); return how many."""

    def put_keyring(self, document: bytes) -> None:
        """Keep the copy of the keyring, in place of an earlier one. On return it survives a power cut."""

    def get_keyring(self) -> bytes | None:
        """Return the copy of the keyring, or ``None``."""
