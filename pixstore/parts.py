"""
The parts of an open store. For this package alone: names here may change at any time.

``ImageStore`` is the public class; the unit of work and maintenance use its parts directly. Imports
``config``, ``models``, ``blobs``, ``store_keyring``, ``proofs``, ``records``, ``reaper``.
"""

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass

import peewee

from pixstore import ids, proofs
from pixstore.blobs import BlobStore
from pixstore.config import Config
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
        return self.models.read_image(image_id) if ids.is_image_id(image_id) else None

    def record(self, row: ImageRow, image_key: bytes | None) -> ImageRecord:
        """
        Return the record of the image with a fresh proof.

        Without *image_key*, the record holds no key: for pages.
        """
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
            KeyringError: If the keyring does not hold the store key that wraps it.
            DecryptionFailed: If it does not open.
        """
        return self.keyring.use(
            lambda keyring: keyring.unwrap_key(
                row.wrapped_key, store_key_id=row.store_key_id, image_id=row.id, blob_id=row.blob_id
            )
        )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
