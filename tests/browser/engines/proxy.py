"""
A proxy between an engine and the servers of a test. WebDriver without BiDi hears neither the console nor the network, and
cannot let a script run before a page's own; the proxy adds that to each page on its way, and passes all else on as it comes.
"""

import re
import select
import socket
from collections.abc import Callable
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Lock, Thread
from urllib.parse import urlsplit

from tests.browser.engines.tab import INSECURE_HOST

SCRIPT = "/engine/first.js"
HEAD_END = b"\r\n\r\n"


class Proxy(ThreadingTCPServer):
    """Listens on a free port of this machine. *scripts* run before all others in every page."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, scripts: list[str]) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.scripts = scripts
        self.statuses: dict[str, int] = {}
        self.on_request: Callable[[str], None] = lambda _: None
        self.lock = Lock()
        self.thread = Thread(target=lambda: self.serve_forever(poll_interval=0.05), daemon=True)
        self.thread.start()

    @property
    def address(self) -> str:
        """Where it listens, as WebDriver writes it."""
        return f"127.0.0.1:{self.server_address[1]}"

    def close(self) -> None:
        """Listen no longer."""
        self.shutdown()
        self.server_close()
        self.thread.join()


class Passing(StreamRequestHandler):
    """One request, and its answer."""

    server: Proxy

    def handle(self) -> None:
        """Pass one request on; each has a connection of its own."""
        head = b""
        while not head.endswith(HEAD_END):
            line = self.rfile.readline()
            if not line:
                return
            head += line
        _, url, _ = head.split(b" ", 2)
        target = urlsplit(url.decode())
        if target.path == SCRIPT:
            self._answer_script()
            return
        self.server.on_request(url.decode())
        path = target._replace(scheme="", netloc="").geturl() or "/"
        is_page = b"\r\naccept: text/html" in head.lower()
        head = _without(
            head, b"connection", b"proxy-connection", b"keep-alive", *[b"accept-encoding"] * is_page
        )
        head = head.replace(b" " + url + b" ", b" " + path.encode() + b" ", 1)
        head = head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        body = self.rfile.read(_length(head))
        host = "127.0.0.1" if target.hostname == INSECURE_HOST else target.hostname
        try:
            with socket.create_connection((host, target.port or 80)) as server:
                server.sendall(head + body)
                self._pass_on(server, url.decode(), is_page=is_page)
        except OSError:
            return  # either side has hung up, and so does this one

    def _pass_on(self, server: socket.socket, url: str, *, is_page: bool) -> None:
        begun = b""
        while True:
            ready, _, _ = select.select([server, self.connection], [], [])
            if self.connection in ready and not self.connection.recv(1):
                return
            if server not in ready:
                continue
            data = server.recv(65536)
            if not data:
                break
            if is_page or HEAD_END not in begun:
                begun += data
                if not is_page and HEAD_END in begun:
                    self.connection.sendall(_last_answer(begun))
            else:
                self.connection.sendall(data)
        if is_page and begun:
            self.server.statuses[url] = int(begun.split(b" ", 2)[1])
            self.connection.sendall(_with_script(_last_answer(begun)))

    def _answer_script(self) -> None:
        script = "\n".join(f"{{ {one} }}" for one in self.server.scripts).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/javascript\r\nContent-Length: {len(script)}\r\n"
        self.connection.sendall(
            f"{head}Cache-Control: no-store\r\nConnection: close\r\n\r\n".encode() + script
        )


def _length(head: bytes) -> int:
    found = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    return int(found[1]) if found else 0


def _without(head: bytes, *names: bytes) -> bytes:
    lines = head.split(b"\r\n")
    return b"\r\n".join(line for line in lines if line.partition(b":")[0].lower() not in names)


def _last_answer(answer: bytes) -> bytes:
    """Say that no other follows on this connection, or the browser may already be asking for one."""
    head, _, body = answer.partition(HEAD_END)
    return _without(head, b"connection", b"keep-alive") + b"\r\nConnection: close" + HEAD_END + body


def _with_script(answer: bytes) -> bytes:
    head, _, body = answer.partition(HEAD_END)
    if b"text/html" not in head.lower() or not body:
        return answer
    tag = f'<script src="{SCRIPT}"></script>'.encode()
    body = re.sub(
        rb"(<head[^>]*>|<!doctype html>)", lambda found: found[0] + tag, body, count=1, flags=re.IGNORECASE
    )
    head = _without(head, b"content-length", b"transfer-encoding")
    return head + f"\r\nContent-Length: {len(body)}".encode() + HEAD_END + body
