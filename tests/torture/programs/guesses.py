"""
Guesses at passwords, in every spelling of a name, from many addresses, at once in many threads and processes.

First without a server, by a clock that jumps: bursts of guesses, and how many of them may have been let through is worked out
again from the limits as docs/threat-model.md has them. Then at a real gunicorn, where the person whose password is guessed logs in
all the time, in a browser that has done so before, and is never made to wait.

    python -m tests.torture.programs.guesses '{"bursts": 50, "seconds": 10}'
"""

import ipaddress
import json
import os
import random
import tempfile
import threading
import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from pixstore.gallery import Gallery, throttle
from pixstore.gallery.errors import TooManyAttempts
from tests.clock import START
from tests.gallery_client import PASSWORD, GalleryClient, Refused
from tests.gallery_client.forms import URLENCODED, urlencoded
from tests.torture.tools import seeded_gallery
from tests.torture.tools.outcomes import Outcome, main
from tests.torture.tools.stores import quiet_store

PROCESSES, THREADS, GUESSES = 3, 4, 6
"""In a burst: so many processes, threads of each, and guesses of each thread."""

SECOND, MINUTE, HOUR = 1000, 60_000, 60 * 60_000
PAUSES = (200, SECOND, 3 * SECOND, 30 * SECOND, 10 * MINUTE, 61 * MINUTE)
NAMES = ("anna", "müller", "finn", "straße")
LIGATURES = {"fi": "\ufb01", "ß": "\u1e9e"}
GUESSERS = 6
WRONG, LET_IN, TOO_EARLY = 422, 303, 429


class Limit(NamedTuple):
    """So many guesses are free, then the wait doubles from a second to *longest* (ms)."""

    free: int
    longest: int

    def wait_after(self, count: int) -> int:
        """Return the wait (ms) after *count* guesses."""
        return 0 if count < self.free else min(SECOND * 2 ** (count - self.free), self.longest)

    def most(self, seconds: float) -> int:
        """Return how many guesses can be let through within *seconds*."""
        count, waited = 0, 0
        while waited <= seconds * SECOND:
            count += 1
            waited += self.wait_after(count)
        return count


LIMITS = {"pair": Limit(5, 15 * MINUTE), "name": Limit(20, 30 * SECOND), "network": Limit(50, 15 * MINUTE)}


class Guess(NamedTuple):
    """A guess: when, at which account, however it was spelled, from which network, and whether it was let through."""

    at: int
    name: str
    network: str
    was_let: bool


