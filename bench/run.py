"""
Time this store beside npm's `pixstore`, and beside the least that the same work can cost, in one run: `make bench`.

Every side runs in processes of its own and gets the same calls. Rounds are interleaved, and medians over them are shown.
"""

import argparse
import contextlib
import io
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import endpoint
import gallery_page
import reads
import start
import thumbnails
import writes
from rounds import Plan
from table import Figure, Row, show

HERE = Path(__file__).resolve().parent
NAMES = ("save", "update", "delete", "look-up", "payload", "endpoint", "thumbnails", "gallery", "start")
MARKS = ("<!-- figures of a run -->", "<!-- end of the figures -->")


def measure(plan: Plan, *, large: bool) -> tuple[list[Row], list[Figure]]:
    """Run what was asked for, and return the rows and figures of it."""
    rows: list[Row] = []
    figures: list[Figure] = []
    if plan.wants(*writes.OPERATIONS):
        rows += writes.measure(plan)
    if plan.wants("look-up"):
        rows += reads.measure_looks(plan, large=large)
    if plan.wants("payload"):
        rows += reads.measure_payloads(plan)
    if plan.wants("endpoint"):
        endpoint_rows, memory = endpoint.measure(plan)
        rows += endpoint_rows
        figures += memory
    if plan.wants("thumbnails"):
        page_rows, first = thumbnails.measure(plan)
        rows += page_rows
        figures += first
    if large and plan.wants("gallery"):
        figures += gallery_page.measure(plan)
    if large and plan.wants("start"):
        figures += start.measure(plan)
    return rows, figures


def explain(plan: Plan, seconds: float) -> None:
    """Print what to know when reading the table."""
    version = json.loads((HERE / "node_modules/pixstore/package.json").read_text())["version"]
    print(
        f"\nMedians of {plan.rounds} interleaved rounds. A ratio above 1 means that here does more in a second; "
        f"cpu ms is processor time for one call.\n"
        f"npm is pixstore {version}: its image files are written without fsync, so what it has acknowledged can be lost with the power.\n"
        f"Here an acknowledged image is durable: file, directory and database are synced; and its structure was checked first.\n"
        f"floor is the least that a store with this durability pays: os, cryptography and sqlite3 alone; for HTTP, a bare sendfile.\n"
        f"The HTTP client is one Python process with raw sockets for either server (http_load.py); it took "
        f"{endpoint.client_share():.0%} of one processor at most.\n"
        f"Python {platform.python_version()}, {os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, "
        f"{seconds / 60:.1f} minutes; load average {os.getloadavg()[0]:.1f}."
    )


def put_between_marks(document: Path, text: str) -> None:
    """Replace what an earlier run has written into *document*."""
    before, first, rest = document.read_text().partition(MARKS[0])
    _, last, after = rest.partition(MARKS[1])
    if not last:
        raise SystemExit(f"bench: {document} has no place for figures: {MARKS[0]} … {MARKS[1]}")
    document.write_text(f"{before}{first}\n\n{text.strip()}\n\n{last}{after}")


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=(), metavar="WHAT", help=", ".join(NAMES))
    parser.add_argument(
        "--large",
        action="store_true",
        help="also 10^6 rows and 10^5 pictures: look-up, gallery, start",
    )
    parser.add_argument(
        "--into",
        type=Path,
        metavar="FILE",
        help="also write the tables into this Markdown file, between its marks",
    )
    parser.add_argument(
        "--directory",
        type=Path,
        default=HERE,
        help="where the stores lie while the bench runs: choose the disk to measure",
    )
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tmp-", dir=arguments.directory) as directory:
        plan = Plan(Path(directory), arguments.rounds, frozenset(arguments.only))
        rows, figures = measure(plan, large=arguments.large)
    if sys.stderr.isatty():
        print("\r", end=" " * 40 + "\r", file=sys.stderr)
    seconds = time.monotonic() - began
    show(rows, figures, markdown=False)
    explain(plan, seconds)
    if arguments.into is not None:
        with contextlib.redirect_stdout(io.StringIO()) as text:
            show(rows, figures, markdown=True)
            explain(plan, seconds)
        put_between_marks(arguments.into, text.getvalue())


if __name__ == "__main__":
    main()
