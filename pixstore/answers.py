"""A question to the image endpoint, and its answer: a short head and an open blob. Imports only ``wire``."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple, Self

from pixstore.wire import Refusal, WireState, encode

logger = logging.getLogger(__name__)

CHUNK_SIZE = 256 * 1024
SHORTER = "the blob became shorter while it was read"


class Question(NamedTuple):
    """A client's request: the image, the proof, and the token of the version that the client has."""

    image_id: str | None
    proof: str | None
    client_token: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """
    One wire payload: *head*, then *blob_size* bytes of *blob* from its current position. Close it after use.

    A Success payload has no head: from that position on, the blob is the payload, and a server can send it from the file.
    """

    state: WireState
    head: bytes = field(repr=False)
    blob: BinaryIO | None = None
    blob_size: int = 0

    @classmethod
    def of_state(cls, state: WireState) -> Self:
        """Return an answer with *state* alone, without an image."""
        return cls(state, encode(Refusal(state)))

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
        """Return the whole payload, and close the blob. If the blob cannot be read, return an InternalError."""
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
