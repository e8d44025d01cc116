"""The result of a program, and how it is run: in a separate process, so that it may fork and be stopped."""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
FEW = 20


@dataclass
class Outcome:
    """How much was tried, in words and as a number, and every promise that was broken."""

    amount: int = 0
    words: str = ""
    anomalies: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)


class ProgramFailed(Exception):
    """A program ended without an outcome."""


def run_program(name: str, *, timeout: float = 600, **arguments: Any) -> Outcome:
    """Run the program *name* of tests/torture/programs in a separate process, and return its result."""
    command = [sys.executable, "-m", f"tests.torture.programs.{name}", json.dumps(arguments)]
    program = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(),
        start_new_session=True,
    )
    try:
        output, complaints = program.communicate(timeout=timeout)
    except BaseException:
        os.killpg(program.pid, signal.SIGKILL)  # with the processes it has forked
        program.wait()
        raise
    if program.returncode:
        raise ProgramFailed(f"{name} {arguments}: exit status {program.returncode}\n{complaints[-4000:]}")
    return Outcome(**json.loads(output.splitlines()[-1]))


def main(run: Callable[..., Outcome]) -> None:
    """Be the program: run with the arguments of the command line, print the outcome, leave without loose ends."""
    logging.getLogger("pixstore").setLevel(
        logging.CRITICAL
    )  # faults are meant, and are checked by their effect
    outcome = run(**json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}"))
    outcome.anomalies[FEW:] = [f"… {len(outcome.anomalies)} in all"] if len(outcome.anomalies) > FEW else []
    sys.stdout.write(json.dumps(asdict(outcome)) + "\n")
    sys.stdout.flush()
    os._exit(0)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIXSTORE_")}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
