"""
The last error and the custom handler of the module-level API. Imports only ``errors``.

Programs use ``get_last_pixstore_error`` and ``set_custom_error_handler`` together with ``pixstore.backend``.
Each thread and task has a last error of its own, so two requests at the same time never read each other's
error.
"""

from collections.abc import Callable
from contextvars import ContextVar

from pixstore.errors import PixstoreError

CustomErrorHandler = Callable[[Exception], object]

__all__ = ["CustomErrorHandler", "get_last_pixstore_error", "set_custom_error_handler"]

_last_error: ContextVar[PixstoreError | None] = ContextVar("pixstore_last_error", default=None)
_custom_handler: CustomErrorHandler | None = None


def get_last_pixstore_error() -> PixstoreError | None:
    """Return the latest ``PixstoreError`` of this thread and task, or ``None``."""
    return _last_error.get()


def set_custom_error_handler(handler: CustomErrorHandler | None) -> None:
    """Set the function that gets every error if ``error_handling_mode`` is ``custom``."""
    global _custom_handler
    _custom_handler = handler


def remember_error(error: PixstoreError) -> None:
    """Make *error* the last one of this thread and task."""
    _last_error.set(error)


def get_custom_error_handler() -> CustomErrorHandler | None:
    """Return the handler that was set, or ``None``."""
    return _custom_handler
