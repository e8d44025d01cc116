"""
Clients of a running gallery that do one thing after another and take down what they did: uploads, replacements, deletions, looks.

A picture is one register for ``history.check``: its original carries the label of the version. Pages do not tell the token
that a version got, so writes have none in the history; looking tells it.

A client has pictures of its own; some more are shared by all clients of an account, who replace them at the same time.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.gallery_client import Card, GalleryClient, NoAnswer, Refused, Seen, TurnedAway
from tests.labelled import label_of, labelled
from tests.torture.tools import history
from tests.torture.tools.history import NEVER, Operation

OWN_PICTURES = 8
SHARED_PICTURES = 2
SESSIONS = 4
"""How many clients are logged in to one account."""

UNTOLD = "a picture of which nobody was told"
PADDINGS = (0, 0, 5_000, 200_000)


@dataclass
class Account:
    """The accounts of several clients, and the pictures that all of them replace."""

    name: str
    shared: list[str] = field(default_factory=list)


class RecordedClient:
    """
    A client of the gallery whose operations are recorded.

    ``operations`` is its history, ``errors`` is whatever should not have happened, ``broken`` are the requests that got no
    answer.
    """

    def __init__(self, port: int, account: Account, name: str) -> None:
        self.gallery = GalleryClient(port)
        self.account = account
        self.operations: list[Operation] = []
        self.errors: list[str] = []
        self.broken: list[NoAnswer] = []
        self._name, self._chance, self._number = name, random.Random(name), 0
        self._own: list[str] = []
        self._seen: dict[str, Seen] = {}
        self._verbs: Sequence[Callable[[], None]] = (
            self.upload,
            self.replace,
            self.replace_shared,
            self.delete,
            self.look,
            self.look,
            self.look_at_shared,
            self.look_at_shared,
            self.browse,
        )

    def logs_in(self) -> "RecordedClient":
        """Log in and stay so."""
        self.gallery.logs_in(self.account.name)
        return self

    def go_on_until(self, done: threading.Event) -> None:
        """Do one operation after another. Stop if the server accepts no connection any more."""
        while not done.is_set():
            verb = self._chance.choice(self._verbs)
            try:
                verb()
            except NoAnswer as error:
                self.broken.append(error)
                if isinstance(error, TurnedAway):
                    break
            except Exception as error:  # noqa: BLE001 - every error is an anomaly
                self.errors.append(f"{self._name} {verb.__name__}: {type(error).__name__}: {error}")
        self.gallery.leaves()

    # --- operations

    def upload(self) -> str:
        """Add a picture."""
        label, file = self._file()
        start = time.monotonic()
        try:
            (card,) = self.gallery.uploads(file)
        except NoAnswer:
            self._note("write", UNTOLD, label, 0, start, NEVER)
            raise
        self._note("write", card.picture_id, label, None, start)
        self._own.append(card.picture_id)
        return card.picture_id

    def replace(self) -> None:
        """Replace one of its own pictures."""
        if self._own:
            self._replace(self._chance.choice(self._own))

    def replace_shared(self) -> None:
        """Replace a picture that others replace as well."""
        self._replace(self._chance.choice(self.account.shared))

    def delete(self) -> None:
        """Delete the oldest of its own pictures, if it has many."""
        if len(self._own) < OWN_PICTURES:
            return
        picture_id, start = self._own.pop(0), time.monotonic()
        self._seen.pop(picture_id, None)
        with self._unsure("delete", picture_id, None, start):
            self.gallery.deletes(picture_id)
        self._note("delete", picture_id, None, 0, start)

    def look(self) -> None:
        """Look at one of its own pictures."""
        if self._own:
            self.look_at(self._chance.choice(self._own))

    def look_at_shared(self) -> None:
        """Look at a picture that others replace."""
        self.look_at(self._chance.choice(self.account.shared))

    def look_at(self, picture_id: str) -> None:
        """Open a picture, often knowing the version before, and note what it shows."""
        start = time.monotonic()
        with self._absent(picture_id, start):
            shown = self.gallery.opens(picture_id)
            before = self._seen.get(picture_id) if self._chance.random() < 0.5 else None
            seen = self.gallery.sees(shown, before=before)
            if seen is None:
                self._note("read", picture_id, None, -1, start)
                return
            self._seen[picture_id] = seen
            self._note("read", picture_id, label_of(seen.data), seen.token, start)

    def browse(self) -> None:
        """Open a page of pictures and fetch all of its thumbnails at once."""
        cards, _ = self.gallery.browses()
        if cards:
            self.gallery.sees_all([card.thumbnail for card in cards])

    # --- parts of the above

    def _replace(self, picture_id: str) -> None:
        label, file = self._file()
        start = time.monotonic()
        with self._absent(picture_id, start), self._unsure("write", picture_id, label, start):
            self.gallery.replaces(picture_id, file)
            self._note("write", picture_id, label, None, start)

    def _file(self) -> tuple[str, tuple[str, bytes]]:
        self._number += 1
        label = f"{self._name}.{self._number}"
        return label, (f"{label}.png", labelled(label, padding=self._chance.choice(PADDINGS)))

    @contextmanager
    def _unsure(self, kind: Any, picture_id: str, label: str | None, start: float) -> Iterator[None]:
        """Note an operation whose outcome is unknown."""
        try:
            yield
        except NoAnswer:
            self._note(kind, picture_id, label, 0, start, NEVER)
            raise

    @contextmanager
    def _absent(self, picture_id: str, start: float) -> Iterator[None]:
        """Note that there is no such picture; whether that may be, the history says."""
        try:
            yield
        except Refused as error:
            if error.status != 404:
                raise
            self._note("read", picture_id, None, -1, start)

    def _note(
        self, kind: Any, picture_id: str, label: str | None, token: int | None, start: float, end: float = 0
    ) -> None:
        self.operations.append(Operation(kind, picture_id, label, token, start, end or time.monotonic()))


class Crowd:
    """Several clients at once, on accounts made for them, and the check of what they saw."""

    def __init__(self, owner: GalleryClient, count: int) -> None:
        self.accounts = [Account(f"account-{number}") for number in range(-(-count // SESSIONS))]
        self.clients = [
            RecordedClient(owner.transport.port, self.accounts[number // SESSIONS], f"c{number}")
            for number in range(count)
        ]
        for account in self.accounts:
            owner.makes_account(account.name)
        for number, client in enumerate(self.clients):
            client.logs_in()
            if number % SESSIONS == 0:
                # One client uploads them, but does not count them as its own, so no client deletes them.
                client.account.shared = [client.upload() for _ in range(SHARED_PICTURES)]
                client._own.clear()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Let the clients work while the block runs."""
        done = threading.Event()
        threads = [threading.Thread(target=client.go_on_until, args=(done,)) for client in self.clients]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            done.set()
            for thread in threads:
                thread.join()

    @property
    def operations(self) -> list[Operation]:
        """The history of all clients."""
        return [operation for client in self.clients for operation in client.operations]

    @property
    def acknowledged(self) -> int:
        """How many changes the server has confirmed."""
        return sum(o.kind != "read" and o.end != NEVER for o in self.operations)

    @property
    def broken(self) -> list[NoAnswer]:
        """The requests that were never answered."""
        return [error for client in self.clients for error in client.broken]

    @property
    def repeated(self) -> int:
        """How many reading requests were sent again, because the kept connection was closed."""
        return sum(client.gallery.transport.repeated for client in self.clients)

    def judge(self) -> list[str]:
        """Look at every picture there is and return all that should not be: errors, and what no register explains."""
        told = {o.image_id for o in self.operations} - {UNTOLD}
        untold = {o.label for o in self.operations if o.image_id == UNTOLD}
        found = [error for client in self.clients for error in client.errors]
        last: list[Operation] = []
        for account in self.accounts:
            witness = RecordedClient(self.clients[0].gallery.transport.port, account, "witness").logs_in()
            for card in witness.gallery.pictures():
                found += _complaints(witness, card)
            witness.gallery.leaves()
            last += witness.operations
        listed = {o.image_id for o in last}
        found += [
            f"shows {o.label!r}, which nobody uploaded"
            for o in last
            if o.image_id not in told and o.label not in untold
        ]
        now = time.monotonic()
        gone = [Operation("read", picture_id, None, -1, now, now) for picture_id in told - listed]
        seen = [o for o in [*self.operations, *last] if o.image_id in told]
        return found + history.check([*seen, *gone])


def _complaints(witness: RecordedClient, card: Card) -> list[str]:
    """Look at a picture and its thumbnail; return their faults."""
    try:
        witness.look_at(card.picture_id)
        return [] if witness.gallery.sees(card.thumbnail) else [f"{card.picture_id} has no thumbnail"]
    except Exception as error:  # noqa: BLE001 - every error is an anomaly
        return [f"{card.picture_id}: {type(error).__name__}: {error}"]
