"""
The long forms of the reliability tests, one table in the end: `make torture`.

    make torture                                   everything, in under two hours on two cores
    make torture ARGS="--only 'kill -9' 'power cut'"
    make torture ARGS="--scale 0.1 --list"

Each row of rows.py is a program of programs/, run in a process of its own and stopped after its time. A row fails on any
broken promise, and if the fault that is put into the store on purpose is not found. Rows that this machine cannot run are
named, with the reason; they fail only with --strict.
"""

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass, field

from tests.torture.rows import ROWS, Row
from tests.torture.tools.outcomes import Outcome, ProgramFailed, run_program

SHOWN = 5


@dataclass
class Line:
    """What came of a row."""

    row: Row
    seconds: float
    outcome: Outcome
    caught: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    failure: str = ""

    @property
    def is_good(self) -> bool:
        """Whether nothing was broken and every seeded fault was found."""
        return not (self.failure or self.outcome.anomalies or self.missed)


def run_row(row: Row, scale: float) -> Line:
    """Run the program of *row*, then once for each fault it has to find."""
    start = time.monotonic()
    scaled = {name: max(1, round(amount * scale)) for name, amount in row.scaled.items()}
    line = Line(row, 0, Outcome())
    try:
        line.outcome = run_program(row.program, timeout=row.minutes * 60, **row.arguments, **scaled)
        for seed in row.seeds:
            found = run_program(row.program, timeout=row.minutes * 60, **row.seed_arguments, seed=seed)
            (line.caught if found.anomalies else line.missed).append(seed)
    except (ProgramFailed, subprocess.TimeoutExpired) as error:
        line.failure = str(error)[-1500:]
    line.seconds = time.monotonic() - start
    return line


def table(lines: list[Line]) -> str:
    """Return the lines as a table in Markdown."""
    rows = [
        "| test | amount | anomalies | seeded fault caught | seconds |",
        "| --- | --- | --- | --- | --- |",
    ]
    for line in lines:
        figures = ", ".join(f"{name} {value}" for name, value in line.outcome.figures.items())
        amount = f"{line.outcome.words}{f' ({figures})' if figures else ''}"
        seeds = ", ".join(
            [seed.replace("_", " ") for seed in line.caught] + [f"NOT {seed}" for seed in line.missed]
        )
        anomalies = "failed" if line.failure else len(line.outcome.anomalies)
        rows.append(f"| {line.row.name} | {amount} | {anomalies} | {seeds or '-'} | {line.seconds:.0f} |")
    return "\n".join(rows)


def main() -> int:
    """Run the chosen rows and print the table."""
    parser = argparse.ArgumentParser(prog="make torture", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="rows whose name begins with one of these")
    parser.add_argument("--scale", type=float, default=1.0, help="amounts times this (default 1)")
    parser.add_argument("--list", action="store_true", help="list the rows and their amounts")
    parser.add_argument("--strict", action="store_true", help="a row that cannot run here is a failure")
    options = parser.parse_args()
    rows = [
        row for row in ROWS if not options.only or any(row.name.startswith(name) for name in options.only)
    ]
    if options.list:
        print("\n".join(f"{row.name}: {row.scaled or row.arguments} ({row.program})" for row in rows))
        return 0
    lines, skipped = [], []
    for row in rows:
        reason = row.why_not()
        if reason:
            skipped.append(f"{row.name}: not run: {reason}")
            continue
        line = run_row(row, options.scale)
        lines.append(line)
        _tell(line)
    print("\n" + table(lines))
    print("\n".join(skipped))
    return 0 if lines and all(line.is_good for line in lines) and not (options.strict and skipped) else 1


def _tell(line: Line) -> None:
    """Say on standard error how a row went, as soon as it is done."""
    print(
        f"{line.row.name}: {'ok' if line.is_good else 'FAILED'} in {line.seconds:.0f} s",
        file=sys.stderr,
        flush=True,
    )
    for words in [
        *line.outcome.anomalies[:SHOWN],
        *(f"not found: {seed}" for seed in line.missed),
        line.failure,
    ]:
        if words:
            print(f"  {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
