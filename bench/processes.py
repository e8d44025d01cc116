"""The programs that the bench starts: the sides behind their line protocol, the servers, and what the kernel says of them."""

import base64
import contextlib
import functools
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
ROUTE = "/pixstore-image"

_TICKS = os.sysconf("SC_CLK_TCK")


@functools.cache
def environment() -> dict[str, str]:
    """Return the environment of all children: they find the library and share one master key."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PIXSTORE_")}
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    return ours | {"PYTHONPATH": f"{ROOT}:{HERE}", "PIXSTORE_MASTER_KEY": key}


class Side:
    """A child process that speaks the protocol of `side_loop.py`."""

    def __init__(self, program: str, directory: Path, **options: object) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        runner = ["node"] if program.endswith(".mjs") else [sys.executable]
        argument = json.dumps({"directory": str(directory), **options})
        self._process = subprocess.Popen(
            [*runner, str(HERE / program), argument],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid

    def send(self, **command: object) -> None:
        """Send one command; ``answer`` waits for what comes of it."""
        if self._process.stdin is None:
            raise RuntimeError("the child has no pipe")
        with contextlib.suppress(BrokenPipeError):  # a child that is gone answers nothing
            print(json.dumps(command), file=self._process.stdin, flush=True)

    def answer(self) -> dict[str, Any]:
        """Return the answer to the last command."""
        line = "" if self._process.stdout is None else self._process.stdout.readline()
        if not line:
            raise SystemExit(f"bench: {self._process.args!r} ended early")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, **command: object) -> dict[str, Any]:
        """Send one command and return the answer."""
        self.send(**command)
        return self.answer()

    def close(self) -> None:
        """Let the child end and wait for it."""
        with contextlib.suppress(BrokenPipeError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        self._process.wait(timeout=60)


@contextlib.contextmanager
def side(program: str, directory: Path, **options: object) -> Iterator[Side]:
    """Run a side for the length of the block."""
    child = Side(program, directory, **options)
    try:
        yield child
    finally:
        child.close()


@contextlib.contextmanager
def gunicorn(
    directory: Path, *program: str, **variables: str
) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """
    Serve *directory* as `make run` does, or another *program* under the same settings; say on which port.

    The access log is off: the other server writes none. Nobody has waited yet for the server to come up.
    """
    port = free_port()
    settings = {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "ACCESS_LOG": "",
        "PIXSTORE_DATA_DIR": str(directory),
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--log-level", "warning", *program],
        cwd=ROOT,
        env=environment() | settings | variables,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield port, server
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=60)


def wait_until_it_answers(
    port: int, path: str = ROUTE, headers: dict[str, str] | None = None, seconds: float = 60
) -> bytes:
    """Return the body of the first answer of the server on *port*."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", path, headers=headers or {})
            body = connection.getresponse().read()
            connection.close()
            return body
        time.sleep(0.005)
    raise SystemExit("bench: a server did not come up")


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def with_children(pid: int) -> list[int]:
    """Return *pid* and the processes it has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def processor_seconds(pids: Sequence[int]) -> float:
    """Return the processor time, in user and system mode, that these processes have used so far."""
    ticks = 0
    for pid in pids:
        values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(values[11]) + int(values[12])
    return ticks / _TICKS


def pss(pid: int) -> int:
    """Return the memory of a process in bytes, what it shares divided by those who share it."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the kernel says nothing of the memory of a process")
