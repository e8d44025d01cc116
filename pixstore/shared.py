"""
The last error and the custom handler of the module-level API. Imports only ``errors``.

Both functions a program uses beside ``pixstore.backend``. The last error belongs to the context (thread and task) that
met it, so two requests served at the same time never read each other's.
"""

from collections.abc import Callable
from contextvars import ContextVar

from pixstore.errors import PixstoreError

CustomErrorHandler = Callable[[Exception], object]

__all__ = ["CustomErrorHandler", "get_last_pixstore_error", "set_custom_error_handler"]

_last_error: ContextVar[PixstoreError | None] = ContextVar("pixstore_last_error", default=None)
_custom_handler: CustomErrorHandler | None = None


def get_last_pixstore_error() -> PixstoreError | None:
    """Return the newest ``PixstoreError`` met in this thread and task, or ``None``."""
    return _last_error.get()


def set_custom_error_handler(handler: CustomErrorHandler | None) -> None:
    """Let *handler* be called with every error where ``error_handling_mode`` is ``custom``."""
    global _custom_handler
    _custom_handler = handler


def remember_error(error: PixstoreError) -> None:
    """Make *error* the last one of this thread and task."""
    _last_error.set(error)


def get_custom_error_handler() -> CustomErrorHandler | None:
    """Return the handler that was set, or ``None``."""
    return _custom_handler
