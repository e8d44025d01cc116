"""
Many large forms at once: the memory of the server stays within a bound, and whoever only looks is answered meanwhile.

Each client sends a form of photos. One that is sent away with 503 comes again after the time that it was told, as browsers do,
until it is taken in. Memory (PSS of gunicorn and all its workers) is sampled all the time; so are the answers to others, who ask
for a page without a session and for one with pictures.

    python -m tests.torture.programs.large_uploads '{"forms": 32, "form_mb": 250, "most_mb": 1000}'
"""

import http.client
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.gallery_client import HTMX, GalleryClient
from tests.gallery_server import GalleryServer
from tests.images import jpeg, png
from tests.torture.tools import seeded_gallery
from tests.torture.tools.outcomes import Outcome, main
from tests.torture.tools.server_memory import memory_mb

MB = 10**6
PIECE = 2**20
BOUNDARY = "----------------many-forms"
SAMPLE_SECONDS = 0.1
MOST_TRIES = 200


def run(
    forms: int = 8,
    form_mb: int = 60,
    file_mb: int = 30,
    most_mb: int = 380,
    most_seconds: float = 5,
    seed: str | None = None,
    directory: str | None = None,
) -> Outcome:
    """
    Send so many *forms* of *form_mb* at once, each of photos of *file_mb*.

    The server may have *most_mb* of memory, and an ordinary request may take *most_seconds*.
    """
    outcome = Outcome(amount=forms, words=f"{forms} forms of {form_mb} MB at once")
    with tempfile.TemporaryDirectory(dir=directory) as place:
        server = seeded_gallery.start(Path(place), seed, ACCESS_LOG="")
        try:
            scene = _Scene(server, _photo(file_mb), form_mb // file_mb)
            scene.play(forms)
            kept = len(server.blobs()) // 2 - 1
        finally:
            server.stop()
        outcome.anomalies += scene.errors + scene.complaints(most_mb, most_seconds)
        outcome.anomalies += seeded_gallery.aftermath(server) if not seed else []
    if kept != forms * (form_mb // file_mb):
        outcome.anomalies.append(f"{kept} pictures are there")
    outcome.figures = scene.figures()
    return outcome


def _photo(megabytes: int) -> bytes:
    """Return a photo of so many megabytes: a fifth is picture, the rest what phones put behind it."""
    photo = jpeg(size_kb=megabytes * 200)
    return photo + bytes(megabytes * MB - len(photo))


@dataclass
class _Scene:
    """The senders of forms, the clients that only look, and the memory of the server meanwhile."""

    server: GalleryServer
    photo: bytes
    files: int
    errors: list[str] = field(default_factory=list)
    sent_away: int = 0
    memory: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def play(self, forms: int) -> None:
        """Send all forms until each is accepted, while other clients open pages."""
        with GalleryClient(self.server.port).sets_up(self.server.setup_path(), "owner") as owner:
            owner.uploads(("sea.png", png()))
            token, cookie = owner.opens_form("/account"), owner.cookie_header
        done = threading.Event()
        watchers = [
            threading.Thread(target=self._watch_memory, args=(done,)),
            threading.Thread(target=self._look, args=(done, "/login", "")),
            threading.Thread(target=self._look, args=(done, "/", cookie)),
        ]
        senders = [threading.Thread(target=self._send, args=(token, cookie)) for _ in range(forms)]
        for thread in (*watchers, *senders):
            thread.start()
        for thread in senders:
            thread.join()
        done.set()
        for thread in watchers:
            thread.join()

    def complaints(self, most_mb: float, most_seconds: float) -> list[str]:
        """Return the measurements that exceed their limits."""
        found = []
        if max(self.memory) > most_mb:
            found.append(f"{max(self.memory):.0f} MB of memory, more than {most_mb}")
        if max(self.waits) > most_seconds:
            found.append(f"an ordinary request took {max(self.waits):.1f} s")
        return found

    def figures(self) -> dict[str, object]:
        """Return memory, how long others waited, and how often a form was sent away."""
        return {
            "MB before": round(self.memory[0]),
            "most MB": round(max(self.memory)),
            "ordinary requests": len(self.waits),
            "their median ms": round(1000 * statistics.median(self.waits)),
            "their slowest ms": round(1000 * max(self.waits)),
            "forms sent away for a while": self.sent_away,
        }

    def _watch_memory(self, done: threading.Event) -> None:
        while not done.is_set():
            self.memory.append(memory_mb(self.server))
            done.wait(SAMPLE_SECONDS)

    def _look(self, done: threading.Event, path: str, cookie: str) -> None:
        while not done.is_set():
            start = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
            try:
                connection.request("GET", path, headers={"Cookie": cookie})
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    self.errors.append(f"{path}: {answer.status}")
            except OSError as error:
                self.errors.append(f"{path}: {error!r}")
            finally:
                connection.close()
            self.waits.append(time.monotonic() - start)
            done.wait(SAMPLE_SECONDS)

    def _send(self, token: str, cookie: str) -> None:
        headers = {
            **HTMX,
            "Cookie": cookie,
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
            "Content-Length": str(sum(map(len, self._form(token)))),
        }
        for _ in range(MOST_TRIES):
            connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=600)
            try:
                connection.request("POST", "/upload", self._form(token), headers)
                answer = connection.getresponse()
                words = answer.read().decode()
            except OSError as error:
                self.errors.append(f"a form: {error!r}")
                return
            finally:
                connection.close()
            if answer.status != 503:
                if answer.status != 200 or words.count("Added to") != self.files:
                    self.errors.append(f"a form: {answer.status} {words[:300]}")
                return
            self.sent_away += 1
            if "busy with other uploads" not in words:
                self.errors.append(f"a form was sent away without a reason: {words[:300]}")
            time.sleep(int(answer.headers["Retry-After"]))
        self.errors.append(f"a form was sent away {MOST_TRIES} times")

    def _form(self, token: str) -> Iterator[bytes]:
        part = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name="
        yield f'{part}"csrf_token"\r\n\r\n{token}\r\n'.encode()
        for number in range(self.files):
            yield f'{part}"files"; filename="{number}.jpg"\r\n\r\n'.encode()
            for at in range(0, len(self.photo), PIECE):
                yield self.photo[at : at + PIECE]
            yield b"\r\n"
        yield f"--{BOUNDARY}--\r\n".encode()


if __name__ == "__main__":
    main(run)
