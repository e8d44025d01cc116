"""
Time our browser module beside npm's frontend, in one Chromium, against one server: `make bench-browser`.

Both show the same images of the same gunicorn, on the origin of the page, so npm's pays for no preflight. The rounds are
interleaved, so that a slow moment of the machine meets everybody, and medians are shown. The floor is a page that does one
IndexedDB get for each image, and nothing else.
"""

import argparse
import base64
import contextlib
import http.client
import json
import os
import platform
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sample_images
from delay import delayed
from playwright.sync_api import Browser, Page, sync_playwright

from pixstore.config import Config
from pixstore.store import ImageStore

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ROUND_TRIP = 0.05
SIDES = ("ours", "npm", "floor")

Records = list[dict[str, Any]]
Measure = Callable[[str], float | None]


@dataclass
class Row:
    """One line of the table: the milliseconds of each side in each round."""

    what: str
    target: float | None
    measure: Measure
    times: dict[str, list[float]] = field(default_factory=lambda: {side: [] for side in SIDES})

    def run(self, *, backwards: bool, counts: bool) -> None:
        """Measure every side once."""
        for side in reversed(SIDES) if backwards else SIDES:
            elapsed = self.measure(side)
            if counts and elapsed is not None:
                self.times[side].append(elapsed)

    def cells(self) -> list[str]:
        """Return the medians, the ratios and whether the target was met."""
        medians = {side: statistics.median(times) for side, times in self.times.items() if times}
        ratio = medians["npm"] / medians["ours"]
        floor = medians.get("floor")
        verdict = "" if self.target is None else "met" if ratio >= self.target else "missed"
        return [
            self.what,
            *(f"{medians[side]:.0f}" if side in medians else "" for side in SIDES),
            f"{ratio:.1f}",
            f"≥ {self.target:g}" if self.target else "",
            verdict,
            f"{medians['ours'] / floor:.2f}" if floor else "",
        ]


class Pages:
    """Opens pages: of visitors who have everything in their cache, and of new ones."""

    def __init__(self, browser: Browser, origin: str) -> None:
        self._browser = browser
        self._origin = origin
        self._returning = browser.new_context()

    def warm(self, records: Records) -> None:
        """Fill the cache of the returning visitor, for every side."""
        for side in SIDES:
            with self.returning() as page:
                page.evaluate(_call("warm"), [side, records, "/image.jpg"])

    @contextlib.contextmanager
    def returning(self) -> Iterator[Page]:
        """Open a page in the browser of a returning visitor, whose cache is full."""
        page = self._returning.new_page()
        page.goto(self._origin)
        yield page
        page.close()

    @contextlib.contextmanager
    def new(self, origin: str | None = None) -> Iterator[Page]:
        """Open a page in the browser of a new visitor, whose cache is empty."""
        context = self._browser.new_context()
        page = context.new_page()
        page.goto(origin or self._origin)
        # Load the modules and connect first: only the pictures are timed.
        page.evaluate("() => Promise.all([import('/npm.js'), import('/static/pixstore/index.js')])")
        yield page
        context.close()


@dataclass
class LongTasks:
    """Tasks of the main thread over 50 ms while 100 thumbnails were shown, by side; one list a round."""

    rounds: dict[str, list[list[float]]] = field(default_factory=lambda: {"ours": [], "npm": []})

    def words(self) -> str:
        """Return one line for the table's foot."""
        parts = []
        for side, rounds in self.rounds.items():
            durations = [duration for tasks in rounds for duration in tasks]
            longest = f", longest {max(durations):.0f} ms" if durations else ""
            parts.append(f"{side} {len(durations)} in {len(rounds)} rounds{longest}")
        return "; ".join(parts)


def measure(browser: Browser, directory: Path, rounds: int, only: str) -> tuple[list[Row], LongTasks]:
    """Return one row for everything that is compared and has *only* in its name."""
    with contextlib.ExitStack() as stack:
        environment = _prepare(directory)
        store = stack.enter_context(contextlib.closing(ImageStore.open(Config.from_env(environment))))
        port = stack.enter_context(_gunicorn(environment))
        far_port = stack.enter_context(delayed(port, ROUND_TRIP))
        near, far = f"http://127.0.0.1:{port}/", f"http://127.0.0.1:{far_port}/"
        thumbnails = _saved(store, sample_images.jpeg(320, 240, 10_000), 100)
        middle = _saved(store, (directory / "image.jpg").read_bytes(), 100)
        large = _saved(store, sample_images.jpeg(4000, 3000, 2_000_000), 20)
        pages = Pages(browser, near)
        pages.warm(middle)
        long_tasks = LongTasks()

        def warm(function: str, *, read: bool) -> Measure:
            def run(side: str) -> float:
                with pages.returning() as page:
                    return _timed(page, function, side, middle, read)

            return run

        def cold(records: Records, origin: str) -> Measure:
            def run(side: str) -> float | None:
                if side == "floor":
                    return None
                with pages.new(origin) as page:
                    return _timed(page, "atOnce", side, records, read=True)

            return run

        def shown(side: str) -> float | None:
            if side == "floor":
                return None
            with pages.new() as page:
                answer = page.evaluate(_call("showAll"), [side, thumbnails])
            long_tasks.rounds[side].append(answer["longTasks"])
            return float(answer["ms"])

        rows = [
            Row("warm, one after the other, 100 × 200 KB", 4, warm("sequential", read=True)),
            Row("  the same, Blob not read", None, warm("sequential", read=False)),
            Row("warm, all at once, 100 × 200 KB", 3, warm("atOnce", read=True)),
            Row("  the same, Blob not read", None, warm("atOnce", read=False)),
            Row("cold, all at once, 100 × 10 KB, loopback", 3, cold(thumbnails, near)),
            Row("cold, all at once, 100 × 10 KB, 50 ms away", 5, cold(thumbnails, far)),
            Row("cold, all at once, 20 × 2 MB, loopback", 1.2, cold(large, near)),
            Row("cold, 100 × 10 KB shown in the page", None, shown),
        ]
        rows = [row for row in rows if only in row.what]
        for number in range(-1, rounds):  # the round before the first warms everything up and is thrown away
            for row in rows:
                row.run(backwards=number % 2 == 1, counts=number >= 0)
            _say(f"round {number + 1} of {rounds}")
    return rows, long_tasks


