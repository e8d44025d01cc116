"""
Recognizes browsers that have logged in before, by a device cookie that stays after a logout.

Wrong passwords from other browsers do not count for such a browser, so an attacker who guesses cannot lock
the owner out. The cookie does not log anybody in: a thief gets only a few guesses of their own
(``throttle``). An action that ends all logins of an account (a new password, "end the others") also voids its
device cookies.

A cookie holds one token for each account that has logged in with that browser, the newest first: account id,
a random device id, and a MAC over both and the account's ``login_epoch``. The server stores nothing about it.
"""

import hmac
import re

from pixstore.gallery import Gallery
from pixstore.gallery.models import User
from pixstore.ids import new_key

MAX_ACCOUNTS = 4
"""The most accounts that one device cookie holds."""

_LABEL = "pixstore/v1/device"
_TOKEN = re.compile(r"([a-z0-9]{1,64})\.([a-z0-9]{1,64})\.([0-9a-f]{32})", re.ASCII)


def recognize(gallery: Gallery, user: User, cookie: str) -> str | None:
    """Return the device id of a browser in which *user* has logged in before, or ``None``."""
    for account_id, device_id, mac in _tokens(cookie):
        if account_id == user.id and hmac.compare_digest(mac, _mac(gallery, user, device_id)):
            return device_id
    return None


def remember(gallery: Gallery, user: User, cookie: str) -> str:
    """Return the new value of the device cookie *cookie*, after *user* has logged in with that browser."""
    device_id = recognize(gallery, user, cookie) or new_key()
    own = (user.id, device_id, _mac(gallery, user, device_id))
    return _cookie([own, *_tokens_of_others(user, cookie)])


def forget(user: User, cookie: str) -> str:
    """Return the device cookie *cookie* without the token of *user*."""
    return _cookie(_tokens_of_others(user, cookie))


def _tokens(cookie: str) -> list[tuple[str, str, str]]:
    """Return the parts of each token in *cookie*. Only their form is checked, not the MAC."""
    matches = (_TOKEN.fullmatch(text) for text in cookie.split("~", MAX_ACCOUNTS)[:MAX_ACCOUNTS])
    return [(match[1], match[2], match[3]) for match in matches if match is not None]


def _tokens_of_others(user: User, cookie: str) -> list[tuple[str, str, str]]:
    return [token for token in _tokens(cookie) if token[0] != user.id]


def _cookie(tokens: list[tuple[str, str, str]]) -> str:
    return "~".join(".".join(token) for token in tokens[:MAX_ACCOUNTS])


def _mac(gallery: Gallery, user: User, device_id: str) -> str:
    meant = f"{user.id}\0{user.login_epoch}\0{device_id}"
    return hmac.digest(gallery.store.secret(_LABEL), meant.encode(), "sha256")[:16].hex()
