"""
The HTTP client of the bench, one process for whichever server: raw sockets, kept alive, in one loop over epoll.

It checks the status of every answer and the first byte of its body, and lets the kernel drop the rest (MSG_TRUNC), so the client
costs little beside a server on the same machine. A connection sends its next request once it has the whole answer. The
servers' processor time and memory are read here, at both ends of the window that is counted.

    {"port", "connections", "seconds", "state", "requests": [text of a request, …], "processes": [pid, …]}     on stdin
        → {"count", "seconds", "p50", "p99", "processor", "client", "pss"}      times in s, memory in bytes
    with "page": {"first", "whole"}      all requests together are one page, loaded again and again; its first thumbnail
        has arrived after so many bytes of a body, and all its bodies have so many bytes at least
        → "p50", "p99" are those of a page, and "first" is the median time of the first thumbnail
"""

import json
import re
import select
import socket
import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from processes import processor_seconds, pss

WARM_UP = 0.2
STALLED = 30
HEAD_END = b"\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

_BUFFER = bytearray(1 << 20)
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


class Connection:
    """One connection; one answer at a time."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = bytearray()
        self._left: int | None = None
        self._body_begins = 0
        self.began = 0.0

    def send(self, request: bytes) -> None:
        """Send a request. The answer before it has been read."""
        self._read.clear()
        self._left, self._body_begins = None, 0
        self.began = time.perf_counter()
        self.socket.sendall(request)

    @property
    def body_size(self) -> int:
        """How much of a chunked body, or of the beginning of another one, has arrived."""
        return len(self._read) - self._body_begins if self._body_begins else 0

    def receive(self, state: int | None, least: int = 0) -> bool:
        """
        Take what has arrived; return whether the answer is whole.

        *state* is the first byte that its body must have. A chunked body has *least* bytes at least.
        """
        if self._left is not None:
            self._left -= self.socket.recv_into(_BUFFER, min(self._left, len(_BUFFER)), socket.MSG_TRUNC)
            return self._left == 0
        piece = self.socket.recv(65536)
        if not piece:
            raise SystemExit("bench: the server closed a connection")
        self._read += piece
        if not self._body_begins:
            self._body_begins = self._read.find(HEAD_END) + len(HEAD_END)
            if self._body_begins < len(HEAD_END):
                self._body_begins = 0
                return False
        if not self.body_size:
            return False
        length = _LENGTH.search(self._read, 0, self._body_begins)
        if not self._read.startswith(b"HTTP/1.1 200 ") or (
            length is not None and state is not None and self._read[self._body_begins] != state
        ):
            raise SystemExit(f"bench: an answer is {bytes(self._read[:400])!r}")
        if length is None:
            return self._read.endswith(LAST_CHUNK) and self.body_size >= least
        self._left = int(length[1]) - self.body_size
        return self._left == 0


@dataclass
class Window:
    """What is counted: from the end of the warm-up on."""

    processes: list[int]
    begins: float
    count: int = 0
    times: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)
    _open: tuple[float, float, float] | None = None

    def add(self, began: float, ended: float, first: float | None = None) -> None:
        """Count what began within the window."""
        if self._open is None and ended >= self.begins:
            self._open = (ended, processor_seconds(self.processes), time.process_time())
        elif self._open is not None:
            self.count += 1
            self.times.append(ended - began)
            if first is not None:
                self.firsts.append(first - began)

    def result(self) -> dict[str, Any]:
        """Return what came of it."""
        if self._open is None or not self.times:
            raise SystemExit("bench: not one answer in time")
        opened, processor, client = self._open
        ordered = sorted(self.times)
        return {
            "count": self.count,
            "seconds": time.perf_counter() - opened,
            "p50": statistics.median(ordered),
            "p99": ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)],
            "processor": processor_seconds(self.processes) - processor,
            "client": time.process_time() - client,
            "pss": sum(map(pss, self.processes)),
            "first": statistics.median(self.firsts) if self.firsts else None,
        }


def load(command: dict[str, Any]) -> dict[str, Any]:
    """Let every connection ask for one image after the other."""
    poll, connections = _connections(command)
    requests = [text.encode() for text in command["requests"]]
    start = time.perf_counter()
    window = Window(command["processes"], start + WARM_UP)
    number, state, end = 0, command["state"], start + WARM_UP + command["seconds"]
    for connection in connections.values():
        connection.send(requests[number % len(requests)])
        number += 1
    while time.perf_counter() < end:
        for descriptor, _ in poll.poll(1):
            connection = connections[descriptor]
            if connection.receive(state):
                window.add(connection.began, time.perf_counter())
                connection.send(requests[number % len(requests)])
                number += 1
    return window.result()


def load_pages(command: dict[str, Any]) -> dict[str, Any]:
    """Load a page again and again: all its requests, over the connections a browser would use."""
    poll, connections = _connections(command)
    requests = [text.encode() for text in command["requests"]]
    start = time.perf_counter()
    window = Window(command["processes"], start + WARM_UP)
    while time.perf_counter() < start + WARM_UP + command["seconds"]:
        window.add(*_load_page(poll, connections, requests, command))
    return window.result()


def _load_page(
    poll: select.epoll, connections: dict[int, Connection], requests: list[bytes], command: dict[str, Any]
) -> tuple[float, float, float]:
    """Return when the page began, when it was whole, and when its first thumbnail had arrived."""
    page, first = command["page"], None
    open_answers = min(len(connections), len(requests))
    left = requests[open_answers:]
    began = time.perf_counter()
    for connection, request in zip(connections.values(), requests[:open_answers], strict=False):
        connection.send(request)
    while open_answers:
        events = poll.poll(STALLED)
        if not events:
            raise SystemExit("bench: the server stopped in the middle of a page")
        for descriptor, _ in events:
            connection = connections[descriptor]
            is_whole = connection.receive(command["state"], page["whole"])
            if first is None and (is_whole or connection.body_size >= page["first"]):
                first = time.perf_counter()
            if not is_whole:
                continue
            if left:
                connection.send(left.pop(0))
            else:
                open_answers -= 1
    ended = time.perf_counter()
    return began, ended, first or ended


def _connections(command: dict[str, Any]) -> tuple[select.epoll, dict[int, Connection]]:
    poll = select.epoll()
    connections = {}
    for _ in range(command["connections"]):
        connection = Connection(command["port"])
        connections[connection.socket.fileno()] = connection
        poll.register(connection.socket, select.EPOLLIN)
    return poll, connections


def main() -> None:
    """Run one load and print what came of it."""
    command = json.load(sys.stdin)
    print(json.dumps(load_pages(command) if command.get("page") else load(command)))


if __name__ == "__main__":
    main()
