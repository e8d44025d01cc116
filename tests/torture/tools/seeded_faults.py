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
from pixstore.maintenance import backup as backups
from pixstore.maintenance import restore as restoring
from pixstore.maintenance import rotation
from pixstore.models import CurrentVersion, ImageRow, StoreModels
from pixstore.reaper import Reaper
from pixstore.store_keyring import StoreKeyring
from pixstore.unit_of_work import UnitOfWork


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
        with open(blobs._path(blob_id), "wb", buffering=0) as file:
            file.writelines(parts)
            os.fsync(file.fileno())

    with (
        mock.patch.object(pixstore.unit_of_work, "_seal", seal),
        mock.patch.object(pixstore.ids, "new_blob_id", new_blob_id),
        mock.patch.object(LocalBlobs, "put", overwrite),
        mock.patch.object(StoreModels, "note_dead", return_value=None),
        mock.patch.object(UnitOfWork, "_abandon", return_value=None),
    ):
        yield


@contextmanager
def delete_on_error() -> Iterator[None]:
    """An error of the database during an update removes both blobs of the image, the new and the old one."""
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

    def read_image(models: StoreModels, image_id: str) -> Any:
        return read_images(models, [image_id]).get(image_id)

    # The old version has to be there still.
    with (
        mock.patch.object(StoreModels, "read_image", read_image),
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
    with mock.patch.object(StoreModels, "remove_image", return_value=None):
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
def keyring_before_key_file() -> Iterator[None]:
    """A rotation of the master key wraps the keyring by the new key before that key lies in its file."""
    with mock.patch.object(rotation, "write_key_file", return_value=None):
        yield


@contextmanager
def lost_keys_stay_lost() -> Iterator[None]:
    """Keys that are in copies of the keyring alone, because the database was put back, are not looked for."""
    with mock.patch.object(StoreKeyring, "_take_back_lost_keys", return_value=None):
        yield


@contextmanager
def generations_trusted() -> Iterator[None]:
    """A program takes a keyring of the generation that it knows for the one that it knows."""
    usual = StoreKeyring._refresh

    def refresh(keyring: StoreKeyring) -> None:
        row = keyring._read_row()
        if row is None or row.generation != keyring._keyring.generation:
            usual(keyring)

    with mock.patch.object(StoreKeyring, "_refresh", refresh):
        yield


@contextmanager
def shared_hold() -> Iterator[None]:
    """All backups hold dead blobs under one name: the first that ends lets go of them."""
    usual = backups._held

    @contextmanager
    def held(parts: Any) -> Iterator[None]:
        holding = usual(parts)
        with mock.patch("secrets.token_hex", return_value="of all"):
            holding.__enter__()
        try:
            yield
        finally:
            holding.__exit__(None, None, None)

    with mock.patch.object(backups, "_held", held):
        yield


@contextmanager
def holds_ignored() -> Iterator[None]:
    """Dead blobs are removed, whoever holds them."""
    with mock.patch.object(Reaper, "_is_held", return_value=False):
        yield


@contextmanager
def incomplete_backups() -> Iterator[None]:
    """A backup that could not copy every blob takes the place of the one before."""
    usual = backups._Backup._commit

    def commit(backup: Any, snapshot: Any, blob_ids: list[str], _lost: list[str]) -> Any:
        return usual(backup, snapshot, blob_ids, [])

    with (
        holds_ignored(),
        mock.patch.object(backups._Backup, "_lost_by_the_store", lambda _backup, missing: missing),
        mock.patch.object(backups._Backup, "_commit", commit),
    ):
        yield


@contextmanager
def unchecked_backups() -> Iterator[None]:
    """A restore does not look at the seal of a backup."""
    with mock.patch.object(restoring, "check_seal", return_value=None):
        yield


@contextmanager
def logins_in_backups() -> Iterator[None]:
    """Logins, attempts and set-up links are backed up and restored like everything else."""
    usual_make, usual_put = backups._Backup.__init__, restoring._put_database

    def make(backup: Any, parts: Any, directory: Any, target: Any, _without: Any) -> None:
        usual_make(backup, parts, directory, target, ())

    def put(config: Any, snapshot: Any, _without: Any) -> None:
        usual_put(config, snapshot, ())

    with (
        mock.patch.object(backups._Backup, "__init__", make),
        mock.patch.object(restoring, "_put_database", put),
    ):
        yield


@contextmanager
def no_own_directories() -> Iterator[None]:
    """A backup does not look whether its directory is one of the store itself."""
    with (
        mock.patch.object(backups, "_refuse_own_directories", return_value=None),
        mock.patch.object(backups, "_refuse_others", return_value=None),
        mock.patch.object(backups, "_refuse_own_blobs", return_value=None),
    ):
        yield


@contextmanager
def no_notes_on_deletions() -> Iterator[None]:
    """That an image was deleted is not noted beside the blobs."""
    with mock.patch.object(LocalBlobs, "bury", return_value=None):
        yield


@contextmanager
def notes_not_read() -> Iterator[None]:
    """A rebuild does not look at the notes on deleted images."""
    with mock.patch.object(LocalBlobs, "buried", return_value=[]):
        yield


@contextmanager
def reaper_gives_up() -> Iterator[None]:
    """Dead blobs that somebody holds are not tried again."""
    usual = Reaper._drain_or_log

    def drain(reaper: Reaper) -> bool:
        usual(reaper)
        return False

    with mock.patch.object(Reaper, "_drain_or_log", drain):
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
        keyring_before_key_file,
        lost_keys_stay_lost,
        generations_trusted,
        shared_hold,
        holds_ignored,
        incomplete_backups,
        unchecked_backups,
        logins_in_backups,
        no_own_directories,
        no_notes_on_deletions,
        notes_not_read,
        reaper_gives_up,
        impatient_sweep,
        trusting_decoder,
    )
}


def seeded(name: str | None) -> AbstractContextManager[None]:
    """Return what puts the fault *name* into the store, or nothing."""
    return nullcontext() if name is None else SEEDS[name]()
