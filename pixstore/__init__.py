"""
An encrypted image store: every image sealed with AES-256-GCM under its own key.

``ImageStore`` is the store as an object; ``pixstore.backend`` is the same as functions. Neither loads Flask.
"""

from pixstore.config import Config
from pixstore.errors import (
    BlobFormatError,
    BlobNotFound,
    ConfigError,
    DatabaseUnavailable,
    DecryptionFailed,
    ImageChanged,
    ImageNotFound,
    ImageRejected,
    InvalidId,
    KeyringError,
    PixstoreError,
    RecordDamaged,
    StorageError,
    StorageFull,
    UnreadableFile,
    WireError,
)
from pixstore.records import ImageMeta, ImageRecord
from pixstore.store import ImageStore
from pixstore.unit_of_work import UnitOfWork

__all__ = [
    "BlobFormatError",
    "BlobNotFound",
    "Config",
    "ConfigError",
    "DatabaseUnavailable",
    "DecryptionFailed",
    "ImageChanged",
    "ImageMeta",
    "ImageNotFound",
    "ImageRecord",
    "ImageRejected",
    "ImageStore",
    "InvalidId",
    "KeyringError",
    "PixstoreError",
    "RecordDamaged",
    "StorageError",
    "StorageFull",
    "UnitOfWork",
    "UnreadableFile",
    "WireError",
]
