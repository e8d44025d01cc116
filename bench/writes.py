"""
Save, update and delete: one caller, 8 callers in one process, 4 processes.

Each round saves some images, gives each a new version and deletes them, so the stores stay small and every side does the same.
What npm has not written out by the end of its batch is written out before the next side begins, outside the times.
"""

from contextlib import ExitStack

import sample_images
from processes import Side, side
from rounds import Plan, batch, settle, turned
from table import FLOOR, HERE, NPM, Row, Target

OPERATIONS = ("save", "update", "delete")
COUNTS = {"10 KB": 64, "200 KB": 48, "2 MB": 16, "10 MB": 8}
LOADS = {"one caller": (1, 1), "8 callers": (8, 1), "4 processes": (1, 4)}
"""Callers in a process, and processes."""

SAVE_BY_NPM = {"10 KB": 1.5, "200 KB": 1.7, "2 MB": 2.0, "10 MB": 1.5}
SAVE_BY_FLOOR = 0.75
SHARED_SAVE_BY_NPM = 1.5
UPDATE_BY_NPM = 1.3
DELETE_BY_NPM = {"one caller": 3.0, "8 callers": 2.0, "4 processes": None}

_PROGRAMS = {HERE: "python_side.py", NPM: "npm_side.mjs", FLOOR: "floor_side.py"}


def measure(plan: Plan) -> list[Row]:
    """Return a row for every operation, size and load."""
    files = sample_images.write(plan.directory, list(COUNTS))
    rows = _rows()
    with ExitStack() as stack:
        processes = {name: _processes(stack, plan, name) for name in _PROGRAMS}
        for number in plan.numbered("writes"):
            for size, file in files.items():
                for load in LOADS:
                    for name in turned(list(_PROGRAMS), number):
                        _one_life(plan, rows, processes[name], (name, size, load), file, counts=number >= 0)
    return [row for row in rows.values() if plan.wants(row.what)]


def _one_life(
    plan: Plan,
    rows: dict[tuple[str, str, str], Row],
    processes: list[Side],
    place: tuple[str, str, str],
    file: str,
    *,
    counts: bool,
) -> None:
    """Save, update and delete some images on one side."""
    name, size, load = place
    callers, processes_used = LOADS[load]
    for operation in OPERATIONS:
        if operation == "update" and not plan.wants("update"):
            continue
        sample = batch(processes[:processes_used], operation, file, COUNTS[size], callers)
        if name == NPM and operation != "delete":
            settle()
        if counts:
            rows[operation, size, load].samples[name].append(sample)


def _processes(stack: ExitStack, plan: Plan, name: str) -> list[Side]:
    """Return the processes of one side; all of them work in one directory."""
    most = max(processes for _, processes in LOADS.values())
    return [
        stack.enter_context(side(_PROGRAMS[name], plan.directory / f"writes-{name}")) for _ in range(most)
    ]


def _rows() -> dict[tuple[str, str, str], Row]:
    rows: dict[tuple[str, str, str], Row] = {}
    for operation in OPERATIONS:
        for size in COUNTS:
            for load in LOADS:
                row = rows[operation, size, load] = Row(operation, size, load)
                row.npm = _by_npm(operation, size, load)
                if operation == "save" and load == "one caller":
                    row.floor = Target(at_least=SAVE_BY_FLOOR)
                elif operation == "save":
                    row.other = (rows[operation, size, "one caller"], "one caller", Target(at_least=1))
    return rows


def _by_npm(operation: str, size: str, load: str) -> Target | None:
    if operation == "save":
        return Target(at_least=SAVE_BY_NPM[size] if load == "one caller" else SHARED_SAVE_BY_NPM)
    if operation == "update":
        return Target(at_least=UPDATE_BY_NPM)
    bound = DELETE_BY_NPM[load]
    return None if bound is None else Target(at_least=bound)
