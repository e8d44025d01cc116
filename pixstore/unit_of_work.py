"""
Writing images: the order of its steps, and the commit. Imports ``parts``, ``formats``, ``blob_format`` and what they import.

The order of writing, and what a crash leaves:

    save, update   1. put the blob under a name never used before           crash: an orphan blob, swept later
                   2. one short write transaction names the blob in the
                      row and notes the previous blob as dead               THE COMMIT POINT
                   3. after the commit, remove the dead blobs               crash: they are still noted, removed later
    delete         1. one write transaction removes the row and notes the
                      blob as dead                                          THE COMMIT POINT
                   2. note the deletion beside the blobs, before anybody
                      is told of it                                         crash: a store rebuilt now would have the image
                   3. remove the dead blob

Several blobs of one unit are put side by side. No lock and no transaction is held while blobs are read or written. An error
of the database never removes a blob, because the commit may have happened; ``sweep`` finds out later.
"""

import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from threading import Thread
from types import TracebackType
from typing import Any, NamedTuple, Self

import peewee

from pixstore import blob_format, crypto, formats, ids
from pixstore.crypto import Buffer
from pixstore.database import connected
from pixstore.details import encode_details
from pixstore.errors import ImageChanged, ImageNotFound, StorageError
from pixstore.formats import InspectedImage
from pixstore.keyring import Keyring
from pixstore.models import ImageRow
from pixstore.parts import StoreParts
from pixstore.records import ImageRecord

PUTS_SIDE_BY_SIDE = 4


class PendingImage(NamedTuple):
    """An image of a unit of work. It becomes visible when the unit commits."""

    image_id: str
    format: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class _Version:
    """A sealed version of an image: its blob, its future row, and the token that it must replace, if any."""

    row: ImageRow
    key: bytes = field(repr=False)
    blob: tuple[Buffer, ...] = field(repr=False)
    is_new: bool
    expected_token: int | None = None


