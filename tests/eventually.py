"""Waiting for what happens soon, but not at once."""

import time
from collections.abc import Callable


def eventually(is_so: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until *is_so* returns something true; fail if it does not in time."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
