"""Blobs in memory: for tests and experiments. They go with the process."""

import io
import time
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from pixstore.blobs import BlobInfo
from pixstore.crypto import Buffer
from pixstore.errors import BlobNotFound, StorageError
from pixstore.ids import check_blob_id


class MemoryBlobs:
    """A ``BlobStore`` in a dictionary."""

    def __init__(self) -> None:
        self._blobs: dict[str, tuple[bytes, int]] = {}
        self._keyring: bytes | None = None

    def put(self, blob_id: str, parts: Sequence[Buffer]) -> None:
        """See ``BlobStore.put``."""
        blob = (b"".join(parts), time.time_ns() // 1_000_000)
        if self._blobs.setdefault(check_blob_id(blob_id), blob) is not blob:
            raise StorageError(f"the blob {blob_id} exists already", name=blob_id)

    def open(self, blob_id: str) -> BinaryIO:
        """See ``BlobStore.open``."""
        try:
            return io.BytesIO(self._blobs[check_blob_id(blob_id)][0])
        except KeyError:
            raise BlobNotFound(blob_id) from None

    def delete(self, blob_id: str) -> bool:
        """See ``BlobStore.delete``."""
        return self._blobs.pop(check_blob_id(blob_id), None) is not None

    def blobs(self) -> Iterator[BlobInfo]:
        """See ``BlobStore.blobs``."""
        for blob_id, (data, put_at) in list(self._blobs.items()):
            yield BlobInfo(blob_id, len(data), put_at)

    def discard_unfinished(self, *, before: int) -> int:  # noqa: ARG002 - the protocol's signature
        """See ``BlobStore.discard_unfinished``: a put here is never unfinished."""
        return 0

    def put_keyring(self, document: bytes) -> None:
        """See ``BlobStore.put_keyring``."""
        self._keyring = document

    def get_keyring(self) -> bytes | None:
        """See ``BlobStore.get_keyring``."""
        return self._keyring
