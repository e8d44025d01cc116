"""
Many people at once use a gallery as people do, for long; nothing fails, and the server needs no more than at the start.

Everybody uploads, browses, looks, replaces, renames, moves, deletes, makes and deletes albums, logs out and in. What is
shown is compared byte for byte with what was sent. Memory is that of gunicorn and all its workers (PSS: shared pages
count once), so are descriptors. Both are measured regularly and compared between the first and the last fifth of the
time after a warm-up, by their medians.

    python -m tests.torture.programs.mixed_load '{"seconds": 60, "clients": 32}'
"""

import os
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.gallery_client import GalleryClient
from tests.gallery_server import GalleryServer
from tests.images import photo
from tests.labelled import labelled
from tests.torture.tools import seeded_gallery
from tests.torture.tools.outcomes import Outcome, main
from tests.torture.tools.server_memory import memory_mb, processes_of

MOST_PICTURES = 20
SAMPLES = 60
MAX_NEW_DESCRIPTORS = 10
"""How much a median may differ: connections to clients and to the database come and go."""


def run(
    seconds: float = 6,
    clients: int = 32,
    threads: int = 8,
    warm_up: float = 0.1,
    growth: float = 0.1,
    seed: str | None = None,
    directory: str | None = None,
) -> Outcome:
    """
    Let *clients* use a gallery for so long; after *warm_up* of the time its memory may grow by *growth*.

    Each worker has so many *threads*: the fewer, the sooner each has needed all the memory it will ever need.
    """
    outcome = Outcome()
    with tempfile.TemporaryDirectory(dir=directory) as place:
        server = seeded_gallery.start(Path(place), seed, WEB_THREADS=str(threads))
        try:
            people = _people(server, clients)
            usage = _use(server, people, seconds, warm_up)
        finally:
            server.stop()
        outcome.anomalies += [error for person in people for error in person.errors]
        outcome.anomalies += usage.complaints(growth)
        outcome.anomalies += seeded_gallery.aftermath(server)
    outcome.amount = sum(person.done for person in people)
    outcome.words = f"{seconds / 60:.3g} minutes, {clients} clients, {outcome.amount} operations"
    outcome.figures = usage.figures()
    return outcome


class _Person:
    """A user who does everything that the gallery offers, and knows what it must show."""

    def __init__(self, port: int, name: str, photos: Sequence[bytes]) -> None:
        self.done = 0
        self.errors: list[str] = []
        self._client, self._name, self._photos = GalleryClient(port), name, photos
        self._chance = random.Random(name)
        self._pictures: dict[str, bytes] = {}
        self._verbs: dict[Callable[[], None], int] = {
            self._browse: 30,
            self._look: 30,
            self._upload: 12,
            self._replace: 6,
            self._delete: 6,
            self._rename: 3,
            self._visit_albums: 3,
            self._tidy: 3,
            self._log_in_again: 1,
        }

    def go_on_until(self, done: threading.Event) -> None:
        """Do one thing after another."""
        verbs, weights = list(self._verbs), list(self._verbs.values())
        self._client.logs_in(self._name)
        while not done.is_set():
            verb = self._chance.choices(verbs, weights)[0]
            try:
                verb()
                self.done += 1
            except Exception as error:  # noqa: BLE001 - every error is an anomaly
                self.errors.append(f"{self._name} {verb.__name__}: {type(error).__name__}: {error}")
        self._client.leaves()

    def _browse(self) -> None:
        cards = self._client.pictures()
        assert {card.picture_id for card in cards} == set(self._pictures), "another set of pictures"
        if cards:
            assert None not in self._client.sees_all([card.thumbnail for card in cards]), "no thumbnail"

    def _look(self) -> None:
        if self._pictures:
            picture_id, data = self._chance.choice(list(self._pictures.items()))
            seen = self._client.sees(self._client.opens(picture_id))
            assert seen is not None, "no picture"
            assert seen.data == data, "another picture"

    def _upload(self) -> None:
        files = [(f"{number}.jpg", self._image()) for number in range(self._chance.choice((1, 1, 3)))]
        added = self._client.uploads(*files)
        self._pictures |= {card.picture_id: image for card, (_, image) in zip(added, files, strict=True)}
        while len(self._pictures) > MOST_PICTURES:
            self._delete()

    def _replace(self) -> None:
        if self._pictures:
            picture_id, image = self._any(), self._image()
            self._client.replaces(picture_id, ("other.jpg", image))
            self._pictures[picture_id] = image

    def _delete(self) -> None:
        if self._pictures:
            picture_id = self._any()
            self._client.deletes(picture_id)
            del self._pictures[picture_id]

    def _rename(self) -> None:
        if self._pictures:
            self._client.renames(self._any(), f"Title {self._chance.random()}")

    def _visit_albums(self) -> None:
        (album,) = self._client.albums()
        cards, _ = self._client.browses(f"/albums/{album}")
        assert len(cards) == len(self._pictures), "another number of pictures"

    def _tidy(self) -> None:
        """Make an album, put a picture into it, and delete the album, but not the picture."""
        if not self._pictures:
            return
        self._client.makes_album(f"Album {self._chance.random()}")
        _, album = self._client.albums()  # the one that everybody has stands first
        self._client.moves(self._any(), album)
        self._client.deletes_album(album)

    def _log_in_again(self) -> None:
        self._client.logs_out()
        self._client.logs_in(self._name)

    def _any(self) -> str:
        return self._chance.choice(list(self._pictures))

    def _image(self) -> bytes:
        if self._chance.random() < 0.25:
            return self._chance.choice(self._photos)
        return labelled(f"{self._name} {self._chance.random()}", padding=self._chance.choice((0, 50_000)))


