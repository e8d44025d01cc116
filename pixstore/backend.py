"""
The documented module-level API: functions that use one ``ImageStore``.

Imports ``store``, ``shared``, ``config``, ``errors``.

    from pixstore.backend import init_pixstore_backend, save_image
    init_pixstore_backend(data_dir="data")
    record = save_image(photo)

The setting ``error_handling_mode`` says what happens on an error:

    hybrid   a PixstoreError is logged and kept as the last error, the result is None; anything else is raised
    throw    everything is raised
    warn     everything is logged, the result is None
    silent   nothing is logged, the result is None
    custom   the handler of ``set_custom_error_handler`` is called, the result is None
"""

import logging
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from pixstore.config import Config
from pixstore.crypto import Buffer
from pixstore.errors import ConfigError, PixstoreError, UnreadableFile
from pixstore.records import ImageRecord
from pixstore.shared import get_custom_error_handler, remember_error
from pixstore.store import ImageStore

__all__ = [
    "custom_endpoint_helper",
    "delete_image",
    "get_image_record",
    "image_exists",
    "init_pixstore_backend",
    "save_image",
    "save_image_from_file",
    "update_image",
    "update_image_from_file",
]

_P = ParamSpec("_P")
_R = TypeVar("_R")

_store: ImageStore | None = None

logger = logging.getLogger(__name__)


def init_pixstore_backend(**options: Any) -> ImageStore:
    """
    Open the store that every function below uses. Call it once, before anything else.

    *options* are the fields of ``Config``. A field that is not given comes from its ``PIXSTORE_*``
    environment variable, so a script and a server with one ``PIXSTORE_DATA_DIR`` share one store. A second
    call closes the store that the first one opened.

    Raises:
        ConfigError: Naming every option that is wrong.
        PixstoreError: If the store cannot be opened.
    """
    global _store
    config = Config.from_env(None, **options)
    previous, _store = _store, None
    if previous is not None:
        previous.close()
    _store = ImageStore.open(config)
    return _store


def _handled(function: Callable[_P, _R]) -> Callable[_P, _R | None]:
    @wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R | None:
        try:
            return function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - which errors pass is the error mode's decision
            _handle(error)
            # The error is kept. Its traceback would keep the image and its key in memory.
            error.__traceback__ = error.__context__ = error.__cause__ = None
            return None

    return call


def _handle(error: Exception) -> None:
    """Do what the error mode says. Raise *error* if the mode says so."""
    if _store is None:
        raise error
    if isinstance(error, PixstoreError):
        remember_error(error)
    match _store.config.error_handling_mode:
        case "hybrid" if isinstance(error, PixstoreError):
            logger.warning("%s: %s", type(error).__name__, error)
        case "warn":
            logger.warning("%s: %s", type(error).__name__, error)
        case "silent":
            return
        case "custom":
            handler = get_custom_error_handler()
            if handler is None:
                raise ConfigError(
                    "error_handling_mode is custom, but no handler is set: call set_custom_error_handler"
                ) from error
            handler(error)
        case _:
            raise error


def _open_store() -> ImageStore:
    if _store is None:
        raise ConfigError("the store is not open: call init_pixstore_backend first")
    return _store


@_handled
def get_image_record(id: str) -> ImageRecord | None:
    """Return the record of the image, or ``None`` if there is none."""
    return _open_store().record(id)


@_handled
def save_image(buffer: Buffer, dir: str | None = None) -> ImageRecord:
    """Save a new image and return its record, or ``None`` on an error. *dir* is a namespace for its id."""
    return _open_store().save(buffer, dir)


@_handled
def save_image_from_file(path: str | Path, dir: str | None = None) -> ImageRecord:
    """Save the image in the file *path*; see ``save_image``."""
    return _open_store().save(_read_image(path), dir)


@_handled
def update_image(id: str, buffer: Buffer) -> ImageRecord:
    """Replace the image and return its record with a new key and token, or ``None`` on an error."""
    return _open_store().update(id, buffer)


@_handled
def update_image_from_file(id: str, path: str | Path) -> ImageRecord:
    """Replace the image by the one in the file *path*; see ``update_image``."""
    return _open_store().update(id, _read_image(path))


@_handled
def delete_image(id: str) -> bool:
    """Remove the image. Return ``True`` if it existed, ``False`` if it did not, ``None`` on an error."""
    return _open_store().delete(id)


@_handled
def image_exists(id: str) -> bool:
    """Tell whether there is such an image. Return ``None`` on an error."""
    return _open_store().exists(id)


@_handled
def custom_endpoint_helper(
    image_id: str | None, client_token: int | None, stateless_proof: str | None
) -> bytes:
    """Return the wire payload for a route of your own. It makes every check of the built-in endpoint."""
    return _open_store().answer(image_id, proof=stateless_proof, client_token=client_token).to_bytes()


def _read_image(path: str | Path) -> bytes:
    """Return the content of *path*. Stop one byte after the size limit of an image."""
    limit = _open_store().config.max_image_bytes
    try:
        with open(path, "rb") as file:
            return file.read(limit + 1)
    except (OSError, ValueError, TypeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UnreadableFile(f"the file {path} could not be read: {why}") from error
