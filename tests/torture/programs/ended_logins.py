"""
Logins at a real gunicorn, many at once, while the password is changed, reset, or the account is disabled.

Each turn makes an account. Several browsers log in with its password, again and again, some of them before and some while one
of the changes is made. When all are answered, no login by the old password may be alive, and a disabled account that is let in
again has none of those before. After "end the others" no other login is alive that was answered before.

    python -m tests.torture.programs.ended_logins '{"seconds": 30}'
"""

import random
import sqlite3
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from tests.gallery_client import PASSWORD, GalleryClient, NoAnswer, Refused
from tests.gallery_client.forms import URLENCODED, urlencoded
from tests.gallery_server import GalleryServer
from tests.torture.tools import seeded_gallery
from tests.torture.tools.outcomes import Outcome, main

BROWSERS = 4
"""At once: so few that their attempts are never too many for the account."""

NEW = "another good phrase"
ANSWERS = (303, 422, 429)
"""A login is made, refused, or comes too early."""


def run(
    seconds: float = 30, workers: int = 3, seed: str | None = None, directory: str | None = None
) -> Outcome:
    """Make accounts and change their passwords, turn by turn, for so many *seconds*."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory(dir=directory) as place:
        server = seeded_gallery.start(
            Path(place), seed, WEB_CONCURRENCY=str(workers), PIXSTORE_PROXY_HOPS="1"
        )
        try:
            trial = _Trial(server)
            outcome.anomalies = trial.run(seconds)
        finally:
            server.stop()
        outcome.anomalies += seeded_gallery.aftermath(server)
    outcome.amount = trial.logins
    outcome.words = f"{trial.turns} accounts, {trial.logins} logins, {trial.overtaken} overtaken by a change, {workers} workers"
    outcome.figures = dict(trial.changes)
    return outcome


class _Login(NamedTuple):
    """A login that was made, and when it was answered."""

    browser: GalleryClient
    answered_at: float


class _Trial:
    def __init__(self, server: GalleryServer) -> None:
        self.turns = self.logins = self.overtaken = 0
        self.changes: Counter[str] = Counter()
        self._port, self._chance = server.port, random.Random(0)
        self._database = server.data_dir / "pixstore.sqlite"
        self._owner = GalleryClient(server.port).sets_up(server.setup_path(), "owner")
        self._anomalies: list[str] = []
        self._kinds: dict[str, Callable[[str, GalleryClient], None]] = {
            "changed": self._change,
            "reset": self._reset,
            "disabled": self._disable,
            "others ended": self._end_others,
        }

    def run(self, seconds: float) -> list[str]:
        """Return what was wrong in the turns of so many *seconds*."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            kind = list(self._kinds)[self.turns % len(self._kinds)]
            self._turn(f"account-{self.turns}", kind)
            self.turns += 1
            self.changes[kind] += 1
        self._owner.leaves()
        return self._anomalies

    def _turn(self, name: str, kind: str) -> None:
        """Let browsers log in to a new account while one change is made; look at every login after it."""
        self._owner.makes_account(name)
        person = GalleryClient(self._port)
        _expect(self._log_in(person, name), 303)
        changed = threading.Event()
        with ThreadPoolExecutor(BROWSERS) as pool:
            logins = [pool.submit(self._log_in_until, name, changed) for _ in range(BROWSERS)]
            time.sleep(self._chance.uniform(0, 0.25))
            begun_at = time.monotonic()
            try:
                self._kinds[kind](name, person)
            except (Refused, NoAnswer) as error:
                self._anomalies.append(f"{kind}: {error}")
            finally:
                changed.set()
        made = [login for future in logins for login in future.result()]
        self.logins += len(made)
        self.overtaken += sum(login.answered_at > begun_at for login in made)
        if kind == "disabled":
            self._owner.post(f"/users/{self._user_id(name)}/enable")
        for login in made:
            must_be_over = kind != "others ended" or login.answered_at < begun_at
            if must_be_over and login.browser.get("/").status_code == 200:
                self._anomalies.append(f"{kind}: a login by the old password is alive")
            login.browser.leaves()
        if kind in ("changed", "others ended") and person.get("/").status_code != 200:
            self._anomalies.append(f"{kind}: the browser that did it is logged out")
        person.leaves()

    def _log_in_until(self, name: str, changed: threading.Event) -> list[_Login]:
        """Log in with the old password, each time in a new browser, until the change is made; return what came of it."""
        made = []
        while not changed.is_set():
            browser = GalleryClient(self._port)
            status = self._log_in(browser, name)
            if status == 303:
                made.append(_Login(browser, time.monotonic()))
            elif status not in ANSWERS:
                self._anomalies.append(f"a login was answered with {status}")
        return made

    def _log_in(self, browser: GalleryClient, name: str) -> int:
        """Log in with the old password, from a network that every account has of its own; return the status."""
        number = self.turns + 256
        headers = {"Content-Type": URLENCODED, "X-Forwarded-For": f"10.{number // 256}.{number % 256}.1"}
        form = {"csrf_token": browser.token(), "name": name, "password": PASSWORD}
        return browser.ask("POST", "/login", urlencoded(form), headers).status_code

    # --- what ends logins

    def _change(self, _name: str, person: GalleryClient) -> None:
        form = {"current": PASSWORD, "password": NEW, "repeated": NEW}
        _expect(person.post("/account/password", form).status_code, 303)

    def _reset(self, name: str, _person: GalleryClient) -> None:
        form = {"password": NEW, "repeated": NEW}
        _expect(self._owner.post(f"/users/{self._user_id(name)}/password", form).status_code, 200)

    def _disable(self, name: str, _person: GalleryClient) -> None:
        _expect(self._owner.post(f"/users/{self._user_id(name)}/disable").status_code, 200)

    def _end_others(self, _name: str, person: GalleryClient) -> None:
        _expect(person.post("/account/sessions/end").status_code, 303)

    def _user_id(self, name: str) -> str:
        with closing(sqlite3.connect(self._database)) as database:
            query = database.execute("SELECT id FROM gallery_user WHERE name = ?", (name,))
            (user_id,) = query.fetchone()
        return str(user_id)


def _expect(status: int, hoped: int) -> None:
    if status != hoped:
        raise NoAnswer(f"answered with {status}")


if __name__ == "__main__":
    main(run)
