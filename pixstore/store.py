"""
``ImageStore``, the public class.

This module opens a store, reads images and answers the image endpoint; ``unit_of_work`` writes.

A read takes no lock: it finds the row, then opens the blob that the row names. If an update has removed that blob in the
meantime, it reads the row again.

Imports ``unit_of_work``, ``parts`` and what they import.
"""

import atexit
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

import peewee

from pixstore import blob_format, crypto, ids, proofs, wire
from pixstore.answers import Answer, Question
from pixstore.blobs import BlobStore
from pixstore.blobs.local import LocalBlobs
from pixstore.config import Config
from pixstore.crypto import Buffer
from pixstore.database import close_database, connected
from pixstore.errors import BlobNotFound, ImageNotFound, PixstoreError, RecordDamaged, StorageError
from pixstore.files import storage_errors
from pixstore.formats import InspectedImage
from pixstore.keyring import PROOF_LABEL
from pixstore.models import ImageRow, StoreModels, open_database
from pixstore.parts import Clock, StoreParts, clock_ms
from pixstore.reaper import Reaper
from pixstore.records import ImageRecord
from pixstore.store_keyring import StoreKeyring
from pixstore.unit_of_work import UnitOfWork
from pixstore.wire import WireState

READ_ATTEMPTS = 5

logger = logging.getLogger(__name__)


