"""
Gunicorn is told to exchange its workers (HUP) again and again while clients use it, and then to stop (TERM).

    HUP    no request fails, and proofs from before are good afterwards
    TERM   what is being sent is taken and acknowledged; whatever was acknowledged is there at the next start

A kept connection that the server closes while nobody asks anything is no failure: a reading request that runs into that is
sent again, as browsers do, and counted. A form is never sent twice.

    python -m tests.torture.programs.reload_and_stop '{"rounds": 5, "clients": 12}'
"""

import http.client
import signal
import socket
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

from tests.eventually import eventually
from tests.gallery_client import File, GalleryClient, Refused, Shown, forms
from tests.gallery_client.transports import SECONDS
from tests.gallery_server import GalleryServer
from tests.labelled import label_of, labelled
from tests.torture.tools import seeded_gallery
from tests.torture.tools.crowd import Crowd
from tests.torture.tools.outcomes import Outcome, main

SLOW_UPLOADS = 6
"""Fewer than one worker has threads, so that all are being read when the server is told to stop."""

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

PAUSE = 0.3
"""How long clients work between one exchange of workers and the next, and before the stop."""


def run(
    rounds: int = 3,
    clients: int = 12,
    seed: str | None = None,
    directory: str | None = None,
) -> Outcome:
    """Exchange the workers under *clients* so many times, then stop them."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory(dir=directory) as place:
        server = seeded_gallery.start(Path(place), seed)
        try:
            with GalleryClient(server.port).sets_up(server.setup_path(), "owner") as owner:
                crowd = Crowd(owner, clients)
                outcome.anomalies += _reload(server, owner, crowd, rounds)
                outcome.figures["sent again"] = crowd.repeated
                outcome.anomalies += _stop(server, owner, crowd, outcome)
                outcome.anomalies += crowd.judge()
        finally:
            server.stop()
        outcome.anomalies += seeded_gallery.aftermath(server)
    outcome.amount = len(crowd.operations)
    outcome.words = (
        f"{rounds} HUP and 1 TERM under {clients} clients, {outcome.amount} operations, "
        f"{crowd.acknowledged} changes acknowledged"
    )
    return outcome


def _reload(server: GalleryServer, owner: GalleryClient, crowd: Crowd, rounds: int) -> list[str]:
    """Exchange the workers and return every request that failed, and every proof that became void."""
    owner.uploads(("kept.png", labelled("kept")))
    void = 0
    with crowd.at_work():
        for _ in range(rounds):
            (card,) = owner.pictures()
            before = [card.thumbnail, owner.opens(card.picture_id)]
            time.sleep(PAUSE)
            _exchange_workers(server)
            void += sum(not _is_shown(owner, image) for image in before)
    failed = [f"not answered: {error}" for error in crowd.broken]
    return failed + [f"{void} proofs void after a reload"] * bool(void)


def _exchange_workers(server: GalleryServer) -> None:
    old = set(server.workers())
    server.signal(signal.SIGHUP)
    eventually(lambda: not old & set(server.workers()) and len(server.workers()) == len(old), 60)


def _is_shown(owner: GalleryClient, image: Shown) -> bool:
    try:
        return owner.sees(image) is not None
    except Refused:
        return False


def _stop(server: GalleryServer, owner: GalleryClient, crowd: Crowd, outcome: Outcome) -> list[str]:
    """Stop the server while all clients upload, start it again, and return the lost pictures."""
    labels = [f"slow {number}" for number in range(SLOW_UPLOADS)]
    slow = [_SlowUpload(owner, label) for label in labels]
    with crowd.at_work(), socket.create_connection(("127.0.0.1", server.port), SECONDS) as idle:
        time.sleep(PAUSE)
        idle.sendall(HEALTH)
        assert idle.recv(4096).startswith(b"HTTP/1.1 200")
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        while idle.recv(4096):  # closed soon by workers that have been told to stop
            pass
        statuses = [upload.goes_on() for upload in slow]
        stopping.join()
    # A form goes out right behind its page, on a connection that the server holds open for it.
    lost = [f"broken on a kept connection: {e}" for e in crowd.broken if e.was_kept]
    outcome.figures |= {"slow uploads": len(slow), "turned away": len(crowd.broken)}
    server.start()
    owner.leaves()
    shown = owner.sees_all([owner.opens(card.picture_id) for card in owner.pictures()])
    there = {label_of(seen.data) for seen in shown if seen is not None}
    lost += [
        f"{label}: answered {answered}, {'there' if label in there else 'not there'}"
        for label, answered in zip(labels, statuses, strict=True)
        if answered != (303, 200) or label not in there
    ]
    return lost


class _SlowUpload:
    """An upload of which one half has been sent, to a server that has begun to read it."""

    def __init__(self, client: GalleryClient, label: str) -> None:
        fields = [("csrf_token", client.opens_form("/upload"))]
        body = forms.multipart(fields, [File(f"{label}.png", labelled(label))])
        head = (
            f"POST /upload HTTP/1.1\r\nHost: localhost\r\nCookie: {client.cookie_header}\r\nExpect: 100-continue\r\n"
            f"Content-Type: {forms.MULTIPART}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._rest = body[len(body) // 2 :]
        self._socket = socket.create_connection(("127.0.0.1", client.transport.port), timeout=SECONDS)
        self._socket.sendall(head.encode())
        # A worker's thread says this when it turns to the request.
        assert self._socket.recv(1024).startswith(b"HTTP/1.1 100")
        self._socket.sendall(body[: len(body) // 2])

    def goes_on(self) -> tuple[int, int]:
        """Send the rest and then one more request; return the status of each answer, or 0 if there was none."""
        with self._socket:
            # The connection stays: the answer was begun, and says so, before the server was told to stop.
            return self._asks(self._rest), self._asks(HEALTH)

    def _asks(self, sent: bytes) -> int:
        try:
            self._socket.sendall(sent)
            with closing(http.client.HTTPResponse(self._socket)) as answer:
                answer.begin()
                answer.read()
                return answer.status
        except (OSError, http.client.HTTPException):
            return 0


if __name__ == "__main__":
    main(run)
