"""
An operator's tasks: check, sweep, rebuild, back up, restore, rotate keys. One module each.

None of it is needed to serve images. Everything but ``restore`` and ``rebuild`` may run while the store is in use. The
commands are in ``cli``. ``companion`` describes what maintenance needs from an application that has tables in
the store's database.
"""

from collections.abc import Callable

Progress = Callable[[int, int], object]
"""Called with the number of items done and the number of all items."""


def no_progress(_done: int, _total: int) -> None:
    """Show nothing."""
