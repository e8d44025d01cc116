"""
A page of the gallery from 100,000 pictures, on the server's side: the first one, and one a thousand pages further.

The whole answer is timed, from the request to the last byte of HTML, in one process without a network.
"""

import json
import subprocess
import sys
from pathlib import Path

from processes import HERE as BENCH
from processes import environment
from reads import filled
from rounds import Plan
from table import HERE, Figure, Target

PICTURES = 100_000
PAGE = 1000
MOST_MS = 15.0


def measure(plan: Plan) -> list[Figure]:
    """Return the time of both pages."""
    directory = plan.directory / "gallery"
    filled("pictures", directory, PICTURES)
    pages = {name: f"gallery page {name} of {PICTURES:,} pictures" for name in ("1", f"{PAGE:,}")}
    times = {name: Figure(words, "ms", target=Target(at_most=MOST_MS)) for name, words in pages.items()}
    for number in plan.numbered("gallery"):
        for name, milliseconds in zip(pages, _timed(directory), strict=True):
            if number >= 0:
                times[name].values[HERE].append(milliseconds)
    return list(times.values())


def _timed(directory: Path) -> list[float]:
    argument = json.dumps({"directory": str(directory), "page": PAGE})
    command = [sys.executable, str(BENCH / "gallery_side.py"), argument]
    done = subprocess.run(command, env=environment(), check=True, stdout=subprocess.PIPE, text=True)
    pages: list[float] = json.loads(done.stdout.splitlines()[-1])
    return pages
