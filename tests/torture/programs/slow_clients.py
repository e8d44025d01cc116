"""
Three hundred clients that send a byte a second, and what they leave of the service for everybody else.

nginx as docs/deployment.md has it, word for word but for names, ports and folders, and gunicorn behind it. The rate of
ordinary requests is measured by turns without slow clients and with them. The fault to be found is to leave nginx out.

    python -m tests.torture.programs.slow_clients '{"seconds": 4}'
"""

import http.client
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.certificates import make_certificate
from tests.gallery_server import ROOT, GalleryServer
from tests.servers import free_port, wait_for_server
from tests.torture.tools.outcomes import Outcome, main

HOST = "photos.example.org"
READERS = 4
LEAST_PART = 0.8
PER_ADDRESS = 30
"""nginx lets an address have 32 connections, so the slow ones come from several."""

SLOW = {
    "headers": f"GET /login HTTP/1.1\r\nHost: {HOST}\r\nX-Slow: ".encode(),
    "bodies": f"POST /login HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    "Content-Length: 100000\r\n\r\n".encode(),
}


def available() -> bool:
    """Tell whether there is an nginx."""
    return _nginx() is not None


def run(
    seconds: float = 5, connections: int = 300, seed: str | None = None, directory: str | None = None
) -> Outcome:
    """Measure five times *seconds*: alone, with slow headers, alone, with slow bodies, alone."""
    outcome = Outcome(amount=connections, words=f"{connections} slow connections, {seconds:g} s each")
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=directory)))
        gallery = GalleryServer(
            place,
            PIXSTORE_TRUSTED_HOSTS=f"{HOST},127.0.0.1",
            PIXSTORE_PROXY_HOPS="0" if seed else "1",
            ACCESS_LOG="",
        )
        address = Address(gallery.start().port)
        stack.callback(gallery.stop)
        if seed is None:
            address = stack.enter_context(nginx(place, gallery.port))
        alone = [_rate(address, seconds, outcome, "alone")]
        part = {}
        for kind, beginning in SLOW.items():
            with slow_clients(address, beginning, connections):
                with_them = _rate(address, seconds, outcome, f"slow {kind}")
            alone.append(_rate(address, seconds, outcome, "alone again"))
            part[kind] = with_them / (sum(alone[-2:]) / 2)
    outcome.figures = {
        "requests a second": round(max(alone)),
        **{f"% with slow {kind}": round(100 * left) for kind, left in part.items()},
    }
    outcome.anomalies += [
        f"with slow {kind}, {left:.0%} of the requests" for kind, left in part.items() if left < LEAST_PART
    ]
    return outcome


@dataclass(frozen=True)
class Address:
    """Where the service is, and how it is spoken to."""

    port: int
    tls: ssl.SSLContext | None = None

    def connect(self, source: str = "127.0.0.1", wait: float = 10) -> socket.socket:
        """Return a connection from the address *source* of this machine."""
        plain = socket.create_connection(("127.0.0.1", self.port), wait, (source, 0))
        return plain if self.tls is None else self.tls.wrap_socket(plain, server_hostname=HOST)


# --- everybody else


def _rate(address: Address, seconds: float, outcome: Outcome, when: str) -> float:
    """Return how many requests a second are answered; one that is not is an anomaly."""
    until = time.monotonic() + seconds
    answered, errors = [0] * READERS, set[str]()

    def read(number: int) -> None:
        while time.monotonic() < until:
            try:
                answered[number] += _read_on(address, until)
            except OSError as error:
                errors.add(f"{when}: {type(error).__name__}: {error}")

    readers = [threading.Thread(target=read, args=(number,)) for number in range(READERS)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    outcome.anomalies += sorted(errors)
    return sum(answered) / seconds


def _read_on(address: Address, until: float) -> int:
    """Ask for the login page over one connection, over and over; return how often it came."""
    answered = 0
    with address.connect() as connection:
        while time.monotonic() < until:
            connection.sendall(f"GET /login HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            answer.read()
            if answer.status != 200:
                raise OSError(f"status {answer.status}")
            answered += 1
            if answer.will_close:
                break
    return answered


# --- the slow ones


@contextmanager
def slow_clients(address: Address, beginning: bytes, number: int) -> Iterator[None]:
    """Keep so many connections on each of which *beginning* is sent, and then a byte a second; closed ones come again."""
    done, ready = threading.Event(), threading.Event()
    held: list[socket.socket | None] = [None] * number

    def hold() -> None:
        while not done.is_set():
            for place, connection in enumerate(held):
                held[place] = _kept_slow(address, connection, place, beginning)
                if done.is_set():
                    break
            ready.set()
            done.wait(1)

    holder = threading.Thread(target=hold)
    holder.start()
    ready.wait(60)
    try:
        yield
    finally:
        done.set()
        holder.join()
        for connection in held:
            if connection is not None:
                connection.close()


def _kept_slow(
    address: Address, connection: socket.socket | None, place: int, beginning: bytes
) -> socket.socket | None:
    try:
        if connection is not None:
            connection.sendall(b"x")
            return connection
        connection = address.connect(f"127.0.1.{1 + place // PER_ADDRESS}", 2)
        connection.sendall(beginning)
        return connection
    except OSError:
        if connection is not None:
            connection.close()
        return None


# --- nginx


def _nginx() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def nginx(place: Path, upstream: int) -> Iterator[Address]:
    """Run nginx with the recipe of the documentation in front of the server on port *upstream*."""
    program = _nginx()
    assert program is not None
    port, (certificate, key) = free_port(), make_certificate(place, HOST)
    configuration = place / "nginx.conf"
    configuration.write_text(
        f"worker_processes auto;\ndaemon off;\nuser root;\npid {place}/nginx.pid;\nerror_log stderr crit;\n"
        "events { worker_connections 768; }\n"
        f"http {{\n{recipe(place, port, upstream, certificate, key)}\n}}\n"
    )
    process = subprocess.Popen([program, "-p", os.fspath(place), "-c", os.fspath(configuration)])
    tls = ssl.create_default_context(cafile=certificate)
    address = Address(port, tls)
    try:
        wait_for_server(process, lambda: _is_reached(address), "nginx")
        yield address
    finally:
        process.terminate()
        process.wait(30)


def recipe(place: Path, port: int, upstream: int, certificate: str, key: str) -> str:
    """Return the recipe with this machine's ports and folders in place of a real one's."""
    text = (ROOT / "docs" / "deployment.md").read_text()
    found = re.search(r"^```nginx\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert found is not None
    replaced = {
        r"unix:/run/pixstore\.sock": f"127.0.0.1:{upstream}",
        r"^\s*listen \[::\].*\n": "",
        r"listen 80\b": f"listen 127.0.0.1:{free_port()}",
        r"listen 443\b": f"listen 127.0.0.1:{port}",
        r"/etc/letsencrypt/\S+/fullchain\.pem": certificate,
        r"/etc/letsencrypt/\S+/privkey\.pem": key,
        r"/var/log/nginx": os.fspath(place),
        r"/var/lib/nginx/pixstore": os.fspath(place),
    }
    configuration = found[1]
    for pattern, word in replaced.items():
        configuration, times = re.subn(pattern, word, configuration, flags=re.MULTILINE)
        assert times, f"the recipe has no {pattern}"
    return configuration


def _is_reached(address: Address) -> bool:
    try:
        address.connect().close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main(run)
