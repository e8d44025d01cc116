"""
Times that a wrong clock has written. Pure; imports nothing.

A clock that was ahead once leaves times in the future behind: of an attempt to log in, of a hold, of a blob. Nothing may wait
until they come. A little way ahead is no fault, because the clocks of several hosts differ.
"""

SLACK = 5 * 60_000
"""How far (ms) a time may lie ahead of this clock and still be believed."""


def is_implausible(time: int, *, now: int) -> bool:
    """Tell whether *time*, at which something is said to have happened, lies so far ahead that the clock was wrong."""
    return time > now + SLACK


def has_passed(time: int, wait: int, *, now: int) -> bool:
    """Tell whether *wait* (ms) is over since *time*. It is, where *time* lies implausibly far ahead."""
    return now - time >= wait or is_implausible(time, now=now)
