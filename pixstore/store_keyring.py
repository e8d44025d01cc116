"""
The keyring of a store: one database row is the authority, and copies of it lie beside the blobs.

    change   1. put a copy of the new generation beside the blobs            crash: a copy that is not in use, cleaned later
             2. one transaction replaces the row, if it is still the
                one that was read, and adds or removes store keys            THE COMMIT POINT
             3. remove copies that nothing needs                             crash: they are removed after the next change
    start    the row is there     use it; if copies hold keys that it lacks, an older or newer database was restored:
                                  take these keys back
             the row is missing   make it from all copies that open; make a new keyring only if there is no image
                                  and no blob

Every image row refers to its store key (``models``), so no process can drop a key in use. A process looks for
a newer generation once its own is five seconds old, and whenever it lacks a key. If the row is missing then,
it raises an error; only a start makes the row.

Imports ``keyring``, ``master_key``, ``models``, ``blobs``.
"""

import hashlib
import logging
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import peewee

from pixstore.blobs import BlobStore
from pixstore.config import Config
from pixstore.database import connected
from pixstore.errors import KeyringError, PixstoreError, StorageError
from pixstore.files import locked, make_directory, storage_errors
from pixstore.keyring import Keyring, active_store_key_id, merged, store_key_ids
from pixstore.master_key import finish_rotation, first_master_key, master_keys, pending_key
from pixstore.models import StoreModels

REFRESH_INTERVAL = 5000
"""How long (ms) a process may use its generation without looking for a newer one."""

CHANGE_ATTEMPTS = 10
FIRST_RELEASE_FILE = "keyring.json"
"""Release 0.1 kept the keyring in this file of the data directory, and its copy under this name."""

_COPY_NAME = re.compile(r"(\d{10})-[0-9a-f]{16}\.json", re.ASCII)
_T = TypeVar("_T")

logger = logging.getLogger(__name__)


class _UnknownMasterKey(KeyringError):
    """The keyring is wrapped by a master key that this process does not have."""


class _Row(NamedTuple):
    generation: int
    document: bytes