class ImageStore:
    """
    An encrypted image store. Threads and processes may use one store at the same time.

    Every method raises ``StorageError`` (or ``DatabaseUnavailable``, ``StorageFull``) when the storage fails.
    """

    def __init__(self, parts: StoreParts) -> None:
        self.parts = parts
        """For this package alone: ``unit_of_work`` and ``maintenance`` use it."""

    @classmethod
    def open(cls, config: Config, *, blobs: BlobStore | None = None, now: Clock = clock_ms) -> "ImageStore":
        """
        Open the store that *config* names, or make it at the first start.

        Raises:
            KeyringError: If the store has images, but not the keys to read them.
            StorageError: If the database or the image directory cannot be used.
        """
        database = open_database(config)
        try:
            blobs = LocalBlobs(config.blobs_path) if blobs is None else blobs
            models = StoreModels(database)
            keyring, reaper = StoreKeyring(config, models, blobs, now), Reaper(models, blobs, now)
            has_dead_blobs = reaper.has_work()
        except BaseException:
            close_database(database)
            raise
        store = cls(StoreParts(config, models, blobs, keyring, reaper, now))
        atexit.register(store.close)
        if has_dead_blobs:
            reaper.wake()
        return store

    def close(self) -> None:
        """
        Remove the dead blobs that are left, and close every connection.

        The store must not be used afterwards.
        """
        atexit.unregister(self.close)
        self.parts.reaper.close()
        with suppress(PixstoreError):
            self.parts.reaper.drain()
        self.parts.models.reader.close()
        with suppress(peewee.PeeweeException):
            close_database(self.database)

    def after_fork(self) -> None:
        """Forget connections that belong to the parent process. Call it in a child before anything else."""
        self.database.dispose()
        self.parts.models.reader.dispose()

    @property
    def config(self) -> Config:
        """The settings of this store."""
        return self.parts.config

    @property
    def database(self) -> peewee.Database:
        """The database of the records, where an application may keep tables of its own."""
        return self.parts.database

    def now(self) -> int:
        """Return the time in ms since 1970 by the clock of this store."""
        return self.parts.now()

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Hold one database connection for this thread. Inside another ``connected`` it does nothing."""
        with connected(self.database):
            yield

    # --- writing

    def save(
        self,
        data: Buffer | InspectedImage,
        directory: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> ImageRecord:
        """
        Save a new image and return its record.

        *directory* is the namespace of its id. *details* (any JSON object) are sealed into the blob. A
        rebuild of a lost database returns them.

        Raises:
            ImageRejected: If *data* is not a whole image within the limits.
            InvalidId: If *directory* holds no usable character.
        """
        with self.unit_of_work() as work:
            pending = work.save(data, directory, details)
        return work.records[pending.image_id]

    def update(
        self, image_id: str, data: Buffer | InspectedImage, details: Mapping[str, Any] | None = None
    ) -> ImageRecord:
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

    def unit_of_work(self) -> UnitOfWork:
        """Return a context manager in which several changes commit together or not at all."""
        return UnitOfWork(self.parts)

    # --- reading

    def record(self, image_id: str) -> ImageRecord | None:
        """Return the record of the image, with its key, or ``None``."""
        row = self.parts.row(image_id)
        return None if row is None else self.parts.record(row, self.parts.image_key(row))

    def records(self, image_ids: Iterable[str]) -> dict[str, ImageRecord]:
        """Return the records of the images that exist, without keys, with one query: for pages."""
        rows = self.parts.models.read_images(
            {image_id for image_id in image_ids if ids.is_image_id(image_id)}
        )
        for row in rows.values():
            if isinstance(row, RecordDamaged):
                logger.error("%s", row)
        return {row.id: self.parts.record(row, None) for row in rows.values() if isinstance(row, ImageRow)}

    def exists(self, image_id: str) -> bool:
        """Tell whether there is such an image, readable or damaged."""
        return ids.is_image_id(image_id) and bool(self.parts.models.read_images([image_id]))

    def load(self, image_id: str) -> bytes:
        """
        Return the decrypted image.

        Raises:
            ImageNotFound: If there is no such image.
            DecryptionFailed: If the blob was damaged or altered.
        """
        row = self.parts.row(image_id)
        if row is None:
            raise ImageNotFound(image_id)
        row, blob = self._open_blob(row)
        with storage_errors("the image could not be read", row.blob_id), blob:
            ciphertext = memoryview(blob.read(row.payload_size))[len(blob_format.PAYLOAD_STATE) :]
        _, image = crypto.unseal(ciphertext, key=self.parts.image_key(row), iv=row.iv, tag=row.tag)
        return image

    # --- the image endpoint

    def answer(self, image_id: str | None, *, proof: str | None, client_token: int | None = None) -> Answer:
        """
        Return the answer of the image endpoint. It never raises: errors are logged, and the answer says so.

        The caller closes the answer.
        """
        return next(self.answers([Question(image_id, proof, client_token)]))

    def answers(self, questions: Sequence[Question]) -> Iterator[Answer]:
        """Yield the answer to each question in order. The records are read in one query."""
        refusals = [self._refusal_state(question) for question in questions]
        permitted = {
            question.image_id or ""
            for question, state in zip(questions, refusals, strict=True)
            if state is None
        }
        try:
            rows = self.parts.models.read_images(permitted)
        except PixstoreError:
            logger.exception("the image endpoint could not read the records")
            refusals = [state or WireState.INTERNAL_ERROR for state in refusals]
        for question, state in zip(questions, refusals, strict=True):
            if state is not None:
                yield Answer.of_state(state)
            else:
                yield self._answer_permitted(question, rows)

    def _refusal_state(self, question: Question) -> WireState | None:
        """Return the state that refuses *question*, or ``None`` if its proof is good."""
        if not question.image_id:
            return WireState.MISSING_ID
        if not question.proof:
            return WireState.MISSING_PROOF
        if not ids.is_image_id(question.image_id):
            return WireState.NOT_FOUND
        is_good = proofs.verify(
            question.proof,
            question.image_id,
            key=self.parts.keyring.secret(PROOF_LABEL),
            now=self.now(),
            window_length=self.config.stateless_key_window_length,
        )
        return None if is_good else WireState.INVALID_PROOF

    def _answer_permitted(self, question: Question, rows: Mapping[str, ImageRow | RecordDamaged]) -> Answer:
        row = rows.get(question.image_id or "")
        if row is None:
            return Answer.of_state(WireState.NOT_FOUND)
        try:
            if isinstance(row, RecordDamaged):
                raise row
            row, blob = self._open_blob(row)
            if question.client_token == row.token:
                return Answer(WireState.SUCCESS, b"", blob, row.payload_size)
            try:
                head = wire.updated_head(row.token, self.parts.image_key(row), row.iv, row.tag)
            except PixstoreError:
                blob.close()
                raise
        except ImageNotFound:
            return Answer.of_state(WireState.NOT_FOUND)
        except PixstoreError:
            logger.exception("the image endpoint could not hand out %s", question.image_id)
            return Answer.of_state(WireState.INTERNAL_ERROR)
        blob.seek(row.payload_offset + len(blob_format.PAYLOAD_STATE))
        return Answer(WireState.UPDATED, head, blob, row.payload_size - len(blob_format.PAYLOAD_STATE))

    def _open_blob(self, row: ImageRow) -> tuple[ImageRow, BinaryIO]:
        """
        Return the row, and its blob open at the payload.

        If an update has removed the blob of *row*, return the newer row.
        """
        for _ in range(READ_ATTEMPTS):
            try:
                blob = self.parts.blobs.open(row.blob_id)
            except BlobNotFound:
                current = self.parts.row(row.id)
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

    # --- sealed text and derived secrets

    def seal_text(self, text: str, *, purpose: str, row_id: str) -> bytes:
        """Return *text* sealed for one column (*purpose*) of one row. It does not open anywhere else."""
        return self.parts.keyring.for_texts(purpose).seal_text(text, purpose=purpose, row_id=row_id)

    def open_text(self, sealed: bytes, *, purpose: str, row_id: str) -> str:
        """
        Undo ``seal_text``.

        Raises:
            DecryptionFailed: If it was sealed for another place, or altered.
        """
        return self.parts.keyring.use(
            lambda keyring: keyring.open_text(bytes(sealed), purpose=purpose, row_id=row_id)
        )

    def secret(self, label: str) -> bytes:
        """Return 32 bytes for the one purpose that *label* names, the same in every process of this store."""
        return self.parts.keyring.secret(label)