def run(
    bursts: int = 50,
    seconds: float = 10,
    processes: int = PROCESSES,
    seed: str | None = None,
    directory: str | None = None,
) -> Outcome:
    """Guess in so many *bursts* by a clock of our own, then for so many *seconds* at a real server."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory(dir=directory) as place:
        guesses = _bursts(Path(place) / "alone", bursts, processes, seed)
        outcome.anomalies += _too_many(guesses)
        let = sum(guess.was_let for guess in guesses)
        outcome.amount = len(guesses)
        outcome.words = f"{bursts} bursts, {len(guesses)} guesses, {let} let through"
        if seconds:
            siege = _Siege(Path(place) / "served", seconds, seed)
            outcome.anomalies += siege.run()
            outcome.amount += sum(siege.answers.values())
            outcome.words += f"; {seconds:g} s at a server"
            outcome.figures = siege.figures()
    return outcome


# --- bursts, by a clock of our own


def _bursts(data: Path, bursts: int, processes: int, seed: str | None) -> list[Guess]:
    """Return the guesses of all bursts, in the order of time."""
    chance, now = random.Random(0), START
    data.mkdir()
    _gallery(data, now).store.close()
    found: list[Guess] = []
    for number in range(bursts):
        now += chance.choice(PAUSES)
        children = []
        for process in range(processes):
            readable, writable = os.pipe()
            child = os.fork()
            if child == 0:
                _guess_and_leave(data, now, f"{number}.{process}", writable, seed)
            os.close(writable)
            children.append((child, readable))
        for child, readable in children:
            with open(readable) as file:
                said = file.read()
            if os.waitpid(child, 0)[1]:
                raise RuntimeError("a process that guesses has failed")
            found += [Guess(now, *guess) for guess in json.loads(said)]
    return found


def _gallery(data: Path, now: int) -> Gallery:
    return Gallery.open(quiet_store(data, now=lambda: now))


def _guess_and_leave(data: Path, now: int, name: str, pipe: int, seed: str | None) -> None:
    """Be a process that guesses in several threads at once, and tells what came of it."""
    status = 1
    try:
        with seeded_gallery.SEEDS[seed]() if seed else closing(open(os.devnull)):
            gallery, begin = _gallery(data, now), threading.Barrier(THREADS)

            def guess(thread: int) -> list[tuple[str, str, bool]]:
                chance = random.Random(f"{name}.{thread}")
                begin.wait()
                with gallery.store.connected():
                    return [_guess(gallery, chance) for _ in range(GUESSES)]

            with ThreadPoolExecutor(THREADS) as pool:
                found = [guess for guesses in pool.map(guess, range(THREADS)) for guess in guesses]
        with open(pipe, "w") as file:
            file.write(json.dumps(found))
        status = 0
    finally:
        os._exit(status)


def _guess(gallery: Gallery, chance: random.Random) -> tuple[str, str, bool]:
    name = NAMES[min(int(chance.expovariate(1)), len(NAMES) - 1)]
    network, address = _address(chance)
    try:
        throttle.begin(gallery, spelled(name, chance), address)
    except TooManyAttempts:
        return name, network, False
    return name, network, True


def spelled(name: str, chance: random.Random) -> str:
    """Return *name* in one of the spellings by which an account is found."""
    for plain, ligature in LIGATURES.items():
        if chance.random() < 0.3:
            name = name.replace(plain, ligature)
    letters = [_letter(letter, chance) for letter in name]
    blanks = [chance.choice(("", "", " ", "\u2003", "\t")) for _ in range(2)]
    return blanks[0] + "".join(letters) + blanks[1]


def _letter(letter: str, chance: random.Random) -> str:
    ways: list[Callable[[str], str]] = [
        str.lower,
        lambda text: text.upper() if len(text.upper()) == 1 else text,
        lambda text: unicodedata.normalize("NFD", text),
        lambda text: chr(ord(text) + 0xFEE0) if text.isascii() else text,
        lambda text: chr(ord(text.upper()) + 0xFEE0) if text.isascii() else text,
    ]
    return chance.choice(ways)(letter)


def _address(chance: random.Random) -> tuple[str, str]:
    """Return a network, and an address in it: most come from a few networks."""
    number = min(int(chance.expovariate(0.2)), 250)
    if number % 3 == 0:
        host = ipaddress.IPv6Address((0x2001_0DB8 << 96) + (number << 64) + chance.getrandbits(64))
        return f"six {number}", str(host)
    address = f"10.0.0.{number}"
    return address, f"::ffff:{address}" if chance.random() < 0.3 else address


def _too_many(guesses: Iterable[Guess]) -> list[str]:
    """Return every guess that was let through although its account or network had no more."""
    times: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    found = []
    for guess in guesses:
        if not guess.was_let:
            continue
        for kind, subject in (
            ("pair", (guess.name, guess.network)),
            ("name", (guess.name,)),
            ("network", (guess.network,)),
        ):
            before = [at for at in times[kind, *subject] if at > guess.at - HOUR]
            wait = LIMITS[kind].wait_after(len(before))
            if before and guess.at < before[-1] + wait:
                found.append(f"{len(before) + 1} guesses by {kind} {subject!a}, the last too early")
            times[kind, *subject] = [*before, guess.at]
    return found


# --- a real server


class _Siege:
    """Somebody whose password is guessed by many, at a running gallery."""

    def __init__(self, place: Path, seconds: float, seed: str | None) -> None:
        self.answers: Counter[int] = Counter()
        self.logins = 0
        self._place, self._seconds, self._seed = place, seconds, seed
        self._let: Counter[tuple[str, str]] = Counter()
        self._anomalies: list[str] = []

    def run(self) -> list[str]:
        """Return what was wrong."""
        self._place.mkdir()
        server = seeded_gallery.start(self._place, self._seed, PIXSTORE_PROXY_HOPS="1")
        try:
            person = GalleryClient(server.port).sets_up(server.setup_path(), NAMES[1])
            person.logs_out()
            start, over = time.monotonic(), threading.Event()
            guessers = [
                threading.Thread(target=self._guess_until, args=(server.port, number, over))
                for number in range(GUESSERS)
            ]
            for guesser in guessers:
                guesser.start()
            self._log_in_for(person, start + self._seconds)
            over.set()
            for guesser in guessers:
                guesser.join()
            self._judge(time.monotonic() - start)
        finally:
            server.stop()
        return self._anomalies + seeded_gallery.aftermath(server)

    def figures(self) -> dict[str, int]:
        """Return how often the person was let in, how many guesses were let through, and how many refused."""
        wrong, early = self.answers[WRONG], self.answers[TOO_EARLY]
        return {"logins of the person": self.logins, "let through there": wrong, "refused there": early}

    def _guess_until(self, port: int, number: int, over: threading.Event) -> None:
        chance, guesser = random.Random(number), GalleryClient(port)
        token = guesser.token()
        while not over.is_set():
            address = f"192.0.2.{min(int(chance.expovariate(0.5)), 250)}"
            form = {"csrf_token": token, "name": spelled(NAMES[1], chance), "password": "a wrong password"}
            headers = {"Content-Type": URLENCODED, "X-Forwarded-For": address}
            status = guesser.ask("POST", "/login", urlencoded(form), headers).status_code
            self.answers[status] += 1
            self._let[NAMES[1], address] += status == WRONG
            if status not in (WRONG, TOO_EARLY):
                self._anomalies.append(f"a wrong password was answered with {status}")
        guesser.leaves()

    def _log_in_for(self, person: GalleryClient, end: float) -> None:
        while time.monotonic() < end:
            try:
                person.logs_in(NAMES[1], PASSWORD).logs_out()
                self.logins += 1
            except Refused as error:
                self._anomalies.append(f"the person was kept out: {error}")
                time.sleep(0.5)
        person.leaves()

    def _judge(self, seconds: float) -> None:
        of_name, let = LIMITS["name"].most(seconds), sum(self._let.values())
        if let > of_name:
            self._anomalies.append(
                f"{let} guesses at one account in {seconds:.0f} s, at most {of_name} may be"
            )
        of_pair = LIMITS["pair"].most(seconds)
        found = [f"{n} guesses from {address}" for (_, address), n in self._let.items() if n > of_pair]
        self._anomalies += found


if __name__ == "__main__":
    main(run)
