"""
Recognizes times that a wrong clock has written. Pure; imports nothing.

A clock that was ahead leaves times in the future: of a login attempt, of a hold, of a blob. Nothing may wait
until such a time comes. A time slightly ahead is no fault, because the clocks of hosts differ.
"""

SLACK = 5 * 60_000
"""How far (ms) a time may lie ahead of this clock and still be believed."""


def is_implausible(time: int, *, now: int) -> bool:
    """Tell whether *time*, which should lie in the past, is so far ahead that the clock was wrong."""
    return time > now + SLACK
