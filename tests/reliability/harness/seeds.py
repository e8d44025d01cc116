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
from PIL import Image
from playhouse.pool import PooledSqliteDatabase

import pixstore.files
import pixstore.formats
import pixstore.ids
import pixstore.keyring
import pixstore.models
import pixstore.proofs
from pixstore.blobs.local import LocalBlobs
from pixstore.errors import StorageError
from pixstore.store import ImageStore, UnitOfWork


@contextmanager
def in_place_overwrite() -> Iterator[None]:
    """A new version is written where the old one lies."""
    usual_put, usual_new_id = UnitOfWork._put, pixstore.ids.new_blob_id
    names: list[str] = []

    def put(work: UnitOfWork, image_id: str, *rest: Any, **named: Any) -> None:
        current = work._store._row(image_id)
        names.append(usual_new_id() if current is None else current.blob_id)
        try:
            usual_put(work, image_id, *rest, **named)
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
        mock.patch.object(UnitOfWork, "_put", put),
        mock.patch.object(pixstore.ids, "new_blob_id", new_blob_id),
        mock.patch.object(LocalBlobs, "put", overwrite),
        mock.patch.object(UnitOfWork, "_note_dead", return_value=None),
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
            for put in work._puts:
                work._store.blobs.delete(put.fields["blob_id"])
                with suppress(StorageError):
                    old = work._store._row(put.fields["id"])
                    if old is not None:
                        work._store.blobs.delete(old.blob_id)
            raise

    with mock.patch.object(UnitOfWork, "_commit", commit):
        yield


@contextmanager
def old_blob_first() -> Iterator[None]:
    """The old version is removed before the commit that replaces it."""
    usual = UnitOfWork._note_dead

    def note_dead(work: UnitOfWork, blob_id: str) -> None:
        work._store.blobs.delete(blob_id)
        usual(work, blob_id)

    with mock.patch.object(UnitOfWork, "_note_dead", note_dead):
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
    usual = ImageStore._rows
    seen: dict[str, Any] = {}
    count = [0]

    def rows(store: ImageStore, image_ids: Any) -> list[Any]:
        found = usual(store, image_ids)
        count[0] += 1
        for number, row in enumerate(found):
            if count[0] % 50 == 0 and row.id in seen:
                found[number] = seen[row.id]
            seen[row.id] = row
        return found

    # The old version has to be there still.
    with (
        mock.patch.object(ImageStore, "_rows", rows),
        mock.patch.object(ImageStore, "reap", return_value=0),
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

    def delete_row(work: UnitOfWork, image_id: str) -> None:
        work._note_dead(work._locked_row(image_id).blob_id)

    with mock.patch.object(UnitOfWork, "_delete_row", delete_row):
        yield


@contextmanager
def token_stands_still() -> Iterator[None]:
    """An update may give the token of the version before."""

    def write_row(work: UnitOfWork, put: Any) -> Any:
        image = work._store.models.image
        if put.is_new:
            return image.create(**put.fields, token=work._store.now())
        current = work._locked_row(put.fields["id"])
        work._note_dead(current.blob_id)
        token = work._store.now()
        image.update(**put.fields, token=token).where(image.id == current.id).execute()
        return image(**put.fields, token=token)

    with mock.patch.object(UnitOfWork, "_write_row", write_row):
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
        with Image.open(io.BytesIO(data)) as image:
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
