"""The time, as tests tell it: ``Clock`` stands still until it is moved."""

START = 1_763_683_200_000
"""2025-11-21, in ms since 1970."""


class Clock:
    """A clock for ``ImageStore.open(now=…)``."""

    def __init__(self, time: int = START) -> None:
        self.time = time

    def __call__(self) -> int:
        """Return the time in ms since 1970."""
        return self.time

    def forward(self, ms: int) -> None:
        """Let *ms* pass. A negative number sets the clock back, as an administrator might."""
        self.time += ms