class StoreKeyring:
    """The keyring of an open store. Any process of any host may change it at any time."""

    def __init__(self, config: Config, models: StoreModels, blobs: BlobStore, now: Callable[[], int]) -> None:
        """
        Open the keyring, or make it at a first start.

        Raises:
            KeyringError: If the store has images, but not the keys to read them, or if the master key does
                not open the keyring.
        """
        self._config, self._models, self._blobs, self._now = config, models, blobs, now
        with storage_errors(f"the data directory {config.data_dir} cannot be used"):
            make_directory(config.data_dir)
            with locked(config.data_dir / "keyring.lock"):  # two first starts would each make a master key
                row = self._read_row() or self._make_row()
        self._document = row.document
        self._keyring, self._master_key = self._open(row.document)
        self._checked_at, self._is_superseded = now(), False
        self._noted_texts: set[tuple[str, str]] = set()
        finish_rotation(config, self._master_key)
        self._take_back_lost_keys()
        self._clean()

    # --- using it

    def latest(self) -> Keyring:
        """
        Return the keyring, read no longer ago than ``REFRESH_INTERVAL``, so that new data is sealed under the
        newest store key.

        Raises:
            KeyringError: If a newer keyring is wrapped by a master key that this process does not have.
        """
        if abs(self._now() - self._checked_at) >= REFRESH_INTERVAL:
            self.refresh()
        if self._is_superseded:
            raise KeyringError("there is a newer store key: restart this program with the new master key")
        return self._keyring

    def use(self, work: Callable[[Keyring], _T]) -> _T:
        """Return ``work(keyring)``. If a key is missing, read the keyring again and call *work* once more."""
        try:
            return work(self._keyring)
        except KeyringError:
            self.refresh()
            return work(self._keyring)

    def secret(self, label: str) -> bytes:
        """Return 32 bytes for the one purpose that *label* names, the same in every process."""
        try:
            return self.latest().secret(label)
        except PixstoreError:
            logger.exception(
                "the keyring could not be read again; this program continues with the one it knows"
            )
            self._checked_at = self._now()
            return self._keyring.secret(label)

    def for_texts(self, purpose: str) -> Keyring:
        """Return the keyring to seal texts with. Note that there are texts for *purpose*, so that their key is kept."""
        keyring = self.latest()
        noted = (keyring.active, purpose)
        if noted not in self._noted_texts:
            row, database = self._models.text_purpose, self._models.database
            with connected(database):
                try:
                    row.insert(store_key=keyring.active, purpose=purpose).on_conflict_ignore().execute()
                except peewee.IntegrityError:
                    self._checked_at = 0  # refresh at the next call
                    raise StorageError("the keyring was changed in the meantime: try again") from None
                database.after_commit(lambda: self._noted_texts.add(noted))
        return keyring

    def opened(self, document: bytes) -> Keyring:
        """
        Return the keyring that *document* holds.

        Raises:
            KeyringError: If no master key of this store opens it.
        """
        return self._open(document)[0]

    def refresh(self) -> None:
        """
        Read the row again if it has changed.

        If a new master key wraps it that this process does not have, the old keyring stays in use: its store
        keys still open what they have sealed.

        Raises:
            KeyringError: If the row is missing.
        """
        try:
            self._refresh()
        except _UnknownMasterKey:
            logger.exception("a newer keyring does not open: restart this program with the new master key")

    def _refresh(self) -> None:
        row = self._read_row()
        if row is None:
            raise KeyringError(
                "the keyring is missing from the database: was the database replaced under a running program?"
            )
        self._checked_at = self._now()
        if row.document == self._document:
            return
        known = self._keyring
        try:
            self._keyring, self._master_key = self._open(row.document)
        except KeyringError as error:
            # Seal nothing under the older store key: texts under it may have been sealed again already.
            self._is_superseded = active_store_key_id(row.document) != self._keyring.active
            raise _UnknownMasterKey(str(error)) from error
        self._document, self._is_superseded = row.document, False
        if row.generation <= known.generation or self._lacks(known.store_keys.keys() - self._keyring.dropped):
            self._take_back_lost_keys()  # the database was put back to an earlier state

    # --- changing it

    def change(self, edit: Callable[[Keyring], Keyring], *, master_key: bytes | None = None) -> Keyring:
        """
        Replace the keyring by ``edit(keyring)``, wrapped by *master_key* if given, and return the new one.

        *edit* is called again if another process has changed the keyring in the meantime.

        Raises:
            KeyringError: If *edit* drops a store key that is in use.
        """
        for _ in range(CHANGE_ATTEMPTS):
            self._refresh()
            old, key = self._keyring, master_key or self._master_key
            new = replace(edit(old), generation=old.generation + 1)
            document = new.to_json(key)
            name = copy_name(new.generation, document)
            self._blobs.put_copy(name, document)
            try:
                is_ours = self._replace_row(old, new, document)
            except peewee.IntegrityError:
                self._blobs.remove_copy(name)
                raise KeyringError("a store key that is to be dropped is still in use") from None
            if is_ours:
                self._keyring, self._master_key, self._document = new, key, document
                self._checked_at = self._now()
                self._clean(dropped_now=old.store_keys.keys() - new.store_keys.keys())
                return new
            self._blobs.remove_copy(name)  # another process was faster: no row names this copy
        raise StorageError("other processes change the keyring all the time")

    def _replace_row(self, old: Keyring, new: Keyring, document: bytes) -> bool:
        """
        Write the row if it still is the one that *old* was read from; return whether it was.

        The generation alone does not tell: a database that was put back may have come as far again.
        """
        keyring, store_key = self._models.keyring, self._models.store_key
        is_same = (keyring.generation == old.generation) & (keyring.document == self._document)
        with connected(self._models.database), self._models.database.atomic():
            update = keyring.update(generation=new.generation, document=document)
            if not update.where(is_same).execute():
                return False
            self._add_store_keys(new)
            gone = old.store_keys.keys() - new.store_keys.keys()
            store_key.delete().where(store_key.id.in_(list(gone))).execute()
            return True

    def _add_store_keys(self, keyring: Keyring) -> None:
        rows = [{"id": key_id} for key_id in keyring.store_keys]
        self._models.store_key.insert_many(rows).on_conflict_ignore().execute()

    # --- starting

    def _make_row(self) -> _Row:
        keyring, master_key = self._first_keyring()
        document = keyring.to_json(master_key)
        name = copy_name(keyring.generation, document)
        self._blobs.put_copy(name, document)
        with connected(self._models.database), self._models.database.atomic():
            row = self._models.keyring.insert(id=1, generation=keyring.generation, document=document)
            row.on_conflict_ignore().execute()
            there = self._read_row()
            if there is not None and there.document == document:
                self._add_store_keys(keyring)
        if there is None:
            raise StorageError("the keyring could not be written to the database")
        if there.document != document:
            self._blobs.remove_copy(name)  # another host was first
        return there

    def _first_keyring(self) -> tuple[Keyring, bytes]:
        """Return a keyring for a database without one, and the master key to wrap it with."""
        documents = self._all_copies()
        with connected(self._models.database):
            has_images = self._models.image.select().exists()
        if not documents:
            if has_images or any(True for _ in self._blobs.blobs()):
                raise KeyringError(
                    "there are images, but the keyring is missing from the database and from beside the images: "
                    "restore one of them from a backup; without it the images cannot be read"
                )
            return Keyring.create(now=self._now()), first_master_key(self._config)
        opened = self._opened(documents)
        if not opened:
            raise KeyringError(
                "the master key opens no copy of the keyring: it is the key of another store, or the copies were altered"
            )
        of_first_release = opened.get(str(self._first_release_path))
        if (
            of_first_release is not None
            and has_images
            and all(key.generation == 0 for key, _ in opened.values())
        ):
            logger.warning("the keyring moves from %s into the database", self._first_release_path)
            keyring, master_key = of_first_release
            keyring = keyring.with_keys_of(key for key, _ in opened.values())
        else:
            logger.warning(
                "the keyring is missing from the database; it is made again from its copies beside the images"
            )
            keyring = merged([key for key, _ in opened.values()])
            master_key = max(opened.values(), key=lambda entry: entry[0].generation)[1]
        return replace(keyring, generation=keyring.generation + 1), master_key

    def _take_back_lost_keys(self) -> None:
        """Take back keys that copies hold and the row lacks, because an older database was restored."""
        copies = {
            name: document for name, document in self._all_copies().items() if self._lacks_keys_of(document)
        }
        opened = self._opened(copies)
        if opened:
            logger.warning(
                "store keys that are missing from the database come back from copies of the keyring"
            )
            self.change(lambda keyring: keyring.with_keys_of(key for key, _ in opened.values()))

    def _lacks_keys_of(self, document: bytes, *, but: Collection[str] = ()) -> bool:
        try:
            return self._lacks(store_key_ids(document).difference(but))
        except KeyringError:
            return False

    def _lacks(self, key_ids: Iterable[str]) -> bool:
        """Tell whether one of *key_ids* is not in the keyring."""
        return not self._keyring.store_keys.keys() >= set(key_ids)

    # --- the row and its copies

    def _read_row(self) -> _Row | None:
        keyring = self._models.keyring
        with connected(self._models.database):
            query = keyring.select(keyring.generation, keyring.document).where(keyring.id == 1)
            found = self._models.database.execute(query).fetchone()
        return None if found is None else _Row(int(found[0]), bytes(found[1]))

    def _open(self, document: bytes, *, is_copy: bool = False) -> tuple[Keyring, bytes]:
        """Return the keyring in *document* and the master key that opens it."""
        keys = master_keys(self._config)
        pending = pending_key(self._config)
        *others, last = keys if pending is None else [*keys, pending]
        for key in others:
            try:
                return Keyring.from_json(document, key, may_be_unsealed=is_copy), key
            except KeyringError:
                continue
        return Keyring.from_json(document, last, may_be_unsealed=is_copy), last

    @property
    def _first_release_path(self) -> Path:
        return self._config.data_dir / FIRST_RELEASE_FILE

    def _all_copies(self) -> dict[str, bytes]:
        """Return every copy by name, including the keyring that release 0.1 left in the data directory."""
        copies = self._blobs.copies()
        with storage_errors(f"{self._first_release_path} could not be read"):
            if self._first_release_path.exists():
                copies[str(self._first_release_path)] = self._first_release_path.read_bytes()
        return copies

    def _opened(self, documents: dict[str, bytes]) -> dict[str, tuple[Keyring, bytes]]:
        """Return those of *documents* that open, by name."""
        opened = {}
        for name, document in documents.items():
            try:
                opened[name] = self._open(document, is_copy=True)
            except KeyringError as error:
                logger.warning("a copy of the keyring, %s, cannot be used: %s", name, error)
        return opened

    def _clean(self, *, dropped_now: Collection[str] = ()) -> None:
        """
        Remove copies of earlier generations, if the row has its own copy and every key they hold.

        Keys that were just dropped need no copy. Those that were dropped earlier may be needed again: then the copy was written
        for a database that was put back since.
        """
        row = self._read_row()
        copies = self._all_copies()
        if row is None or row.document != self._document:
            return
        own = copy_name(row.generation, row.document)
        if own not in copies:
            self._blobs.put_copy(own, row.document)
        for name, document in copies.items():
            if _generation(name) < row.generation and not self._lacks_keys_of(document, but=dropped_now):
                self._remove(name)

    def _remove(self, name: str) -> None:
        if name == str(self._first_release_path):
            with storage_errors(f"{name} could not be removed"):
                self._first_release_path.unlink(missing_ok=True)
        else:
            self._blobs.remove_copy(name)


def copy_name(generation: int, document: bytes) -> str:
    """Return the name of a keyring's copy. It depends on *document*, so it is never used for other bytes."""
    return f"{generation:010}-{hashlib.sha256(document).hexdigest()[:16]}.json"


def _generation(name: str) -> int:
    """Return the generation in the name of a copy. Copies of release 0.1 have none and count as the oldest, 0."""
    match = _COPY_NAME.fullmatch(name)
    return 0 if match is None else int(match[1])
