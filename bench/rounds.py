"""How every section of the bench measures: interleaved rounds, a first one that is thrown away, the order turned each time."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from processes import Side
from table import Sample

_T = TypeVar("_T")

START_DELAY = 0.02
"""Seconds between the command and the first call, so that several processes begin together."""


@dataclass(frozen=True)
class Plan:
    """What is to be measured, how often, and where the stores lie meanwhile."""

    directory: Path
    rounds: int
    chosen: frozenset[str]
    """Names of what was asked for by ``--only``; empty for everything."""

    def wants(self, *names: str) -> bool:
        """Tell whether one of *names* was asked for."""
        return not self.chosen or not self.chosen.isdisjoint(names)

    def numbered(self, section: str) -> Iterator[int]:
        """Yield the number of each round; the one before the first warms everything up, and does not count."""
        for number in range(-1, self.rounds):
            if sys.stderr.isatty():
                print(
                    f"\r{section}: round {number + 1} of {self.rounds}  ", end="", file=sys.stderr, flush=True
                )
            yield number


def turned(sides: Sequence[_T], number: int) -> list[_T]:
    """Return *sides* in another order each round, so that a neighbour who disturbs does not always disturb the same."""
    places = number % len(sides)
    return [*sides[places:], *sides[:places]]


def batch(sides: Sequence[Side], operation: str, file: str, count: int, callers: int) -> Sample:
    """Let *sides*, processes of one library, do *count* calls together, each with *callers* at a time."""
    share, at = max(1, count // len(sides)), time.time() + START_DELAY
    for side in sides:
        side.send(do=operation, file=file, count=share, callers=callers, at=at)
    answers = [side.answer() for side in sides]
    elapsed = max(answer["end"] for answer in answers) - min(answer["start"] for answer in answers)
    calls = share * len(sides)
    return Sample(calls / elapsed, sum(answer["processor"] for answer in answers) / calls * 1000)


def settle() -> None:
    """Write out what a side has left in memory, so that the next one does not pay for it."""
    with contextlib.suppress(OSError):
        os.sync()
