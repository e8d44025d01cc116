"""
Faults put into the store on purpose, one at a time: a test that does not find them could not find others.

Each is a context manager that patches the store of this process; ``seeded(None)`` changes nothing.
"""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any
from unittest import mock

import peewee
import PIL.Image
from playhouse.pool import PooledSqliteDatabase

import pixstore.files
import pixstore.formats
import pixstore.ids
import pixstore.keyring
import pixstore.proofs
import pixstore.unit_of_work
from pixstore.blobs.local import LocalBlobs
from pixstore.errors import StorageError
from pixstore.models import CurrentVersion, DeadBlob, Image, ImageRow, StoreModels
from pixstore.reaper import Reaper
from pixstore.unit_of_work import UnitOfWork


def _change_nothing(model: type[peewee.Model], *_: object) -> Any:
    """Return a query in the place of one that would change rows of *model*."""
    key = model._meta.primary_key
    return model.update({key: key}).where(key == "")


@contextmanager
def in_place_overwrite() -> Iterator[None]:
    """A new version is written where the old one lies."""
    usual_seal, usual_new_id = pixstore.unit_of_work._seal, pixstore.ids.new_blob_id
    names: list[str] = []

    def seal(*rest: Any, current: ImageRow | None = None, **named: Any) -> Any:
        names.append(usual_new_id() if current is None else current.blob_id)
        try:
            return usual_seal(*rest, current=current, **named)
        finally:
            names.clear()

    def new_blob_id() -> str:
        return names[0] if names else usual_new_id()

    def overwrite(blobs: LocalBlobs, blob_id: str, parts: Any) -> None:
        path = blobs._path(blob_id)
        with suppress(FileExistsError):
            path.parent.mkdir()
        with open(path, "wb", buffering=0) as file:
            file.writelines(parts)
            os.fsync(file.fileno())

    with (
        mock.patch.object(pixstore.unit_of_work, "_seal", seal),
        mock.patch.object(pixstore.ids, "new_blob_id", new_blob_id),
        mock.patch.object(LocalBlobs, "put", overwrite),
        mock.patch.object(DeadBlob, "insert_many", classmethod(_change_nothing)),
        mock.patch.object(UnitOfWork, "_abandon", return_value=None),
    ):
        yield


@contextmanager
def delete_on_error() -> Iterator[None]:
    """An error of the database during an update removes what the image has: the new blob and the old one."""
    usual = UnitOfWork._commit

    def commit(work: UnitOfWork) -> None:
        try:
            usual(work)
        except (StorageError, peewee.PeeweeException):
            for version in work._versions:
                work._parts.blobs.delete(version.row.blob_id)
                with suppress(StorageError):
                    old = work._parts.row(version.row.id)
                    if old is not None:
                        work._parts.blobs.delete(old.blob_id)
            raise

    with mock.patch.object(UnitOfWork, "_commit", commit):
        yield


@contextmanager
def old_blob_first() -> Iterator[None]:
    """The old version is removed before the commit that replaces it."""
    usual = UnitOfWork._commit

    def commit(work: UnitOfWork) -> None:
        lock_image = work._parts.models.lock_image

        def remove_and_lock(image_id: str) -> CurrentVersion | None:
            current = lock_image(image_id)
            if current is not None:
                work._parts.blobs.delete(current.blob_id)
            return current

        with mock.patch.object(work._parts.models, "lock_image", remove_and_lock):
            usual(work)

    with mock.patch.object(UnitOfWork, "_commit", commit):
        yield


@contextmanager
def wal_normal() -> Iterator[None]:
    """``synchronous=NORMAL``: a commit is not on the disk when it is acknowledged."""
    usual = PooledSqliteDatabase.__init__

    def opened(database: Any, *rest: Any, **named: Any) -> None:
        pragmas = [(k, "normal" if k == "synchronous" else v) for k, v in named.pop("pragmas", [])]
        usual(database, *rest, **named, pragmas=pragmas)

    with mock.patch.object(PooledSqliteDatabase, "__init__", opened):
        yield


@contextmanager
def no_fsync() -> Iterator[None]:
    """No ``fsync`` of blobs: they are in memory when the row that names them is on the disk."""
    with mock.patch.object(os, "fsync", return_value=None):
        yield


@contextmanager
def no_directory_sync() -> Iterator[None]:
    """The name of a new blob is not made durable."""
    with mock.patch("pixstore.blobs.local.sync_directory", return_value=None):
        yield


