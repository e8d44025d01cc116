"""
Time saving, reading and updating images here and with npm's `pixstore`, in one run: `make bench`.

Both sides run as child processes that answer the same commands (npm_side.mjs, python_side.py), one call at a time. The rounds
are interleaved, so that a slow moment of the machine meets everybody, and medians over all calls are shown.
"""

import argparse
import base64
import contextlib
import functools
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
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sample_images

HERE = Path(__file__).resolve().parent
ROUTE = "/pixstore-image"
SIZES = {"200 KB": (1600, 1200, 200_000), "2 MB": (4000, 3000, 2_000_000)}
CALLS = ("save", "read", "update")
HTTP = "read by HTTP"


class Side:
    """A child process that times calls of one library."""

    def __init__(self, command: list[str], directory: Path, port: int = 0) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        argument = json.dumps({"directory": str(directory), "port": port})
        self._process = subprocess.Popen(
            [*command, argument], env=_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, **command: object) -> dict[str, Any]:
        """Send one command and return the answer."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the child has no pipes")
        with contextlib.suppress(BrokenPipeError):  # a child that is gone answers nothing
            print(json.dumps(command), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"bench: {self._process.args!r} ended early")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Let the child end and wait for it."""
        with contextlib.suppress(BrokenPipeError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        self._process.wait(timeout=30)


class Endpoint:
    """One keep-alive connection that reads images of one server, current token in hand, so the answer is the sealed image."""

    def __init__(self, port: int, records: Side) -> None:
        self._records = records
        self._requests: dict[str, tuple[str, dict[str, str]]] = {}
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def read(self, file: str) -> float:
        """Return how many milliseconds one request took."""
        path, headers = self._request(file)
        start = time.perf_counter()
        self._connection.request("GET", path, headers=headers)
        payload = self._connection.getresponse().read()
        elapsed = (time.perf_counter() - start) * 1000
        if payload[:1] != b"\0":
            raise SystemExit(f"bench: {path} answered {payload[:100]!r}")
        return elapsed

    def _request(self, file: str) -> tuple[str, dict[str, str]]:
        if file not in self._requests:
            record = self._records.ask(do="record", file=file)
            headers = {"x-pixstore-proof": record["proof"], "x-pixstore-token": str(record["token"])}
            self._requests[file] = f"{ROUTE}/{quote(record['id'], safe='')}", headers
        return self._requests[file]

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


@dataclass
class Row:
    """One line of the table: the times of every call of one operation on one size, in milliseconds."""

    operation: str
    size: str
    ours: list[float] = field(default_factory=list)
    npm: list[float] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)

    def cells(self) -> list[str]:
        """Return the medians and their ratios; above 1 means that we are faster."""
        ours, npm = statistics.median(self.ours), statistics.median(self.npm)
        cells = [self.operation, self.size, f"{ours:.2f}", f"{npm:.2f}", f"{npm / ours:.2f}"]
        if not self.floor:
            return [*cells, "", ""]
        floor = statistics.median(self.floor)
        return [*cells, f"{floor:.2f}", f"{floor / ours:.2f}"]


