"""
Clients at a real gunicorn, one of whose workers is killed (SIGKILL) every second; what was acknowledged is there.

A request whose connection breaks was being worked on by the one who died: nobody was told anything, and either outcome is
right. An answer is never a 5xx, and nobody is turned away.

    python -m tests.torture.programs.kill_9_workers '{"seconds": 10, "clients": 8}'
"""

import os
import random
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tests.gallery_client import GalleryClient, TurnedAway
from tests.gallery_server import GalleryServer
from tests.torture.tools import seeded_gallery
from tests.torture.tools.crowd import Crowd
from tests.torture.tools.outcomes import Outcome, main

THREADS = 4


def run(
    seconds: float = 5,
    clients: int = 8,
    workers: int = 3,
    seed: str | None = None,
    directory: str | None = None,
) -> Outcome:
    """Let *clients* use a gallery of *workers* processes for so long, and kill one of these every second."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory(dir=directory) as place:
        server = seeded_gallery.start(
            Path(place), seed, WEB_CONCURRENCY=str(workers), WEB_THREADS=str(THREADS)
        )
        try:
            with GalleryClient(server.port).sets_up(server.setup_path(), "owner") as owner:
                crowd = Crowd(owner, clients)
            with crowd.at_work():
                kills = kill_workers(server, seconds)
            outcome.anomalies += crowd.judge()
        finally:
            server.stop()
        outcome.anomalies += [str(error) for error in crowd.broken if isinstance(error, TurnedAway)]
        outcome.anomalies += seeded_gallery.aftermath(server)
    outcome.amount = crowd.acknowledged
    outcome.words = (
        f"{kills} kills among {workers} workers, {clients} clients, {len(crowd.operations)} operations, "
        f"{crowd.acknowledged} changes acknowledged"
    )
    outcome.figures = {"requests broken": len(crowd.broken), "sent again": crowd.repeated}
    return outcome


def kill_workers(server: GalleryServer, seconds: float) -> int:
    """Kill a random worker every second, and return how many that were."""
    chance, end, killed = random.Random(0), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        time.sleep(1)
        with suppress(ProcessLookupError, IndexError):  # gone already, or not there yet
            os.kill(chance.choice(server.workers()), signal.SIGKILL)
            killed += 1
    return killed


if __name__ == "__main__":
    main(run)