class UnitOfWork:
    """
    Several changes that commit together, at the end of the ``with`` block, or not at all.

    ``records`` holds the record of every image saved or updated, once the block has ended.
    """

    def __init__(self, parts: StoreParts) -> None:
        self._parts = parts
        self._versions: list[_Version] = []
        self._deletes: list[str] = []
        self._actions: list[Callable[[], object]] = []
        self._puts = _Puts()
        self._may_be_committed = False
        self.records: dict[str, ImageRecord] = {}

    def __enter__(self) -> Self:
        if self._parts.database.in_transaction():
            raise RuntimeError("a unit of work is its own transaction and cannot run inside another")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._abandon()
            return
        try:
            self._puts.finish()
        except BaseException:
            self._abandon()
            raise
        try:
            self._commit()
        except BaseException as failure:
            if self._is_surely_undone(failure):
                self._abandon()
            if isinstance(failure, peewee.IntegrityError):
                self._require_known_store_keys(failure)
            raise
        finally:
            self._versions.clear()  # they hold keys

    def save(
        self,
        data: Buffer | InspectedImage,
        directory: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> PendingImage:
        """Seal and store a new image; see ``ImageStore.save``."""
        image = self._inspected(data)
        return self._put(_seal(self._parts, image, ids.new_image_id(directory), details), image)

    def update(
        self,
        image_id: str,
        data: Buffer | InspectedImage,
        details: Mapping[str, Any] | None = None,
        *,
        expected_token: int | None = None,
    ) -> PendingImage:
        """
        Seal and store a new version of an image; see ``ImageStore.update``.

        With *expected_token* the commit fails with ``ImageChanged`` if the image has another version by then.
        """
        current = self._parts.row(image_id)
        if current is None:
            raise ImageNotFound(image_id)
        image = self._inspected(data)
        version = _seal(self._parts, image, image_id, details, current=current)
        return self._put(replace(version, expected_token=expected_token), image)

    def delete(self, image_id: str) -> None:
        """Remove the image at the commit. The commit fails with ``ImageNotFound`` if there is none."""
        self._deletes.append(image_id)

    def also(self, action: Callable[[], object]) -> None:
        """Run *action* inside the write transaction, after the images; if it raises, everything is rolled back."""
        self._actions.append(action)

    def _inspected(self, data: Buffer | InspectedImage) -> InspectedImage:
        if isinstance(data, InspectedImage):
            return data
        return formats.inspect(data, self._parts.config.image_limits)

    def _put(self, version: _Version, image: InspectedImage) -> PendingImage:
        self._versions.append(version)
        self._puts.add(lambda: self._parts.blobs.put(version.row.blob_id, version.blob))
        return PendingImage(version.row.id, image.format, image.width, image.height)

    def _commit(self) -> None:  # noqa: C901, PLR0912 - the whole commit in one place
        """Write the rows of the new blobs, in one transaction with the deletes and the caller's own rows."""
        if not (self._versions or self._deletes or self._actions):
            return
        parts, models = self._parts, self._parts.models
        dead: list[str] = []
        rows: list[ImageRow] = []
        with connected(parts.database):
            with parts.database.atomic():
                now = parts.now()
                for version in self._versions:
                    if version.is_new:
                        row = version.row._replace(token=now)
                        models.add_image(row)
                    else:
                        current = models.lock_image(version.row.id)
                        if current is None:
                            raise ImageNotFound(version.row.id)
                        if version.expected_token not in (None, current.token):
                            raise ImageChanged(version.row.id)
                        dead.append(current.blob_id)
                        row = version.row._replace(token=max(now, current.token + 1))
                        models.replace_image(row)
                    rows.append(row)
                for image_id in self._deletes:
                    current = models.lock_image(image_id) if ids.is_image_id(image_id) else None
                    if current is None:
                        raise ImageNotFound(image_id)
                    dead.append(current.blob_id)
                    models.remove_image(image_id)
                for blob_id in filter(ids.is_blob_id, dead):  # a damaged row may hold no blob id
                    models.note_dead(blob_id, now=now)
                for action in self._actions:
                    action()
                self._may_be_committed = True
            for row, version in zip(rows, self._versions, strict=True):
                self.records[row.id] = parts.record(row, version.key)
        try:
            if self._deletes:
                parts.blobs.bury(self._deletes)
        finally:
            if dead:
                parts.reaper.wake()

    def _require_known_store_keys(self, failure: peewee.IntegrityError) -> None:
        """
        Raise ``StorageError`` if a store key was dropped while the unit ran. The caller may try again.

        This can only happen if the unit took an hour, or the database was replaced under a running program.
        """
        used = {version.row.store_key_id for version in self._versions}
        self._parts.keyring.refresh()
        if not used <= self._parts.keyring.latest().store_keys.keys():
            raise StorageError("the keyring was changed in the meantime: try again") from failure

    def _is_surely_undone(self, failure: BaseException) -> bool:
        """Tell whether the transaction is certainly not committed. Once the commit has begun, this is unknown."""
        if self._may_be_committed:
            return False
        # A row that breaks a constraint is refused before the commit. Other database errors may come after it.
        return isinstance(failure, peewee.IntegrityError) or not isinstance(
            failure, StorageError | peewee.PeeweeException
        )

    def _abandon(self) -> None:
        """Remove the blobs of a unit that is certainly not committed. A blob that cannot be removed is an orphan."""
        self._puts.wait()
        for version in self._versions:
            with suppress(StorageError):
                self._parts.blobs.delete(version.row.blob_id)


def _seal(
    parts: StoreParts,
    image: InspectedImage,
    image_id: str,
    details: Mapping[str, Any] | None,
    *,
    current: ImageRow | None = None,
) -> _Version:
    """Return *image* sealed under a new key, as the version after *current*."""
    keyring: Keyring = parts.keyring.latest()
    key, iv = secrets.token_bytes(crypto.KEY_SIZE), secrets.token_bytes(crypto.IV_SIZE)
    format_byte = formats.format_byte(image.format, parts.config.image_formats)
    sealed = crypto.seal(image.data, format_byte, key=key, iv=iv)
    blob_id = ids.new_blob_id()
    head = blob_format.BlobHead(
        store_key_id=keyring.active,
        blob_id=blob_id,
        # Later than the current version, even if the clock went back: a rebuild takes the newest version.
        written_at=max(parts.now(), -1 if current is None else current.written_at + 1),
        wrapped_key=keyring.wrap_key(key, image_id=image_id, blob_id=blob_id),
        iv=iv,
        tag=sealed.tag,
        image_id=image_id,
    )
    sealed_details = keyring.seal_details(
        encode_details(image.format, len(image.data), details), head=blob_format.encode_head(head)
    )
    header = blob_format.encode_header(head, sealed_details)
    row = ImageRow(
        id=image_id,
        token=0,  # set at the commit
        format=image.format,
        size=len(image.data),
        blob_id=blob_id,
        payload_offset=len(header),
        payload_size=len(blob_format.PAYLOAD_STATE) + len(sealed.ciphertext),
        store_key_id=head.store_key_id,
        wrapped_key=head.wrapped_key,
        iv=iv,
        tag=sealed.tag,
        written_at=head.written_at,
    )
    return _Version(row, key, (header, blob_format.PAYLOAD_STATE, sealed.ciphertext), is_new=current is None)


class _Puts:
    """
    Puts several blobs into the store at the same time.

    A put starts when the next one is added. The last one runs in the caller's own thread.
    """

    def __init__(self) -> None:
        self._next: Callable[[], None] | None = None
        self._running: list[Future[None]] = []

    def add(self, put: Callable[[], None]) -> None:
        """Start the put added before *put*. If too many run, wait for the oldest first, and raise its error."""
        before, self._next = self._next, put
        if before is None:
            return
        if len(self._running) >= PUTS_SIDE_BY_SIDE:
            self._running.pop(0).result()
        self._running.append(_started(before))

    def finish(self) -> None:
        """Wait until every blob is stored. Raise the error of a put that failed."""
        last, self._next = self._next, None
        try:
            if last is not None:
                last()
        finally:
            self.wait()
        for put in self._running:
            put.result()

    def wait(self) -> None:
        """Wait until no put is running, whether they fail or not. A put that has not started is dropped."""
        self._next = None
        wait(self._running)


def _started(put: Callable[[], None]) -> Future[None]:
    """Run *put* in a new thread, or in this one if no thread can be started."""
    future: Future[None] = Future()

    def run() -> None:
        try:
            put()
        except BaseException as error:  # noqa: BLE001 - ``result()`` of the future raises it
            future.set_exception(error)
        else:
            future.set_result(None)

    try:
        Thread(target=run, name="pixstore-put").start()
    except RuntimeError:
        run()
    return future
