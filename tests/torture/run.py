"""
The long forms of the reliability tests, one table in the end: `make torture`.

    make torture                                   everything, in under 90 minutes on two cores
    make torture ARGS="--only 'kill -9' 'power cut'"
    make torture ARGS="--scale 0.1 --list"

Each row is a program of tests/reliability/harness, run in a process of its own and stopped after its time. A row fails on
any broken promise, and when the fault that is put into the store on purpose is not found. Rows that this machine cannot
run are named, with the reason; they fail only with --strict.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, os.fspath(ROOT))

from tests.reliability.harness import device_cut, slow_clients, sqlite_vfs  # noqa: E402 - the path comes first
from tests.reliability.harness.outcomes import Outcome, ProgramFailed, run_program  # noqa: E402

CORPUS = Path(sys.prefix) / "torture" / "pillow" / "Tests" / "images"
ODD_WORDS = Path(sys.prefix) / "torture" / "big-list.json"
SHOWN = 5


@dataclass(frozen=True)
class Row:
    """One line of the table: a program, its arguments, those that grow with --scale, and faults it has to find."""

    name: str
    program: str
    arguments: dict[str, Any]
    scaled: dict[str, int]
    seeds: tuple[str, ...] = ()
    seed_arguments: dict[str, Any] = field(default_factory=dict)
    minutes: float = 10
    why_not: Callable[[], str | None] = lambda: None


def _needs_strace() -> str | None:
    return None if shutil.which("strace") else "strace is not installed"


def _needs_loop_devices() -> str | None:
    return None if device_cut.available() else "needs root, loop devices, xfsprogs and e2fsprogs"


def _needs_root() -> str | None:
    return None if os.geteuid() == 0 else "needs root"


def _needs_nginx() -> str | None:
    return None if slow_clients.available() else "nginx is not installed"


def _needs_vfs() -> str | None:
    return None if sqlite_vfs.available() else "this Python's SQLite cannot be watched"


ROWS = [
    Row(
        "fault points",
        "fault_points",
        {},
        {},
        ("old_blob_first", "in_place_overwrite"),
        {"scenarios": ["update"], "faults": ["KILL"]},
        15,
        _needs_vfs,
    ),
    Row("kill -9", "kill_loop", {"writers": 4}, {"rounds": 500}, ("in_place_overwrite",), {"rounds": 10}),
    Row(
        "kill -9 of gunicorn workers",
        "http_kill",
        {"clients": 16, "workers": 3},
        {"seconds": 300},
        ("in_place_overwrite",),
        {"seconds": 5},
        10,
    ),
    Row(
        "system calls",
        "syscalls",
        {"stride": 2},
        {"most": 100_000},
        ("in_place_overwrite", "delete_on_error"),
        {"stride": 1, "scenarios": ["update"]},
        15,
        _needs_strace,
    ),
    Row(
        "power cut, simulated",
        "power_cut",
        {"lucky": 3, "every": 1},
        {"operations": 150},
        ("wal_normal", "no_fsync", "no_directory_sync"),
        {"operations": 10},
        10,
        _needs_vfs,
    ),
    Row(
        "power cut, ext4",
        "device_cut",
        {"filesystem": "ext4"},
        {"rounds": 100},
        ("wal_normal", "everything_in_memory"),
        {"filesystem": "ext4", "rounds": 5},
        10,
        _needs_loop_devices,
    ),
    Row(
        "power cut, xfs",
        "device_cut",
        {"filesystem": "xfs"},
        {"rounds": 50},
        ("wal_normal", "everything_in_memory"),
        {"filesystem": "xfs", "rounds": 5},
        10,
        _needs_loop_devices,
    ),
    Row(
        "disk full",
        "disk_full",
        {"limit": "disk"},
        {"failures": 1000},
        ("delete_on_error",),
        {"limit": "disk", "failures": 100},
        5,
        _needs_root,
    ),
    Row(
        "file-size limit",
        "disk_full",
        {"limit": "size"},
        {"failures": 1000},
        ("delete_on_error",),
        {"failures": 60},
        5,
    ),
    Row(
        "register, 8 processes",
        "register",
        {"processes": 8, "threads": 2},
        {"operations": 100_000},
        ("altered_read", "in_place_overwrite"),
        {"operations": 4000},
        15,
    ),
    Row(
        "register, 4 of 8 processes through gunicorn",
        "register",
        {"processes": 8, "threads": 2, "through_http": 4},
        {"operations": 100_000},
        ("altered_read", "in_place_overwrite"),
        {"operations": 8000, "through_http": 2, "maintain": False},
        15,
    ),
    Row(
        "HUP and TERM of gunicorn",
        "http_reload",
        {"clients": 12},
        {"rounds": 20},
        ("per_process_secret", "hasty_close"),
        {"rounds": 2, "clients": 4},
        5,
    ),
    Row(
        "mixed load",
        "http_load",
        {"clients": 32},
        {"seconds": 1800},
        ("leaking_memory", "leaking_descriptors"),
        {"seconds": 6, "warm_up": 0.4},
        35,
    ),
    Row(
        "slow clients",
        "slow_clients",
        {"connections": 300, "seconds": 10},
        {},
        ("no_proxy",),
        {"seconds": 4},
        5,
        _needs_nginx,
    ),
    Row("large store", "large_store", {}, {"images": 100_000}, (), {}, 15),
    Row(
        "rotation under load",
        "rotation_load",
        {"kills": 50},
        {"images": 10_000},
        ("retire_keys_early",),
        {"images": 500, "kills": 5},
        15,
    ),
    Row(
        "commands under load",
        "commands_load",
        {"clients": 4, "kills": 3},
        {"images": 10_000},
        ("impatient_sweep", "retire_keys_early"),
        {"images": 200, "clients": 2, "kills": 0, "only": ["sweep", "re-encrypt"]},
        15,
    ),
    Row(
        "bad images",
        "bad_images",
        {"corpus": os.fspath(CORPUS) if CORPUS.is_dir() else None},
        {"mutants": 20_000},
        ("trusting_decoder",),
        {"mutants": 50},
        10,
    ),
    Row(
        "bad images, uploaded",
        "hostile_uploads",
        {"corpus": os.fspath(CORPUS) if CORPUS.is_dir() else None},
        {"mutants": 20_000},
        ("raw_decoders",),
        {"mutants": 40, "hostile": False},
        20,
    ),
    Row(
        "hostile HTTP",
        "hostile_http",
        {},
        {"mutants": 20_000},
        ("unreadable_bodies",),
        {"every": 23, "mutants": 0},
        10,
    ),
    Row(
        "hostile forms",
        "hostile_forms",
        {"every": 2, "words": os.fspath(ODD_WORDS) if ODD_WORDS.is_file() else None},
        {},
        ("trusting_json", "raw_pages"),
        {"every": 41},
        20,
    ),
    Row(
        "state machine",
        "state_machine",
        {"steps": 50},
        {"runs": 2000},
        ("delete_keeps_row", "token_stands_still"),
        {"runs": 60, "steps": 50},
        20,
    ),
    Row(
        "forged proofs",
        "forged_proofs",
        {"flipped": 1000},
        {"tries": 1_000_000},
        ("short_proofs",),
        {"flipped": 10},
        5,
    ),
    Row("bit flips", "bit_flips", {}, {"images": 50}, ("no_associated_data",), {"images": 2}, 10),
]


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
