"""
A growing wait after wrong passwords. It never locks an account: the longest wait is 15 minutes.

Attempts are counted by account name and network together, by name, and by network; the wait is the longest of
the three. Names are counted as accounts are looked up, so every spelling of a name shares one count. An
attempt that comes too early is refused and not counted, so more attempts do not make the wait longer.

A browser that is logged in, or has logged in before (``devices``), is counted on its own. Guesses of others
do not lock its user out, and its own guesses are limited as strictly.

Attempts are counted in the database, so all workers and hosts agree. An attempt is recorded before its
password is checked, in the same transaction that counts: many attempts at once cannot slip through between
the two. Names and addresses are stored as keyed hashes, because people type passwords into the name field,
and addresses are private.
"""

import hmac
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from peewee import SqliteDatabase, fn

from pixstore.gallery import Gallery
from pixstore.gallery.accounts import normal_name
from pixstore.gallery.errors import TooManyAttempts
from pixstore.plausible_times import SLACK

SECOND, MINUTE = 1000, 60_000
WINDOW = 60 * MINUTE
"""For how long an attempt counts."""


class Limit(NamedTuple):
    """After *free* attempts the wait before the next is 1 s, then 2 s, 4 s, … up to *longest* ms."""

    free: int
    longest: int

    def wait_after(self, count: int) -> int:
        """Return how long (ms) to wait after *count* attempts."""
        return 0 if count < self.free else min(SECOND << min(count - self.free, 20), self.longest)


PAIR = Limit(5, 15 * MINUTE)
"""One account, from one network."""
NAME = Limit(20, 30 * SECOND)
"""One account, from everywhere. The wait is short, because its owner has to wait too."""
NETWORK = Limit(50, 15 * MINUTE)
"""One network, which a household or an office shares."""
BROWSER = Limit(5, 15 * MINUTE)
"""One browser that has logged in before."""


@dataclass(frozen=True)
class Attempt:
    """One attempt that may go on. Call ``forgive`` if its password was right."""

    subject: str
    row_ids: Sequence[int]


def begin(gallery: Gallery, name: str, address: str | None) -> Attempt:
    """
    Count one attempt on the account *name* from *address*.

    Raises:
        TooManyAttempts: If it comes too early; it is not counted.
    """
    name, network = normal_name(name), _network(address)
    return _begin(
        gallery,
        {
            _subject(gallery, "pair", name, network): PAIR,
            _subject(gallery, "name", name): NAME,
            _subject(gallery, "network", network): NETWORK,
        },
    )


def begin_known(gallery: Gallery, browser: str) -> Attempt:
    """
    Count one attempt in a browser that has logged in before.

    *browser* is its device id, or the session id of its login.

    Raises:
        TooManyAttempts: If it comes too early; it is not counted.
    """
    return _begin(gallery, {_subject(gallery, "browser", browser): BROWSER})


def forgive(gallery: Gallery, attempt: Attempt) -> None:
    """Forget *attempt* and earlier ones of the same name from the same place: the password was right."""
    tried = gallery.models.login_attempt
    with gallery.transaction():
        tried.delete().where((tried.subject == attempt.subject) | tried.id.in_(attempt.row_ids)).execute()


def _begin(gallery: Gallery, limits: dict[str, Limit]) -> Attempt:
    """Count one attempt for each subject of *limits*. ``forgive`` forgets every attempt of the first subject."""
    now, tried = gallery.now(), gallery.models.login_attempt
    with gallery.transaction():
        _lock(gallery, limits)
        # A clock that was ahead has left attempts in the future: nobody has to wait for them.
        tried.delete().where((tried.at <= now - WINDOW) | (tried.at > now + SLACK)).execute()
        remaining = max(_remaining(gallery, subject, limit, now) for subject, limit in limits.items())
        if remaining > 0:
            raise TooManyAttempts(retry_after=-(-remaining // SECOND))
        row_ids = [tried.create(subject=subject, at=now).id for subject in limits]
    return Attempt(next(iter(limits)), row_ids)


def _remaining(gallery: Gallery, subject: str, limit: Limit, now: int) -> int:
    """Return the time (ms) until *subject* may make its next attempt."""
    tried = gallery.models.login_attempt
    counted = tried.select(fn.COUNT(tried.id), fn.MAX(tried.at)).where(tried.subject == subject)
    count, newest = gallery.store.database.execute(counted).fetchone()
    return (newest or 0) + limit.wait_after(count) - now if count >= limit.free else 0


def _lock(gallery: Gallery, subjects: dict[str, Limit]) -> None:
    """Make other transactions that count these subjects wait. SQLite has one write transaction at a time anyway."""
    database = gallery.store.database
    if isinstance(database, SqliteDatabase):
        return
    for subject in sorted(subjects):
        database.execute_sql("SELECT pg_advisory_xact_lock(%s)", (int(subject[:15], 16),))


def _subject(gallery: Gallery, kind: str, *values: str) -> str:
    key = gallery.store.secret("pixstore/v1/login-throttle")
    return hmac.digest(key, "\0".join((kind, *values)).encode(), "sha256").hex()


def _network(address: str | None) -> str:
    """Return the network of one customer of a provider: an IPv4 address, or 64 bits of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
