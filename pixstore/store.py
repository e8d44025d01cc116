"""
``ImageStore``: the product. The only place where database, blobs and keys meet. Imports everything below it.

The order of writing, and what a crash leaves:

    save, update   1. put the blob under a name never used before           crash: an orphan blob, swept later
                   2. one short write transaction names the blob in the
                      row and notes the previous blob as dead               THE COMMIT POINT
                   3. after the commit, remove the dead blobs               crash: they are still noted, removed later
    delete         1. one write transaction removes the row and notes the
                      blob as dead                                          THE COMMIT POINT
                   2. remove the dead blob
    read           row, then blob; a blob that is gone because an update won the race means: read the row again

No lock and no transaction is held while blobs are read or written. An error of the database never removes a blob: the
commit may have happened. ``sweep`` finds out later.
"""

import atexit
import base64
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Self, TypeVar, cast

import peewee
from playhouse.pool import PooledDatabase

from pixstore import blob_format, crypto, formats, ids, proofs, wire
from pixstore.answers import Answer, refusal
from pixstore.blobs import BlobStore
from pixstore.blobs.local import LocalBlobs
from pixstore.config import Config
from pixstore.crypto import Buffer
from pixstore.details import encode_details
from pixstore.errors import (
    BlobNotFound,
    ImageNotFound,
    KeyringError,
    PixstoreError,
    RecordDamaged,
    StorageError,
)
from pixstore.files import storage_errors
from pixstore.keyring import PROOF_LABEL, Keyring
from pixstore.keyring_files import keyring_stamp, open_keyring
from pixstore.models import Image, StoreModels, lock_rows, open_database, translated_errors
from pixstore.reaper import Reaper
from pixstore.records import ImageMeta, ImageRecord
from pixstore.sealed_blobs import open_sealed, unseal_image
from pixstore.wire import WireState

READ_ATTEMPTS = 5
REAP_BATCH = 200

_T = TypeVar("_T")

Clock = Callable[[], int]

logger = logging.getLogger(__name__)


def clock_ms() -> int:
    """Return the time in ms since 1970."""
    return time.time_ns() // 1_000_000


