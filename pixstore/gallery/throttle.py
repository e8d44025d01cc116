"""
A limit on wrong passwords, by account name and by network address.

Attempts are counted in the database, so all workers and hosts agree. An attempt is written down before its password is
looked at, in the transaction that counts: many at once cannot slip through between counting and writing. Names and
addresses are stored as keyed hashes: people type passwords into the name field, and addresses are nobody's business.
"""

import hmac
import ipaddress
from dataclasses import dataclass

from pixstore.gallery import Gallery
from pixstore.gallery.errors import TooManyAttempts

WINDOW = 15 * 60_000
MAX_PER_NAME = 10
MAX_PER_ADDRESS = 50  # a household or an office shares one


@dataclass(frozen=True)
class Attempt:
    """One attempt that was let through; ``forgive`` it when the password was right."""

    name: str
    address: str
    at: int


def begin(gallery: Gallery, name: str, address: str | None) -> Attempt:
    """
    Count one attempt on the account *name* from *address*.

    Raises:
        TooManyAttempts: If there were too many of either; this one is not counted.
    """
    now, tried = gallery.now(), gallery.models.login_attempt
    attempt = Attempt(_subject(gallery, "name", name), _subject(gallery, "address", _network(address)), now)
    with gallery.transaction():
        tried.delete().where(tried.at <= now - WINDOW).execute()
        _check(gallery, attempt.name, MAX_PER_NAME, now)
        _check(gallery, attempt.address, MAX_PER_ADDRESS, now)
        for subject in (attempt.name, attempt.address):
            tried.create(subject=subject, at=now)
    return attempt


def forgive(gallery: Gallery, attempt: Attempt) -> None:
    """Forget *attempt*, and the wrong passwords for the same name before it: the right one was given."""
    tried = gallery.models.login_attempt
    this_one = (tried.subject == attempt.address) & (tried.at == attempt.at)
    with gallery.transaction():
        tried.delete().where((tried.subject == attempt.name) | this_one).execute()


def _check(gallery: Gallery, subject: str, limit: int, now: int) -> None:
    tried = gallery.models.login_attempt
    newest = tried.select(tried.at).where(tried.subject == subject).order_by(tried.at.desc())
    times = [row.at for row in newest.limit(limit)]
    if len(times) == limit:
        raise TooManyAttempts(retry_after=max(1, (times[-1] + WINDOW - now) // 1000))


def _subject(gallery: Gallery, kind: str, value: str) -> str:
    key = gallery.store.secret("pixstore/v1/login-throttle")
    return hmac.digest(key, f"{kind}\0{value}".encode(), "sha256").hex()


def _network(address: str | None) -> str:
    """Return what one customer of a network provider has: an IPv4 address, or 64 bits of IPv6."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
