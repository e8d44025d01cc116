"""
What an operator does with a store: check, sweep, rebuild, back up, restore, rotate keys. One module each.

None of it is needed to serve images. Everything but ``restore`` and ``rebuild`` may run while the store is in use. The
commands are in ``cli``; what an application must do when its store is rebuilt or re-encrypted is in ``companion``.
"""

from collections.abc import Callable

Progress = Callable[[int, int], object]
"""Called with the number of things done and the number there are."""


def no_progress(_done: int, _total: int) -> None:
    """Show nothing."""