class ImageStore:
    """
    An encrypted image store. Threads and processes may use one store at the same time.

    Every method raises ``StorageError`` (or ``DatabaseUnavailable``, ``StorageFull``) when the storage fails.
    """

    def __init__(
        self, config: Config, database: peewee.Database, blobs: BlobStore, keyring: Keyring, now: Clock
    ) -> None:
        self.config = config
        self.database = database
        self.blobs = blobs
        self.models = StoreModels(database)
        self.now = now
        self._keyring = keyring
        self._keyring_stamp: tuple[int, int] | None = None
        self._reaper = Reaper(self.reap)

    @classmethod
    def open(cls, config: Config, *, blobs: BlobStore | None = None, now: Clock = clock_ms) -> "ImageStore":
        """
        Open the store that *config* names, made at a first start.

        Raises:
            KeyringError: If the store has images, but not the keys to read them.
            StorageError: If the database or the image directory cannot be used.
        """
        database = open_database(config)
        try:
            blobs = LocalBlobs(config.blobs_path) if blobs is None else blobs
            models = StoreModels(database)
            with translated_errors(), database.connection_context():
                in_use = models.image.select().exists()
                has_dead_blobs = models.dead_blob.select().exists()
            keyring = open_keyring(config, blobs, now=now(), in_use=in_use)
        except BaseException:
            cast("PooledDatabase", database).close_all()
            raise
        store = cls(config, database, blobs, keyring, now)
        atexit.register(store.close)
        if has_dead_blobs:
            store.wake_reaper()
        return store

    def close(self) -> None:
        """Remove what is still to be removed and close every connection. The store must not be used afterwards."""
        atexit.unregister(self.close)
        self._reaper.close()
        with suppress(PixstoreError):
            while self.reap():
                pass
        with suppress(peewee.PeeweeException):
            cast("PooledDatabase", self.database).close_all()

    def after_fork(self) -> None:
        """Forget connections that belong to the parent process. Call it in a child before anything else."""
        self.database.dispose()

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Hold one database connection for this thread. Inside another ``connected`` it does nothing."""
        with translated_errors(), self.database.connection_context():
            yield

    # --- writing

    def save(
        self, data: Buffer, directory: str | None = None, details: Mapping[str, Any] | None = None
    ) -> ImageRecord:
        """
        Keep a new image and return its record.

        *directory* is the namespace of its id. *details* (anything JSON) are sealed into the blob: a store rebuilt
        without its database gives them back.

        Raises:
            ImageRejected: If *data* is not a whole image within the limits.
            InvalidId: If nothing of *directory* is usable.
        """
        with self.unit_of_work() as work:
            pending = work.save(data, directory, details)
        return work.records[pending.image_id]

    def update(self, image_id: str, data: Buffer, details: Mapping[str, Any] | None = None) -> ImageRecord:
        """
        Replace the image and return its record with a new key and a larger token.

        Raises:
            ImageNotFound: If there is no such image.
            ImageRejected: If *data* is not a whole image within the limits.
        """
        with self.unit_of_work() as work:
            work.update(image_id, data, details)
        return work.records[image_id]

    def delete(self, image_id: str) -> bool:
        """Remove the image and its record; return whether there was one."""
        try:
            with self.unit_of_work() as work:
                work.delete(image_id)
        except ImageNotFound:
            return False
        return True

    def unit_of_work(self) -> "UnitOfWork":
        """Return a context manager in which several changes commit together or not at all."""
        return UnitOfWork(self)

    # --- reading

    def record(self, image_id: str) -> ImageRecord | None:
        """Return the record of the image, with its key, or ``None``."""
        row = self._row(image_id)
        return None if row is None else self._record(row, self._image_key(row))

    def records(self, image_ids: Iterable[str]) -> dict[str, ImageRecord]:
        """Return the records of those images that exist, in one query, without keys: for pages."""
        rows = self.rows(image_ids)
        return {image_id: self._record(row, None) for image_id, row in rows.items() if row is not None}

    def exists(self, image_id: str) -> bool:
        """Tell whether there is such an image."""
        return self._row(image_id) is not None

    def load(self, image_id: str) -> bytes:
        """
        Return the decrypted image.

        Raises:
            ImageNotFound: If there is no such image.
            DecryptionFailed: If the blob was damaged or altered.
        """
        row = self._row(image_id)
        if row is None:
            raise ImageNotFound(image_id)
        row, blob = self._open_blob(row)
        with storage_errors("the image could not be read", row.blob_id), blob:
            ciphertext = blob.read(row.payload_size)[len(blob_format.PAYLOAD_STATE) :]
        _, image = crypto.unseal(ciphertext, key=self._image_key(row), iv=bytes(row.iv), tag=bytes(row.tag))
        return bytes(image)

    # --- the image endpoint

    def answer(self, image_id: str | None, *, proof: str | None, client_token: int | None = None) -> Answer:
        """
        Return the answer of the image endpoint. It never raises: what goes wrong here is logged and answered.

        The caller closes the answer.
        """
        return next(self.answers([(image_id, proof, client_token)]))

    def answers(self, questions: Sequence[tuple[str | None, str | None, int | None]]) -> Iterator[Answer]:
        """Yield the answer to each ``(image id, proof, client token)`` in order, reading the records in one query."""
        refusals = [self._refusal(image_id, proof) for image_id, proof, _ in questions]
        granted = [q[0] or "" for q, refused in zip(questions, refusals, strict=True) if refused is None]
        try:
            rows = self.rows(granted)
        except PixstoreError:
            logger.exception("the image endpoint could not read the records")
            rows = dict.fromkeys(granted)
        for (image_id, _, client_token), refused in zip(questions, refusals, strict=True):
            if refused is not None:
                yield refusal(refused)
            elif image_id not in rows:
                yield refusal(WireState.NOT_FOUND)
            elif (row := rows[image_id]) is None:
                yield refusal(WireState.INTERNAL_ERROR)
            else:
                yield self._granted(row, client_token)

    def _refusal(self, image_id: str | None, proof: str | None) -> WireState | None:
        if not image_id:
            return WireState.MISSING_ID
        if not proof:
            return WireState.MISSING_PROOF
        if not ids.is_image_id(image_id):
            return WireState.NOT_FOUND
        window_length = self.config.stateless_key_window_length
        if not proofs.verify(
            proof,
            image_id,
            key=self._keyring.secret(PROOF_LABEL),
            now=self.now(),
            window_length=window_length,
        ):
            return WireState.INVALID_PROOF
        return None

    def _granted(self, row: Image, client_token: int | None) -> Answer:
        try:
            row, blob = self._open_blob(row)
        except ImageNotFound:
            return refusal(WireState.NOT_FOUND)
        except PixstoreError:
            logger.exception("the image endpoint could not open the blob of %s", row.id)
            return refusal(WireState.INTERNAL_ERROR)
        if client_token == row.token:
            return Answer(WireState.SUCCESS, b"", blob, row.payload_size)
        try:
            head = wire.updated_head(row.token, self._image_key(row), bytes(row.iv), bytes(row.tag))
        except PixstoreError:
            logger.exception("the image endpoint could not unwrap the key of %s", row.id)
            blob.close()
            return refusal(WireState.INTERNAL_ERROR)
        blob.seek(row.payload_offset + len(blob_format.PAYLOAD_STATE))
        return Answer(WireState.UPDATED, head, blob, row.payload_size - len(blob_format.PAYLOAD_STATE))

    # --- sealed text and derived secrets

    def seal_text(self, text: str, *, purpose: str, row_id: str) -> bytes:
        """Return *text* sealed for one column (*purpose*) of one row: it opens nowhere else."""
        return self.current_keyring().seal_text(text, purpose=purpose, row_id=row_id)

    def open_text(self, sealed: bytes, *, purpose: str, row_id: str) -> str:
        """
        Undo ``seal_text``.

        Raises:
            DecryptionFailed: If it was sealed for another place, or altered.
        """
        return self._with_keyring(
            lambda keyring: keyring.open_text(bytes(sealed), purpose=purpose, row_id=row_id)
        )

    def secret(self, label: str) -> bytes:
        """Return 32 bytes for the one purpose that *label* names, the same in every process of this store."""
        return self._keyring.secret(label)

    # --- housekeeping

    def reap(self) -> int:
        """Remove the blobs of some replaced and deleted images; return how many are done with."""
        dead_blob, hold = self.models.dead_blob, self.models.hold
        with self.connected():
            dead = [row.blob_id for row in dead_blob.select().order_by(dead_blob.dead_at).limit(REAP_BATCH)]
            # Only then: what is dead before a hold begins, no holder needs.
            if hold.select().where(hold.until > self.now()).exists():
                return 0
        done = [blob_id for blob_id in dead if self._removed(blob_id)]
        failed = set(dead).difference(done)
        if dead:
            with self.connected(), self.database.atomic():
                dead_blob.delete().where(dead_blob.blob_id.in_(done)).execute()
                if failed:  # behind the others, which may fare better
                    dead_blob.update(dead_at=self.now()).where(dead_blob.blob_id.in_(failed)).execute()
        return len(done)

    def wake_reaper(self) -> None:
        """Let the blobs of replaced and deleted images be removed soon, in the background."""
        self._reaper.wake()

    def _removed(self, blob_id: str) -> bool:
        try:
            self.blobs.delete(blob_id)
        except StorageError:
            logger.exception("the blob %s could not be removed; it is tried again later", blob_id)
            return False
        return True

    # --- parts of the above

    def rows(self, image_ids: Iterable[str]) -> dict[str, Image | None]:
        """Return the rows of those images that exist, in one query; ``None`` stands for one that is damaged."""
        wanted = {image_id for image_id in image_ids if ids.is_image_id(image_id)}
        try:
            return {row.id: row for row in self._rows(wanted)}
        except RecordDamaged:
            return {image_id: row for image_id in wanted for row in self._row_or_damage(image_id)}

    def _row_or_damage(self, image_id: str) -> list[Image | None]:
        """Return the row in a list that is empty where there is none."""
        try:
            return [*self._rows({image_id})]
        except RecordDamaged:
            logger.exception("a record is damaged")
            return [None]

    def _row(self, image_id: str) -> Image | None:
        return next(iter(self._rows({image_id} if ids.is_image_id(image_id) else set())), None)

    def _rows(self, wanted: set[str]) -> list[Image]:
        if not wanted:
            return []
        image = self.models.image
        with self.connected():
            try:
                rows = list(image.select().where(image.id.in_(wanted)))
            except (ValueError, TypeError, OverflowError):  # SQLite keeps any type in any column
                raise RecordDamaged(", ".join(sorted(wanted))) from None
        for row in rows:
            row.require_sound()
        return rows

    def _record(self, row: Image, image_key: bytes | None) -> ImageRecord:
        meta = None if image_key is None else ImageMeta(_base64(image_key), _base64(row.iv), _base64(row.tag))
        window_length = self.config.stateless_key_window_length
        proof = proofs.issue(
            row.id, key=self._keyring.secret(PROOF_LABEL), now=self.now(), window_length=window_length
        )
        return ImageRecord(row.id, row.token, row.format, meta, proof)

    def _image_key(self, row: Image) -> bytes:
        def unwrap(keyring: Keyring) -> bytes:
            return keyring.unwrap_key(
                bytes(row.wrapped_key), store_key_id=row.store_key_id, image_id=row.id, blob_id=row.blob_id
            )

        return self._with_keyring(unwrap)

    def current_keyring(self) -> Keyring:
        """Return the keyring, read again if its file was replaced: new versions go under the newest store key."""
        stamp = keyring_stamp(self.config)
        if stamp != self._keyring_stamp:
            self._keyring = open_keyring(self.config, self.blobs, now=self.now(), in_use=True)
            self._keyring_stamp = stamp
        return self._keyring

    def _with_keyring(self, use: Callable[[Keyring], _T]) -> _T:
        """Use the keyring; where it lacks a key, read it again: another process may have rotated it."""
        try:
            return use(self._keyring)
        except KeyringError:
            self._keyring = open_keyring(self.config, self.blobs, now=self.now(), in_use=True)
            return use(self._keyring)

    def _open_blob(self, row: Image) -> tuple[Image, BinaryIO]:
        """Return the row and its blob at the payload; the row is a newer one where an update won the race."""
        for _ in range(READ_ATTEMPTS):
            try:
                blob = self.blobs.open(row.blob_id)
            except BlobNotFound:
                current = self._row(row.id)
                if current is None:
                    raise ImageNotFound(row.id) from None
                if current.blob_id == row.blob_id:
                    raise
                row = current
                continue
            with storage_errors("the image could not be read", row.blob_id):
                size = blob.seek(0, os.SEEK_END)
                blob.seek(row.payload_offset)
            if size != row.payload_offset + row.payload_size:
                blob.close()
                raise StorageError(f"the blob {row.blob_id} has a wrong length", name=row.blob_id)
            return row, blob
        raise StorageError(f"the image {row.id} is updated faster than it can be read", name=row.blob_id)


class PendingImage(NamedTuple):
    """An image that is sealed and stored, and becomes visible when its unit of work commits."""

    image_id: str
    format: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class _Put:
    """One blob that is stored and waits for the row that names it; *replaces* is the only blob it may replace."""

    fields: dict[str, Any]
    is_new: bool
    replaces: str | None = None


class UnitOfWork:
    """
    Several changes that commit together, at the end of the ``with`` block, or not at all.

    ``records`` holds the record of every image saved or updated, once the block has ended.
    """

    def __init__(self, store: ImageStore) -> None:
        self._store = store
        self._puts: list[_Put] = []
        self._deletes: list[str] = []
        self._also: list[Callable[[], object]] = []
        self._keys: dict[str, bytes] = {}
        self._may_be_committed = False
        self.records: dict[str, ImageRecord] = {}

    def __enter__(self) -> Self:
        if self._store.database.in_transaction():
            raise RuntimeError("a unit of work is its own transaction and cannot run inside another")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._abandon()
            return
        try:
            self._commit()
        except BaseException as failure:
            if self._is_surely_undone(failure):
                self._abandon()
            raise
        finally:
            self._keys.clear()

    def save(
        self, data: Buffer, directory: str | None = None, details: Mapping[str, Any] | None = None
    ) -> PendingImage:
        """Seal and store a new image; see ``ImageStore.save``."""
        data = _as_bytes(data)
        info = formats.inspect(data, self._store.config.image_limits)
        image_id = ids.new_image_id(directory)
        self._put(image_id, data, info.format, details, is_new=True)
        return PendingImage(image_id, *info)

    def update(self, image_id: str, data: Buffer, details: Mapping[str, Any] | None = None) -> PendingImage:
        """Seal and store a new version of an image; see ``ImageStore.update``."""
        data = _as_bytes(data)
        current = self._store._row(image_id)
        if current is None:
            raise ImageNotFound(image_id)
        info = formats.inspect(data, self._store.config.image_limits)
        self._put(image_id, data, info.format, details, is_new=False, after=current.written_at)
        return PendingImage(image_id, *info)

    def reseal(self, image_id: str) -> str | None:
        """
        Seal the image again under the active store key, with a new key and the details it has.

        Return the blob that holds it so far, or ``None`` if it is under the active key. If an update commits first, that
        one stays, and ``records`` will not hold the image.
        """
        store = self._store
        current = store._row(image_id)
        if current is None:
            raise ImageNotFound(image_id)
        keyring = store.current_keyring()
        if current.store_key_id == keyring.active:
            return None
        sealed = open_sealed(store.blobs, current.blob_id, keyring)
        _, image = unseal_image(store.blobs, sealed)
        self._put(
            image_id,
            image,
            current.format,
            sealed.details.extra,
            is_new=False,
            after=current.written_at,
            replaces=current.blob_id,
        )
        return current.blob_id

    def delete(self, image_id: str) -> None:
        """Remove the image at the commit, which fails with ``ImageNotFound`` if there is none."""
        self._deletes.append(image_id)

    def also(self, action: Callable[[], object]) -> None:
        """Run *action* inside the write transaction, after the images; if it raises, everything is rolled back."""
        self._also.append(action)

    def _put(
        self,
        image_id: str,
        data: bytes,
        image_format: str,
        details: Mapping[str, Any] | None,
        *,
        is_new: bool,
        after: int = -1,
        replaces: str | None = None,
    ) -> None:
        store, keyring = self._store, self._store.current_keyring()
        key, iv = secrets.token_bytes(crypto.KEY_SIZE), secrets.token_bytes(crypto.IV_SIZE)
        sealed = crypto.seal(
            data, formats.format_byte(image_format, store.config.image_formats), key=key, iv=iv
        )
        blob_id = ids.new_blob_id()
        head = blob_format.BlobHead(
            store_key_id=keyring.active,
            blob_id=blob_id,
            written_at=max(
                store.now(), after + 1
            ),  # a rebuilt store takes the newest: the clock may have gone back
            wrapped_key=keyring.wrap_key(key, image_id=image_id, blob_id=blob_id),
            iv=iv,
            tag=sealed.tag,
            image_id=image_id,
        )
        sealed_details = keyring.seal_details(
            encode_details(image_format, len(data), details), head=blob_format.encode_head(head)
        )
        header = blob_format.encode_header(head, sealed_details)
        fields = {
            "id": image_id,
            "format": image_format,
            "size": len(data),
            "blob_id": blob_id,
            "payload_offset": len(header),
            "payload_size": len(blob_format.PAYLOAD_STATE) + len(sealed.ciphertext),
            "store_key_id": head.store_key_id,
            "wrapped_key": head.wrapped_key,
            "iv": iv,
            "tag": sealed.tag,
            "written_at": head.written_at,
        }
        self._puts.append(_Put(fields, is_new, replaces))
        self._keys[image_id] = key
        store.blobs.put(blob_id, [header, blob_format.PAYLOAD_STATE, sealed.ciphertext])

    def _is_surely_undone(self, failure: BaseException) -> bool:
        """From the commit on it may have happened, whatever failed or interrupted us: no blob is removed then."""
        if self._may_be_committed:
            return False
        # A row that may not be (the caller's, mostly) is refused before the commit; other errors of a database say less.
        return isinstance(failure, peewee.IntegrityError) or not isinstance(
            failure, StorageError | peewee.PeeweeException
        )

    def _commit(self) -> None:
        store = self._store
        if not (self._puts or self._deletes or self._also):
            return
        with store.connected():
            with store.database.atomic():
                rows = [row for put in self._puts if (row := self._write_row(put)) is not None]
                for image_id in self._deletes:
                    self._delete_row(image_id)
                for action in self._also:
                    action()
                self._may_be_committed = True
            for row in rows:
                self.records[row.id] = store._record(row, self._keys[row.id])
        if self._deletes or not all(put.is_new for put in self._puts):
            store.wake_reaper()

    def _write_row(self, put: _Put) -> Image | None:
        image, now = self._store.models.image, self._store.now()
        if put.is_new:
            return image.create(**put.fields, token=now)
        current = self._locked_row(put.fields["id"])
        if put.replaces not in (None, current.blob_id):
            self._note_dead(put.fields["blob_id"])
            return None
        self._note_dead(current.blob_id)
        token = max(now, current.token + 1)
        image.update(**put.fields, token=token).where(image.id == current.id).execute()
        return image(**put.fields, token=token)

    def _delete_row(self, image_id: str) -> None:
        current = self._locked_row(image_id)
        self._note_dead(current.blob_id)
        image = self._store.models.image
        image.delete().where(image.id == image_id).execute()

    def _locked_row(self, image_id: str) -> Image:
        image = self._store.models.image
        found = image.select().where(image.id == image_id) if ids.is_image_id(image_id) else None
        row: Image | None = None if found is None else lock_rows(found, self._store.database).get_or_none()
        if row is None:
            raise ImageNotFound(image_id)
        return row

    def _note_dead(self, blob_id: str) -> None:
        self._store.models.dead_blob.create(blob_id=blob_id, dead_at=self._store.now())

    def _abandon(self) -> None:
        """Remove the blobs of a unit that certainly did not commit; what cannot be removed is an orphan."""
        for put in self._puts:
            with suppress(StorageError):
                self._store.blobs.delete(put.fields["blob_id"])


def _as_bytes(data: Buffer) -> bytes:
    """Return *data* as bytes that nobody else can change; what is no buffer is left for ``formats.inspect`` to refuse."""
    return bytes(data) if isinstance(data, bytearray | memoryview) else data


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
