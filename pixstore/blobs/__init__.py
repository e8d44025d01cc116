"""
Blob stores keep sealed bytes.

``BlobStore`` is their contract; ``tests/store/blob_store_contract.py`` tests it, and every blob store must
pass. Imports only ``crypto``.
"""

from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple, Protocol

from pixstore.crypto import Buffer


class BlobInfo(NamedTuple):
    """A stored blob: its name, its size in bytes, and when it was put (ms since 1970)."""

    blob_id: str
    size: int
    put_at: int


class BuriedImage(NamedTuple):
    """A note that an image was deleted, and when (ms since 1970)."""

    image_id: str
    buried_at: int


class BlobStore(Protocol):
    """
    Stores immutable blobs, each under a random blob id that is used once.

    Threads and processes may share one store.

    Every method raises ``StorageError`` if the storage fails or a name is not a blob id, and ``StorageFull``
    if there is no room.
    """

    def put(self, blob_id: str, parts: Sequence[Buffer]) -> None:
        """
        Store *parts*, one after the other, under *blob_id*. Once this returns, the blob survives a power cut.

        Until the blob is whole, it is not visible under its name. If the name is taken, this raises
        ``StorageError``.
        """

    def open(self, blob_id: str) -> BinaryIO:
        """
        Return the blob as a binary file, open at its start. It stays readable after a ``delete``.

        Raises ``BlobNotFound`` if there is none.
        """

    def delete(self, blob_id: str) -> bool:
        """Remove the blob and return whether it existed. May be called again."""

    def touch(self, blob_id: str) -> None:
        """Set the time at which the blob was put to now. A missing blob is no error."""

    def blobs(self) -> Iterator[BlobInfo]:
        """
        Yield every blob, in any order.

        Blobs that are put or deleted in the meantime may or may not be among them.
        """

    def discard_unfinished(self, *, before: int) -> int:
        """Remove files that ``put`` calls left unfinished before *before* (ms since 1970); return how many."""

    def bury(self, image_ids: Sequence[str]) -> None:
        """
        Note that these images are deleted.

        Once this returns, the note survives a power cut and the loss of the database.

        Their blobs may remain for a while. Because of the note, a rebuild does not bring them back. May be
        called again.
        """

    def buried(self) -> Iterator[BuriedImage]:
        """Yield every image that was noted as deleted, in any order."""

    def forget_buried(self, image_ids: Sequence[str]) -> None:
        """Remove the notes on these images. May be called again."""

    def put_copy(self, name: str, document: bytes) -> None:
        """
        Store a copy of the keyring under *name*, which names only these bytes.

        Once this returns, it survives a power cut.

        May be called again with the same name and bytes.
        """

    def copies(self) -> dict[str, bytes]:
        """Return every copy of the keyring by name."""

    def remove_copy(self, name: str) -> None:
        """Remove a copy of the keyring. May be called again."""
