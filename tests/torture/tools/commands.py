"""
`flask pixstore …` as somebody at a terminal runs it: its result goes to a file, its progress to a terminal of its own.

A command can be killed (SIGKILL) as soon as its progress says that it has come so far. ``Trial`` runs commands, and notes
whatever is not as documented. Run as a program, this module is `flask` with the fault that COMMAND_FAULT names.
"""

import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from flask.cli import main as flask

from tests.gallery_server import ROOT
from tests.torture.tools.outcomes import Outcome
from tests.torture.tools.seeded_faults import seeded

VARIABLE = "COMMAND_FAULT"

LONG_ENOUGH = 0.6
"""Seconds within which a command that shows no progress is killed."""

_POSITION = re.compile(rb"\] +(\d+)/(\d+)(?=\D)")
_BAR = re.compile(r"\] +\d+/\d+")
_LONGEST_LINE = 200


class Position(NamedTuple):
    """What a progress bar shows."""

    done: int
    total: int


EMPTY = Position(0, 1)
"""The position that a progress bar shows at first."""


class Kill(NamedTuple):
    """When to kill a command: *seconds* after its progress has reached *at*, or after its start."""

    at: float | None
    seconds: float = 0


@dataclass(frozen=True)
class Ended:
    """The result of a command, and when it ran."""

    status: int
    output: str
    complaints: str
    positions: list[Position]
    start: float
    end: float

    @property
    def was_killed(self) -> bool:
        """Whether it was killed before it could end by itself."""
        return self.status < 0


class Commands:
    """The commands over the store in *data*."""

    def __init__(self, data: Path, seed: str | None = None) -> None:
        own = {name: value for name, value in os.environ.items() if not name.startswith("PIXSTORE_")}
        self._environ = {**own, "PIXSTORE_DATA_DIR": os.fspath(data)}
        self._flask = [os.fspath(Path(sys.executable).with_name("flask"))]
        if seed is not None:
            self._environ[VARIABLE] = seed
            self._flask = [sys.executable, "-m", __spec__.name]

    def run(
        self,
        *words: str,
        kill: Kill | None = None,
        terminal: bool = True,
        typed: str = "",
        **environ: str,
    ) -> Ended:
        """Run a command; *terminal* says whether standard error is one, *typed* is its standard input."""
        ours, theirs = os.openpty() if terminal else os.pipe()
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as typing:
            typing.write(typed.encode())
            typing.seek(0)
            start = time.monotonic()
            process = subprocess.Popen(
                [*self._flask, "pixstore", *words],
                cwd=ROOT,
                env={**self._environ, **environ},
                stdin=typing,
                stdout=output,
                stderr=theirs,
            )
            os.close(theirs)
            complaints, positions = _watched(ours, process, kill)
            status, end = process.wait(), time.monotonic()
            output.seek(0)
            return Ended(status, output.read().decode(), complaints, positions, start, end)


class Runs(NamedTuple):
    """A command that was killed several times, and ended at last."""

    killed: list[Ended]
    last: Ended

    @property
    def resumed(self) -> list[tuple[Position, Position]]:
        """Where each one was when it was killed, and where the next one began."""
        both = pairwise([*self.killed, self.last])
        return [
            (before.positions[-1], after.positions[0])
            for before, after in both
            if before.was_killed and before.positions and after.positions
        ]


class Trial:
    """Commands that must behave as documented: any other behaviour is an anomaly of *outcome*."""

    def __init__(self, outcome: Outcome, kills: int) -> None:
        self.killed = 0
        self._outcome, self._kills = outcome, kills
        self._chance = random.Random(kills)
        self._seconds: defaultdict[str, list[float]] = defaultdict(list)

    def run(self, commands: Commands, *words: str, status: int = 0, **how: Any) -> Ended:
        """Run a command that ends with *status*."""
        ended = self._timed(commands, words, **how)
        self._expect_end(ended, words, status)
        return ended

    def run_killed(
        self,
        commands: Commands,
        *words: str,
        again: tuple[str, ...] = (),
        status: int = 0,
        silent: bool = False,
        tail: float = 0,
    ) -> Runs:
        """
        Kill a command on its way, several times, then let it end; *again* is what to call it after the first time.

        One that is *silent* shows no progress; for another, *tail* is the seconds that it goes on when that is complete.
        """
        killed: list[Ended] = []
        for number in range(self._kills):
            kill = Kill((number + 1) / (self._kills + 1))
            if tail and number == self._kills - 1:
                kill = Kill(1, self._chance.uniform(0, tail))
            if silent:
                kill = Kill(None, self._chance.uniform(0.1, LONG_ENOUGH))
            killed.append(self._timed(commands, words, kill=kill))
            self.killed += killed[-1].was_killed
            if not killed[-1].was_killed:
                self._expect_end(killed[-1], words, status)
            words = again or words
        runs = Runs(killed, self.run(commands, *words, status=status))
        shown = [position for ended in [*killed, runs.last] for position in ended.positions]
        self.expect(bool(shown) is not silent, f"{' '.join(words)} shows {shown[:3]}")
        return runs

    def expect(self, is_so: bool, otherwise: str) -> None:
        """Note *otherwise* as an anomaly if *is_so* is false."""
        if not is_so:
            self._outcome.anomalies.append(otherwise)

    def expect_output(self, ended: Ended, pattern: str) -> list[int]:
        """Return the numbers in the output. If it does not match *pattern*, note that, and return zeros."""
        matched = re.fullmatch(pattern + "\n", ended.output)
        self.expect(matched is not None, f"not {pattern!r}: {ended.output[:500]!r}")
        return [0] * re.compile(pattern).groups if matched is None else [int(n) for n in matched.groups()]

    def _timed(self, commands: Commands, words: tuple[str, ...], **how: Any) -> Ended:
        ended = commands.run(*words, **how)
        name = " ".join(words[:2]) if words[0] == "rotate" else words[0]
        self._seconds[name].append(ended.end - ended.start)
        self._outcome.figures[name] = f"{len(self._seconds[name])} in {sum(self._seconds[name]):.0f} s"
        return ended

    def _expect_end(self, ended: Ended, words: tuple[str, ...], status: int) -> None:
        is_good = ended.status == status and "Traceback" not in ended.complaints
        said = [line for line in re.split(r"[\r\n]+", ended.complaints) if not _BAR.search(line)]
        self.expect(
            is_good, f"{' '.join(words)}: exit status {ended.status}: {ended.output[-500:]}{' '.join(said)}"
        )


def _watched(
    descriptor: int, process: "subprocess.Popen[bytes]", kill: Kill | None
) -> tuple[str, list[Position]]:
    """Read the terminal of *process*, and kill it in time; return its output and the positions of its progress."""
    shown, positions = b"", []
    if kill is not None and kill.at is None:
        _kill(process, kill.seconds)
        kill = None
    while part := _read(descriptor):
        seen = shown[-_LONGEST_LINE:] + part
        shown += part
        found = [Position(int(done), int(total)) for done, total in _POSITION.findall(seen)]
        positions += [position for position in found if position != EMPTY]
        if kill is not None and positions and positions[-1].done >= kill.at * positions[-1].total:
            _kill(process, kill.seconds)
            kill = None
    os.close(descriptor)
    return shown.decode(), positions


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # what a terminal says once nobody is there any more
        return b""


def _kill(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    if seconds:
        threading.Timer(seconds, process.kill).start()
    else:
        process.kill()


if __name__ == "__main__":
    with seeded(os.environ[VARIABLE]):
        flask()