@contextmanager
def everything_in_memory() -> Iterator[None]:
    """No sync at all, as under ``eatmydata``."""
    usual = PooledSqliteDatabase.__init__

    def opened(database: Any, *rest: Any, **named: Any) -> None:
        pragmas = [(k, "off" if k == "synchronous" else v) for k, v in named.pop("pragmas", [])]
        usual(database, *rest, **named, pragmas=pragmas)

    with no_fsync(), mock.patch.object(PooledSqliteDatabase, "__init__", opened):
        yield


@contextmanager
def altered_read() -> Iterator[None]:
    """Now and then a read uses the row it saw the time before."""
    usual = StoreModels.read_images
    seen: dict[str, Any] = {}
    count = [0]

    def read_images(models: StoreModels, image_ids: Any) -> dict[str, Any]:
        found = usual(models, image_ids)
        count[0] += 1
        for image_id, row in found.items():
            if count[0] % 50 == 0 and image_id in seen:
                found[image_id] = seen[image_id]
            seen[image_id] = row
        return found

    # The old version has to be there still.
    with (
        mock.patch.object(StoreModels, "read_images", read_images),
        mock.patch.object(Reaper, "reap", return_value=0),
    ):
        yield


@contextmanager
def no_associated_data() -> Iterator[None]:
    """Wrapped keys are bound to no image: a row opens in another's place."""
    with mock.patch.object(pixstore.keyring, "_key_place", return_value=b""):
        yield


@contextmanager
def delete_keeps_row() -> Iterator[None]:
    """A delete notes the blob as dead, and forgets to remove the row."""
    with mock.patch.object(Image, "delete", classmethod(_change_nothing)):
        yield


class _Standing(int):
    """A token to which nothing can be added, so that the next one is just the time."""

    def __add__(self, _other: int) -> int:
        return -1


@contextmanager
def token_stands_still() -> Iterator[None]:
    """An update may give the token of the version before."""
    usual = StoreModels.lock_image

    def lock_image(models: StoreModels, image_id: str) -> CurrentVersion | None:
        current = usual(models, image_id)
        return None if current is None else current._replace(token=_Standing(current.token))

    with mock.patch.object(StoreModels, "lock_image", lock_image):
        yield


@contextmanager
def short_proofs() -> Iterator[None]:
    """Only the first two characters of a proof are looked at."""
    usual = pixstore.proofs._proof

    def verify(proof: object, image_id: str, *, key: bytes, now: int, window_length: int) -> bool:
        window = pixstore.proofs._window(now, window_length)
        return isinstance(proof, str) and proof[:2] == usual(image_id, key, window)[:2]

    with mock.patch.object(pixstore.proofs, "verify", verify):
        yield


@contextmanager
def retire_keys_early() -> Iterator[None]:
    """A key rotation forgets the older store keys at once."""
    usual = pixstore.keyring.Keyring.with_new_store_key

    def rotated(keyring: Any, *, now: int) -> Any:
        new = usual(keyring, now=now)
        return new.without_store_keys([key_id for key_id in new.store_keys if key_id != new.active])

    with mock.patch.object(pixstore.keyring.Keyring, "with_new_store_key", rotated):
        yield


@contextmanager
def impatient_sweep() -> Iterator[None]:
    """Every blob is taken for one of long ago, also that of an upload which is not over."""
    usual = LocalBlobs.blobs

    def blobs(blobs: LocalBlobs) -> Iterator[Any]:
        return (blob._replace(put_at=0) for blob in usual(blobs))

    with mock.patch.object(LocalBlobs, "blobs", blobs):
        yield


@contextmanager
def trusting_decoder() -> Iterator[None]:
    """The size an image announces is not looked at, and what a decoder raises comes through."""

    def probe(data: bytes, _max_pixels: int) -> tuple[int, int]:
        with PIL.Image.open(io.BytesIO(data)) as image:
            image.load()
            return image.size

    with mock.patch.dict(pixstore.formats._PROBES, dict.fromkeys(pixstore.formats._PROBES, probe)):
        yield


SEEDS: dict[str, Callable[[], AbstractContextManager[None]]] = {
    seed.__name__: seed
    for seed in (
        in_place_overwrite,
        delete_on_error,
        old_blob_first,
        wal_normal,
        no_fsync,
        no_directory_sync,
        everything_in_memory,
        altered_read,
        no_associated_data,
        delete_keeps_row,
        token_stands_still,
        short_proofs,
        retire_keys_early,
        impatient_sweep,
        trusting_decoder,
    )
}


def seeded(name: str | None) -> AbstractContextManager[None]:
    """Return what puts the fault *name* into the store, or nothing."""
    return nullcontext() if name is None else SEEDS[name]()
