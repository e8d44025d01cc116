"""Blobs in memory, for tests and experiments. They are lost when the process ends."""

import io
import time
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from pixstore.blobs import BlobInfo, BuriedImage
from pixstore.crypto import Buffer
from pixstore.errors import BlobNotFound, StorageError
from pixstore.ids import check_blob_id, check_image_id


class MemoryBlobs:
    """A ``BlobStore`` in a dictionary."""

    def __init__(self) -> None:
        self._blobs: dict[str, tuple[bytes, int]] = {}
        self._buried: dict[str, int] = {}
        self._copies: dict[str, bytes] = {}

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

    def touch(self, blob_id: str) -> None:
        """See ``BlobStore.touch``."""
        if check_blob_id(blob_id) in self._blobs:
            self._blobs[blob_id] = (self._blobs[blob_id][0], time.time_ns() // 1_000_000)

    def blobs(self) -> Iterator[BlobInfo]:
        """See ``BlobStore.blobs``."""
        for blob_id, (data, put_at) in list(self._blobs.items()):
            yield BlobInfo(blob_id, len(data), put_at)

    def discard_unfinished(self, *, before: int) -> int:  # noqa: ARG002 - the protocol's signature
        """See ``BlobStore.discard_unfinished``: a put in memory is never unfinished."""
        return 0

    def bury(self, image_ids: Sequence[str]) -> None:
        """See ``BlobStore.bury``."""
        image_ids = [check_image_id(image_id) for image_id in image_ids]
        self._buried |= dict.fromkeys(image_ids, time.time_ns() // 1_000_000)

    def buried(self) -> Iterator[BuriedImage]:
        """See ``BlobStore.buried``."""
        yield from [BuriedImage(*entry) for entry in self._buried.items()]

    def forget_buried(self, image_ids: Sequence[str]) -> None:
        """See ``BlobStore.forget_buried``."""
        for image_id in image_ids:
            self._buried.pop(image_id, None)

    def put_copy(self, name: str, document: bytes) -> None:
        """See ``BlobStore.put_copy``."""
        self._copies[name] = document

    def copies(self) -> dict[str, bytes]:
        """See ``BlobStore.copies``."""
        return dict(self._copies)

    def remove_copy(self, name: str) -> None:
        """See ``BlobStore.remove_copy``."""
        self._copies.pop(name, None)
