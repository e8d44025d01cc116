"""The answer of the image endpoint before it is bytes: a short head and an open blob. Imports only ``wire``."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from pixstore.wire import Refusal, WireState, encode

logger = logging.getLogger(__name__)

CHUNK_SIZE = 256 * 1024
SHORTER = "the blob became shorter while it was read"


@dataclass(frozen=True, slots=True)
class Answer:
    """
    One wire payload: *head*, then *blob_size* bytes of *blob* from where it stands. Close it after use.

    A Success payload has no head: from its place on, the blob is the payload, and a server can send it from the file.
    """

    state: WireState
    head: bytes = field(repr=False)
    blob: BinaryIO | None = None
    blob_size: int = 0

    @property
    def size(self) -> int:
        """Length of the payload in bytes."""
        return len(self.head) + self.blob_size

    def chunks(self) -> Iterator[bytes]:
        """Yield the payload in pieces, then close the blob."""
        try:
            if self.head:
                yield self.head
            left = self.blob_size
            while self.blob is not None and left > 0:
                chunk = self.blob.read(min(CHUNK_SIZE, left))
                if not chunk:
                    raise OSError(SHORTER)
                left -= len(chunk)
                yield chunk
        finally:
            self.close()

    def to_bytes(self) -> bytes:
        """Return the whole payload, and close the blob. Where it cannot be read, that is the answer."""
        try:
            body = b"" if self.blob is None else self.blob.read(self.blob_size)
            if len(body) != self.blob_size:
                raise OSError(SHORTER)
            return self.head + body if self.head else body
        except OSError:
            logger.exception("a blob could not be read")
            return encode(Refusal(WireState.INTERNAL_ERROR))
        finally:
            self.close()

    def close(self) -> None:
        """Close the blob."""
        if self.blob is not None:
            self.blob.close()


def refusal(state: WireState) -> Answer:
    """Return an answer of *state* alone."""
    return Answer(state, encode(Refusal(state)))
