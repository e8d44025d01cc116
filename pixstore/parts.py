"""
What an open store is made of. For this package alone: names here may change at any time.

``ImageStore`` is the product; the unit of work and maintenance need what lies behind it. Imports ``config``, ``models``,
``blobs``, ``store_keyring``, ``proofs``, ``records``, ``reaper``.
"""

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass

import peewee

from pixstore import ids, proofs
from pixstore.blobs import BlobStore
from pixstore.config import Config
from pixstore.errors import RecordDamaged
from pixstore.keyring import PROOF_LABEL
from pixstore.models import ImageRow, StoreModels
from pixstore.reaper import Reaper
from pixstore.records import ImageMeta, ImageRecord
from pixstore.store_keyring import StoreKeyring

Clock = Callable[[], int]


def clock_ms() -> int:
    """Return the time in ms since 1970."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class StoreParts:
    """The parts of one open store."""

    config: Config
    models: StoreModels
    blobs: BlobStore
    keyring: StoreKeyring
    reaper: Reaper
    now: Clock

    @property
    def database(self) -> peewee.Database:
        """The database of the records."""
        return self.models.database

    def row(self, image_id: str) -> ImageRow | None:
        """
        Return the row of the image, or ``None`` if there is no such image.

        Raises:
            RecordDamaged: If the row is damaged.
        """
        if not ids.is_image_id(image_id):
            return None
        row = self.models.read_images([image_id]).get(image_id)
        if isinstance(row, RecordDamaged):
            raise row
        return row

    def record(self, row: ImageRow, image_key: bytes | None) -> ImageRecord:
        """Return what a client needs to know of the image, with a fresh proof; without *image_key* for pages."""
        meta = None if image_key is None else ImageMeta(_base64(image_key), _base64(row.iv), _base64(row.tag))
        proof = proofs.issue(
            row.id,
            key=self.keyring.secret(PROOF_LABEL),
            now=self.now(),
            window_length=self.config.stateless_key_window_length,
        )
        return ImageRecord(row.id, row.token, row.format, meta, proof)

    def image_key(self, row: ImageRow) -> bytes:
        """
        Return the key of the image.

        Raises:
            KeyringError: If the store key it is wrapped by is not in the keyring.
            DecryptionFailed: If it does not open.
        """
        return self.keyring.use(
            lambda keyring: keyring.unwrap_key(
                row.wrapped_key, store_key_id=row.store_key_id, image_id=row.id, blob_id=row.blob_id
            )
        )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