def _call(function: str) -> str:
    return f"async (given) => (await import('/sides.js')).{function}(...given)"


def _timed(page: Page, function: str, side: str, records: Records, read: bool) -> float:
    answer = page.evaluate(_call(function), [side, records, read])
    expected = sum(record["size"] for record in records)
    if answer["bytes"] != expected:
        raise SystemExit(f"bench: {side} brought {answer['bytes']} bytes instead of {expected}")
    return float(answer["ms"])


def _prepare(directory: Path) -> dict[str, str]:
    """Write what the site needs and return the environment of its server."""
    bundle = directory / "npm.js"
    subprocess.run(
        [
            str(ROOT / "node_modules/.bin/esbuild"),
            str(ROOT / "node_modules/pixstore/frontend/index.js"),
            "--bundle",
            "--format=esm",
            "--define:process.env.NODE_ENV='production'",
            f"--outfile={bundle}",
            "--log-level=error",
        ],
        check=True,
    )
    (directory / "image.jpg").write_bytes(sample_images.jpeg(1600, 1200, 200_000))
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PIXSTORE_")}
    return ours | {
        "PIXSTORE_DATA_DIR": str(directory / "data"),
        "PIXSTORE_MASTER_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "PIXSTORE_STATELESS_KEY_WINDOW_LENGTH": "-1",
        "BENCH_FRONTEND": str(bundle),
        "PYTHONPATH": f"{ROOT}:{HERE}",
    }


def _saved(store: ImageStore, data: bytes, count: int) -> Records:
    return [store.save(data).to_json() | {"size": len(data)} for _ in range(count)]


@contextlib.contextmanager
def _gunicorn(environment: dict[str, str]) -> Iterator[int]:
    """Serve as `make run` does, without the access log, and say on which port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--log-level", "warning", "bench_site:application"],
        cwd=ROOT,
        env=environment | {"HOST": "127.0.0.1", "PORT": str(port), "ACCESS_LOG": ""},
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, server)
        yield port
    finally:
        server.terminate()
        server.wait(timeout=70)


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/")
            connection.getresponse().read()
            connection.close()
            return
        time.sleep(0.1)
    raise SystemExit("bench: gunicorn did not come up")


def show(rows: list[Row], long_tasks: LongTasks, browser_version: str) -> None:
    """Print the table and what to know when reading it."""
    head = ["what", "ours, ms", "npm, ms", "floor, ms", "npm ÷ ours", "target", "", "ours ÷ floor"]
    table = [head, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(head))]
    for line in table:
        cells = zip(line, widths, strict=True)
        print(
            "  ".join(cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in enumerate(cells))
        )
    package = json.loads((ROOT / "node_modules/pixstore/package.json").read_text())
    print(
        f"\nMain thread blocked longer than 50 ms while 100 thumbnails load, and for 300 ms after: {long_tasks.words()}. "
        f"Target: ours never.\n"
        f"Medians of {len(rows[0].times['ours'])} rounds, until the bytes of every picture are in the page's memory, "
        f"but where it says otherwise. npm is pixstore {package['version']}.\n"
        f"Floor: one IndexedDB get for each image. Chromium {browser_version}, {os.cpu_count()} CPUs, "
        f"{platform.system()} {platform.machine()}."
    )


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text}", end="", file=sys.stderr, flush=True)


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        prog="make bench-browser", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds (default: %(default)s)")
    parser.add_argument("--only", default="", metavar="WORDS", help="rows with these words, such as 'warm'")
    arguments = parser.parse_args()
    path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    with (
        tempfile.TemporaryDirectory(prefix="tmp-", dir=HERE.parent) as directory,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=path, args=["--no-sandbox"]) as browser,
    ):
        rows, long_tasks = measure(browser, Path(directory), arguments.rounds, arguments.only)
        version = browser.version
    _say("")
    if not rows:
        parser.error(f"no row has {arguments.only!r} in its name")
    show(rows, long_tasks, version)


if __name__ == "__main__":
    main()
