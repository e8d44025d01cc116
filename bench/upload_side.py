"""
How many photos a second come in by the gallery's upload form.

    .venv/bin/python bench/upload_side.py                              # 4 uploads at once, 80 photos of 12 megapixels
    .venv/bin/python bench/upload_side.py --clients 8 --photos 200

A gallery is started as `make run` starts it, with a store of its own. Each client is logged in and sends one photo after the
other, each in a form of its own, over one connection. The clients' own work is next to nothing, but takes place on the same
machine. On one that does other things too, the processor time of the server for each photo is the steadier figure.
"""

import argparse
import contextlib
import http.client
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import sample_images
from processes import free_port, wait_until_it_answers

ROOT = Path(__file__).parents[1]
WIDTH, HEIGHT, SIZE = 4000, 3000, 3_500_000
NAME, PASSWORD = "anna", "a password for the bench"


class Client:
    """Somebody who is logged in, and uploads."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._cookies: dict[str, str] = {}
        self._token = ""
        form = {"name": NAME, "password": PASSWORD, "csrf_token": self._read_token("/login")}
        kind = "application/x-www-form-urlencoded"
        self._send("POST", "/login", urllib.parse.urlencode(form).encode(), kind)
        self._token = self._read_token("/upload")

    def upload(self, photo: bytes) -> None:
        """Send *photo* in a form."""
        boundary = secrets.token_hex(16)
        token = _part(boundary, 'name="csrf_token"') + self._token.encode()
        file = _part(boundary, 'name="files"; filename="photo.jpg"', "Content-Type: image/jpeg\r\n")
        body = token + b"\r\n" + file + photo + f"\r\n--{boundary}--\r\n".encode()
        status = self._send("POST", "/upload", body, f"multipart/form-data; boundary={boundary}")[0]
        if status != 303:
            raise SystemExit(f"an upload was answered with {status}")

    def _read_token(self, path: str) -> str:
        _, page = self._send("GET", path)
        found = re.search(rb'name="csrf_token" value="([^"]+)"', page)
        if found is None:
            raise SystemExit(f"no form at {path}")
        return found[1].decode()

    def _send(self, method: str, path: str, body: bytes = b"", kind: str = "") -> tuple[int, bytes]:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        if kind:
            headers["Content-Type"] = kind
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        for cookie in answer.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self._cookies[name] = value
        return answer.status, answer.read()


def main() -> None:
    """Print one line for each round."""
    parser = argparse.ArgumentParser(description="Time uploads by the form.")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--photos", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    photo = sample_images.jpeg(WIDTH, HEIGHT, SIZE)
    print(
        f"{options.photos} photos of {WIDTH} x {HEIGHT}, {len(photo) / 1e6:.1f} MB, {options.clients} at once"
    )
    with tempfile.TemporaryDirectory() as directory, _gallery(Path(directory)) as (port, process):
        clients = [Client(port) for _ in range(options.clients)]
        _round(clients, photo, 2 * options.clients, process)
        for _ in range(options.rounds):
            seconds, processor = _round(clients, photo, options.photos, process)
            print(
                f"{options.photos / seconds:6.1f} photos/s, {1000 * processor / options.photos:6.1f} ms of processor time each"
            )


def _round(clients: list[Client], photo: bytes, count: int, process: int) -> tuple[float, float]:
    """Let the clients upload *count* photos; return how long it took, and the processor time of the server."""
    started, used = time.perf_counter(), _processor_time(process)
    with ThreadPoolExecutor(len(clients)) as threads:
        shares = [count // len(clients) + (number < count % len(clients)) for number in range(len(clients))]
        list(threads.map(_upload_share, clients, [photo] * len(clients), shares))
    return time.perf_counter() - started, _processor_time(process) - used


def _upload_share(client: Client, photo: bytes, count: int) -> None:
    for _ in range(count):
        client.upload(photo)


def _part(boundary: str, disposition: str, headers: str = "") -> bytes:
    return f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n{headers}\r\n".encode()


def _processor_time(process: int) -> float:
    """Return the seconds that *process* and its children have worked."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    ticks = 0
    for pid in (str(process), *children):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def _gallery(data_dir: Path) -> Iterator[tuple[int, int]]:
    """Serve a gallery with one account; yield its port and its first process."""
    port = free_port()
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PIXSTORE_")}
    environment = ours | {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "ACCESS_LOG": "",
        "PIXSTORE_DATA_DIR": str(data_dir),
    }
    command = [sys.executable, "-m", "flask", "pixstore", "create-user", NAME, "--password-stdin"]
    subprocess.run(
        command, cwd=ROOT, env=environment, input=PASSWORD, text=True, check=True, capture_output=True
    )
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--log-level", "warning"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until_it_answers(port, "/healthz")
        yield port, server.pid
    finally:
        server.terminate()
        server.wait(timeout=60)


if __name__ == "__main__":
    main()
