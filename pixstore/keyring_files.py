"""
Where the master key and the keyring lie, and how they come to be. Imports ``blobs``, ``config``, ``files``, ``keyring``.

A first start makes both. A later start that misses one of them stops with an error: a new one would leave every image
unreadable. ``CurrentKeyring`` keeps the keyring of an open store up to date with what other processes do to it.
"""

import base64
import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from pixstore.blobs import BlobStore
from pixstore.config import Config, decode_master_key
from pixstore.crypto import KEY_SIZE
from pixstore.errors import KeyringError, StorageError
from pixstore.files import locked, make_directory, replace_file, storage_errors, sync_directory
from pixstore.keyring import Keyring

MASTER_KEY_FILE = "master.key"
PENDING_SUFFIX = ".next"

_T = TypeVar("_T")

logger = logging.getLogger(__name__)


class CurrentKeyring:
    """The keyring of an open store. Another process may change it at any time."""

    def __init__(self, config: Config, blobs: BlobStore, now: Callable[[], int], *, in_use: bool) -> None:
        """Open the keyring, or make it at a first start; raises as ``open_keyring`` does."""
        self._config, self._blobs, self._now = config, blobs, now
        self._stamp = _stamp(config)  # taken first: a file that is replaced meanwhile is read again
        self._keyring = open_keyring(config, blobs, now=now(), in_use=in_use)

    def latest(self) -> Keyring:
        """Return the keyring, read again if its file was replaced: new versions go under the newest store key."""
        stamp = _stamp(self._config)
        if stamp != self._stamp:
            self._read_again()
            self._stamp = stamp
        return self._keyring

    def use(self, work: Callable[[Keyring], _T]) -> _T:
        """Return what *work* makes of the keyring. If a key is missing, read the keyring again: it may have been rotated."""
        try:
            return work(self._keyring)
        except KeyringError:
            self._read_again()
            return work(self._keyring)

    def secret(self, label: str) -> bytes:
        """Return 32 bytes for the one purpose that *label* names, the same in every process."""
        return self._keyring.secret(label)

    def _read_again(self) -> None:
        self._keyring = open_keyring(self._config, self._blobs, now=self._now(), in_use=True)


def _stamp(config: Config) -> tuple[int, int] | None:
    """Return what changes whenever the file of the keyring is replaced, or ``None`` where it cannot be told."""
    try:
        status = config.keyring_path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def open_keyring(config: Config, blobs: BlobStore, *, now: int, in_use: bool) -> Keyring:
    """
    Return the keyring of the store, made at a first start.

    *in_use* tells that the database holds images, so that this cannot be a first start.

    Raises:
        KeyringError: If the keyring or the master key is missing from a store in use, or they do not fit.
    """
    with keyring_lock(config):
        if read_document(config, blobs) is not None:
            return load_keyring(config, blobs)
        if in_use or any(True for _ in blobs.blobs()):
            raise KeyringError(
                f"there are images, but {config.keyring_path} and its copy beside the images are both missing: "
                "restore one of them from a backup; without it the images cannot be read"
            )
        keyring = Keyring.create(now=now)
        write_keyring(config, blobs, keyring, _first_master_key(config))
        return keyring


def load_keyring(config: Config, blobs: BlobStore) -> Keyring:
    """
    Return the keyring of a store that has one, and mend its copy. Call it inside ``keyring_lock``.

    A rotation of the master key that was interrupted after the keyring was written is finished here.

    Raises:
        KeyringError: If there is none, or the master key does not open it.
    """
    document = read_document(config, blobs)
    if document is None:
        raise KeyringError(f"the keyring {config.keyring_path} is missing")
    pending = _master_key_path(config).with_suffix(PENDING_SUFFIX)
    try:
        keyring = Keyring.from_json(document, read_master_key(config))
    except KeyringError:
        if config.master_key is not None or not pending.exists():
            raise
        keyring = Keyring.from_json(document, decode_master_key(pending.read_text("ascii")))
        commit_master_key(config)
    if blobs.get_keyring() != document:
        blobs.put_keyring(document)
    return keyring


@contextmanager
def keyring_lock(config: Config) -> Iterator[None]:
    """Hold the keyring against every other process that would change it."""
    with ExitStack() as held:
        with storage_errors(f"the data directory {config.data_dir} cannot be used"):
            make_directory(config.data_dir)
            held.enter_context(locked(config.data_dir / "keyring.lock"))
        yield


def read_document(config: Config, blobs: BlobStore) -> bytes | None:
    """Return the bytes of the keyring, restored from its copy in the blob store where the file is missing."""
    try:
        return config.keyring_path.read_bytes()
    except FileNotFoundError:
        document = blobs.get_keyring()
    except OSError as error:
        raise StorageError(f"{config.keyring_path} could not be read: {error.strerror}") from error
    if document is not None:
        logger.warning("%s was missing; restored it from its copy beside the images", config.keyring_path)
        with storage_errors(f"{config.keyring_path} could not be written"):
            replace_file(config.keyring_path, document)
    return document


def write_keyring(config: Config, blobs: BlobStore, keyring: Keyring, master_key: bytes) -> None:
    """Keep *keyring*, wrapped by *master_key*: first the file that is read, then its copy."""
    document = keyring.to_json(master_key)
    with storage_errors(f"{config.keyring_path} could not be written"):
        replace_file(config.keyring_path, document)
    blobs.put_keyring(document)


def read_master_key(config: Config) -> bytes:
    """
    Return the master key of a store that has one.

    Raises:
        KeyringError: If it is missing or not a key.
    """
    if config.master_key is not None:
        return config.master_key
    path = _master_key_path(config)
    try:
        if path.stat().st_mode & 0o077:
            logger.warning("%s can be read by other users of this machine: chmod 600 it", path)
        return decode_master_key(path.read_text("ascii", "replace"))
    except FileNotFoundError:
        raise KeyringError(
            f"the master key {path} is missing: restore it from where you keep its copy, or set PIXSTORE_MASTER_KEY; "
            "without it the images cannot be read"
        ) from None
    except OSError as error:
        raise KeyringError(f"the master key {path} could not be read: {error.strerror}") from error
    except ValueError as error:
        raise KeyringError(f"the master key {path} is not a key: {error}") from None


def prepare_master_key(config: Config, master_key: bytes) -> None:
    """Keep *master_key* beside the one in use, mode 0600, until ``commit_master_key``."""
    path = _master_key_path(config).with_suffix(PENDING_SUFFIX)
    with storage_errors(f"the master key {path} could not be written"):
        replace_file(path, base64.b64encode(master_key) + b"\n")


def commit_master_key(config: Config) -> None:
    """Put the prepared master key in the place of the one that was in use."""
    path = _master_key_path(config)
    with storage_errors(f"the master key {path} could not be put in place"):
        path.with_suffix(PENDING_SUFFIX).replace(path)
        sync_directory(path.parent)


def _first_master_key(config: Config) -> bytes:
    path = _master_key_path(config)
    if config.master_key is not None or path.exists():
        return read_master_key(config)
    master_key = secrets.token_bytes(KEY_SIZE)
    prepare_master_key(config, master_key)
    commit_master_key(config)
    logger.warning("made the master key %s: back it up, without it no image can ever be read again", path)
    return master_key


def _master_key_path(config: Config) -> Path:
    return config.master_key_file or config.data_dir / MASTER_KEY_FILE
