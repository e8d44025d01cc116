"""
Where the master key comes from, and how a new one takes its place. Imports ``config``, ``files``.

The key is given in the environment or in a file (a mounted secret, a credential of the service manager).
Otherwise it lies in ``master.key`` in the data directory, which the first start makes.

During a rotation two keys are accepted: the current one and the new one. If the key lies in a file that this
program can write, that file then holds both, one per line. Otherwise the new key is given in the settings,
beside the current one.
"""

import base64
import logging
import secrets
from pathlib import Path

from pixstore.config import Config, decode_master_key
from pixstore.crypto import KEY_SIZE
from pixstore.errors import KeyringError, PixstoreError
from pixstore.files import replace_file, storage_errors

FILE_NAME = "master.key"
PENDING_SUFFIX = ".next"
"""Release 0.1 kept the new key beside the old one, under this name, while it rotated."""

logger = logging.getLogger(__name__)


def master_keys(config: Config) -> list[bytes]:
    """
    Return the accepted master keys: the current one first, then a new one if there is one.

    Raises:
        KeyringError: If there is no master key, or its text or file does not hold a valid one.
    """
    keys = [config.master_key] if config.master_key is not None else _keys_in_file(key_file(config))
    new = given_new_key(config)
    return keys if new is None or new in keys else [*keys, new]


def first_master_key(config: Config) -> bytes:
    """Return the master key of a store that has no keyring yet. If there is none, make one in its file."""
    path = key_file(config)
    if config.master_key is not None or path.exists():
        return master_keys(config)[0]
    master_key = secrets.token_bytes(KEY_SIZE)
    with storage_errors(f"the master key {path} could not be written"):
        replace_file(path, _text([master_key]))
    logger.warning("made the master key %s: back it up, without it no image can ever be read again", path)
    return master_key


def given_new_key(config: Config) -> bytes | None:
    """
    Return the new master key that the settings give beside the current one, or ``None``.

    Raises:
        KeyringError: If its file cannot be read or holds no key.
    """
    if config.new_master_key is not None or config.new_master_key_file is None:
        return config.new_master_key
    return _keys_in_file(config.new_master_key_file)[0]


def key_file(config: Config) -> Path:
    """Return the file of the master key. It is not used if the key comes from the environment."""
    return config.master_key_file or config.data_dir / FILE_NAME


def write_key_file(config: Config, keys: list[bytes]) -> None:
    """
    Write *keys* to the master key's file, with mode 0600. A symbolic link is followed, not replaced.

    Raises:
        StorageError: If the file cannot be replaced (a mounted file cannot). The file is then unchanged.
    """
    path = key_file(config)
    with storage_errors(
        f"the master key {path} cannot be replaced, so nothing was changed. Give the new key beside it, in "
        "PIXSTORE_NEW_MASTER_KEY_FILE"
    ):
        replace_file(path.resolve(), _text(keys))


def pending_key(config: Config) -> bytes | None:
    """Return the new key of a rotation that release 0.1 began and did not finish, or ``None``."""
    path = key_file(config).with_suffix(PENDING_SUFFIX)
    return _keys_in_file(path)[0] if config.master_key is None and path.exists() else None


def finish_rotation(config: Config, used: bytes) -> None:
    """
    Finish an interrupted rotation: leave only *used*, the key that opens the keyring, in its file.

    A key that comes from outside is left alone. If the file cannot be written, the error is logged and both
    keys stay valid.
    """
    if config.master_key is not None or used == given_new_key(config):
        return
    try:
        if _keys_in_file(key_file(config))[0] != used:
            write_key_file(config, [used])
            key_file(config).with_suffix(PENDING_SUFFIX).unlink(missing_ok=True)
    except (PixstoreError, OSError):
        logger.exception("the rotation of the master key could not be finished; both keys are still accepted")


def _text(keys: list[bytes]) -> bytes:
    return b"".join(base64.b64encode(key) + b"\n" for key in keys)


def _keys_in_file(path: Path) -> list[bytes]:
    try:
        if path.stat().st_mode & 0o077:
            logger.warning("%s can be read by other users of this machine: chmod 600 it", path)
        lines = path.read_text("ascii", "replace").split()
        if len(lines) not in (1, 2):
            raise KeyringError(f"the master key {path} is not a key: expected one line of base64")
        return [decode_master_key(line) for line in lines]
    except FileNotFoundError:
        raise KeyringError(
            f"the master key {path} is missing: restore it from where you keep its copy, or set PIXSTORE_MASTER_KEY; "
            "without it the images cannot be read"
        ) from None
    except OSError as error:
        raise KeyringError(f"the master key {path} could not be read: {error.strerror}") from error
    except ValueError as error:
        raise KeyringError(f"the master key {path} is not a key: {error}") from None
