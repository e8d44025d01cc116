"""Waiting for what happens soon, but not at once: every test that has to wait does it here."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(is_so: Callable[[], T], seconds: float = 10.0, what: str = "what the test waits for") -> T:
    """Wait until *is_so* returns something true, and return that; fail if it does not in time. *what* is for the message."""
    deadline = time.monotonic() + seconds
    while not (found := is_so()):
        assert time.monotonic() < deadline, f"not in {seconds:g} s: {what}"
        time.sleep(0.02)
    return found
