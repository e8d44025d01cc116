"""
Every error the library raises on purpose. This module imports nothing.

    PixstoreError
    ├── ConfigError           settings are wrong, all faults in one message
    ├── ImageRejected         not an image we accept                  .reason
    ├── UnreadableFile        the file with the image cannot be read
    ├── InvalidId             not an image id, or no usable directory
    ├── ImageNotFound         no such image                           .image_id
    ├── ImageChanged          another version came in between         .image_id
    ├── WireError             bytes are not a wire payload
    ├── BlobFormatError       bytes are not a sealed blob
    ├── KeyringError          keyring missing, damaged, or the wrong master key
    ├── DecryptionFailed      wrong key, or the data was damaged or altered
    └── StorageError          the blob store failed                   .name
        ├── BlobNotFound
        ├── RecordDamaged     a record cannot be used: `check` may mend it      .name
        ├── StorageFull       no space left, or a quota was reached
        └── DatabaseUnavailable

The text of an error may be shown to a user: it says what was wrong with what, and never holds a secret.
"""

from typing import Literal

RejectionReason = Literal[
    "empty",
    "not_an_image",
    "format_not_allowed",
    "truncated",
    "damaged",
    "too_large",
    "too_many_pixels",
    "too_costly",
]


class PixstoreError(Exception):
    """Anything that can go wrong in a way the library expects."""


class ConfigError(PixstoreError):
    """The settings are wrong. The message lists every fault found, one a line."""


class ImageRejected(PixstoreError):
    """The bytes are not an image this store accepts."""

    def __init__(self, reason: RejectionReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class UnreadableFile(PixstoreError):
    """The file that holds the image cannot be read."""


class InvalidId(PixstoreError):
    """The text is not an image id. It is not repeated in the message: it comes from outside."""


class ImageNotFound(PixstoreError):
    """There is no image with this id."""

    def __init__(self, image_id: str) -> None:
        super().__init__(f"there is no image {image_id!r}")
        self.image_id = image_id


class ImageChanged(PixstoreError):
    """Another update came first, so the version to be replaced is no longer the current one."""

    def __init__(self, image_id: str) -> None:
        super().__init__(f"the image {image_id!r} was changed in the meantime")
        self.image_id = image_id


class WireError(PixstoreError):
    """The bytes are not a wire payload."""


class BlobFormatError(PixstoreError):
    """The bytes are not a sealed blob, or have a version that this program cannot read."""


class KeyringError(PixstoreError):
    """The keyring is missing or damaged, or the master key does not open it."""


class DecryptionFailed(PixstoreError):
    """The key is wrong, or the ciphertext is damaged or altered. All three must look the same from outside."""

    def __init__(self, message: str = "wrong key, or the data was damaged or altered") -> None:
        super().__init__(message)


class StorageError(PixstoreError):
    """The blob store or the database could not do what was asked."""

    def __init__(self, message: str, *, name: str | None = None) -> None:
        super().__init__(message)
        self.name = name


class BlobNotFound(StorageError):
    """The blob store holds no blob of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the blob {name} is missing", name=name)


class RecordDamaged(StorageError):
    """The database row of an image holds values that no store writes. Other images are not affected."""

    def __init__(self, image_id: str) -> None:
        super().__init__(
            f"the record of the image {image_id} is damaged: check the store with repair", name=image_id
        )


class StorageFull(StorageError):
    """There is no room left for a write."""


class DatabaseUnavailable(StorageError):
    """The database could not be reached, or stayed busy. The change may or may not have been made."""