def write_and_fsync(directory: Path, data: bytes) -> float:
    """Return how many milliseconds it takes to make *data* durable under a new name, and nothing more."""
    start = time.perf_counter()
    descriptor = os.open(directory / f"{time.monotonic_ns()}", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return (time.perf_counter() - start) * 1000


def measure(directory: Path, rounds: int, calls: int) -> list[Row]:
    """Return one row for every operation and size."""
    files = _write_images(directory)
    rows = {(operation, size): Row(operation, size) for operation in (*CALLS, HTTP) for size in SIZES}
    with contextlib.ExitStack() as stack:
        ours = _python_side(stack, directory / "python")
        npm = _npm_side(stack, directory / "npm")
        our_endpoint, npm_endpoint = _endpoints(stack, directory)
        floor = directory / "floor"
        floor.mkdir()
        for number in range(-1, rounds):  # the round before the first warms everything up and is thrown away
            for (operation, size), row in rows.items():
                file, count = files[size], calls if size == "200 KB" else max(1, calls // 4)
                if operation == HTTP:
                    times = (
                        [our_endpoint.read(file) for _ in range(count)],
                        [npm_endpoint.read(file) for _ in range(count)],
                    )
                else:
                    times = tuple(
                        side.ask(do=operation, file=file, count=count)["ms"] for side in (ours, npm)
                    )
                if number < 0:
                    continue
                row.ours += times[0]
                row.npm += times[1]
                if operation in ("save", "update"):
                    data = Path(file).read_bytes()
                    row.floor += [write_and_fsync(floor, data) for _ in range(count)]
            _say(f"round {number + 1} of {rounds}")
    return list(rows.values())


def _write_images(directory: Path) -> dict[str, str]:
    files = {}
    for name, shape in SIZES.items():
        file = directory / f"{shape[2]}.jpg"
        file.write_bytes(sample_images.jpeg(*shape))
        files[name] = str(file)
    return files


def _python_side(stack: contextlib.ExitStack, directory: Path) -> Side:
    side = Side([sys.executable, str(HERE / "python_side.py")], directory)
    stack.callback(side.close)
    return side


def _npm_side(stack: contextlib.ExitStack, directory: Path, port: int = 0) -> Side:
    side = Side(["node", str(HERE / "npm_side.mjs")], directory, port)
    stack.callback(side.close)
    return side


def _endpoints(stack: contextlib.ExitStack, directory: Path) -> tuple[Endpoint, Endpoint]:
    our_port, npm_port = _free_port(), _free_port()
    stack.enter_context(_gunicorn(directory / "served-python", our_port))
    ours = Endpoint(our_port, _python_side(stack, directory / "served-python"))
    npm = Endpoint(npm_port, _npm_side(stack, directory / "served-npm", npm_port))
    stack.callback(ours.close)
    stack.callback(npm.close)
    return ours, npm


@contextlib.contextmanager
def _gunicorn(directory: Path, port: int) -> Iterator[None]:
    """Serve *directory* as `make run` does, without the access log: the other server writes none."""
    environment = _environment() | {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "ACCESS_LOG": "",
        "PIXSTORE_DATA_DIR": str(directory),
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--log-level", "warning"],
        cwd=HERE.parent,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, server)
        yield
    finally:
        server.terminate()
        server.wait(timeout=30)


@functools.cache
def _environment() -> dict[str, str]:
    """Return the environment of all children: they find the library and share one master key."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PIXSTORE_")}
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    return ours | {"PYTHONPATH": str(HERE.parent), "PIXSTORE_MASTER_KEY": key}


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", ROUTE)
            connection.getresponse().read()
            connection.close()
            return
        time.sleep(0.1)
    raise SystemExit("bench: gunicorn did not come up")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def show(rows: list[Row]) -> None:
    """Print the table and what to know when reading it."""
    version = json.loads((HERE / "node_modules/pixstore/package.json").read_text())["version"]
    head = [
        "operation",
        "image",
        "here, ms",
        "npm, ms",
        "npm ÷ here",
        "write+fsync, ms",
        "write+fsync ÷ here",
    ]
    table = [head, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(head))]
    for line in table:
        print(
            "  ".join(
                cell.ljust(width) if i < 2 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
        )
    print(
        f"\nMedians of single calls, one caller; {len(rows[0].ours)} calls a row at 200 KB, {len(rows[-1].ours)} at 2 MB. "
        f"A ratio above 1 means that here is faster.\n"
        f"npm is pixstore {version}: its image files are written without fsync, so what it has acknowledged can be lost with the power.\n"
        f"Here an acknowledged image is durable: file, directory and database are synced; and its structure was checked first.\n"
        f"write+fsync is the least any durable store pays on this disk: the same bytes into one new file, nothing else.\n"
        f"Python {platform.python_version()}, {os.cpu_count()} CPUs, {platform.system()} {platform.machine()}."
    )


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text}", end="", file=sys.stderr, flush=True)


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10, help="interleaved rounds (default: %(default)s)")
    parser.add_argument(
        "--calls",
        type=int,
        default=20,
        help="calls a round at 200 KB; a quarter of that at 2 MB (default: %(default)s)",
    )
    parser.add_argument(
        "--directory",
        type=Path,
        default=HERE,
        help="where the stores lie while the bench runs: choose the disk to measure",
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tmp-", dir=arguments.directory) as directory:
        rows = measure(Path(directory), arguments.rounds, arguments.calls)
    _say("")
    show(rows)


if __name__ == "__main__":
    main()