def _people(server: GalleryServer, count: int) -> list[_Person]:
    photos = [photo(width=1200, height=900, seed=seed) for seed in range(3)]
    with GalleryClient(server.port).sets_up(server.setup_path(), "owner") as owner:
        for number in range(count):
            owner.makes_account(f"person-{number}")
    return [_Person(server.port, f"person-{number}", photos) for number in range(count)]


def _use(server: GalleryServer, people: list[_Person], seconds: float, warm_up: float) -> "Usage":
    """Let *people* use the gallery, and measure it after *warm_up* of the time."""
    usage, done = Usage(), threading.Event()
    threads = [threading.Thread(target=person.go_on_until, args=(done,)) for person in people]
    for thread in threads:
        thread.start()
    time.sleep(seconds * warm_up)
    for _ in range(SAMPLES):
        time.sleep(seconds * (1 - warm_up) / SAMPLES)
        usage.measure(server)
    done.set()
    for thread in threads:
        thread.join()
    return usage


class Usage:
    """What gunicorn and its workers need, over time."""

    def __init__(self) -> None:
        self._memory: list[float] = []
        self._descriptors: list[int] = []

    def measure(self, server: GalleryServer) -> None:
        """Take one sample."""
        processes = processes_of(server)
        self._memory.append(memory_mb(server))
        self._descriptors.append(sum(len(os.listdir(f"/proc/{process}/fd")) for process in processes))

    def complaints(self, growth: float) -> list[str]:
        """Return what has grown more than it may."""
        found = []
        first, last = _first_and_last(self._memory)
        if last > first * (1 + growth):
            found.append(f"memory grew from {first:.1f} to {last:.1f} MB")
        first, last = _first_and_last(self._descriptors)
        if last > first + MAX_NEW_DESCRIPTORS:
            found.append(f"descriptors grew from {first:.0f} to {last:.0f}")
        return found

    def figures(self) -> dict[str, str]:
        """Return both at the beginning and the end, and the extremes in between."""
        return {
            name: f"{first:.0f} -> {last:.0f} (between {min(samples):.0f} and {max(samples):.0f})"
            for name, samples in (("MB", self._memory), ("descriptors", self._descriptors))
            for first, last in [_first_and_last(samples)]
        }


def _first_and_last(samples: Sequence[float]) -> tuple[float, float]:
    fifth = len(samples) // 5
    return statistics.median(samples[:fifth]), statistics.median(samples[-fifth:])


if __name__ == "__main__":
    main(run)
