"""proof.json: the proof key, proofs, and proofs that must not be accepted."""

from itertools import starmap
from typing import Any

from tests.vectors.recipes.primitives import fixed, hkdf, proof

SERVICE_SECRET = fixed("service secret", 32)
KEY = hkdf(SERVICE_SECRET, "pixstore/v1/proof")
IMAGE_ID = "players:k3v9t2m5x7q4w6z2abcdefghij"
OTHER_ID = "players:k3v9t2m5x7q4w6z2abcdefghik"
LENGTH = 300_000
NOW = 1_763_683_200_123
WINDOW = NOW // LENGTH


def document() -> dict[str, Any]:
    """Return what proof.json holds."""
    return {
        "service_secret": SERVICE_SECRET.hex(),
        "key": KEY.hex(),
        "proofs": [
            *starmap(_issued, _issues()),
            *starmap(_old, _previous()),
            *starmap(_refused, _refusals()),
        ],
    }


def _issues() -> list[tuple[str, str, str, int, int]]:
    return [
        ("usual", "five minutes a window", IMAGE_ID, NOW, LENGTH),
        ("without directory", "the id is a key alone", IMAGE_ID.partition(":")[2], NOW, LENGTH),
        ("first ms of a window", "its number is 10", IMAGE_ID, 10 * LENGTH, LENGTH),
        ("last ms of a window", "its number is still 10", IMAGE_ID, 11 * LENGTH - 1, LENGTH),
        ("one ms a window", "the number of the window is the time", IMAGE_ID, NOW, 1),
        ("never expires", "the window is written -1, whatever the time", IMAGE_ID, NOW, -1),
    ]


def _previous() -> list[tuple[str, str, str, int, int]]:
    return [
        (
            "previous window",
            "issued in the last ms of the window before",
            proof(IMAGE_ID, KEY, 9),
            10 * LENGTH,
            LENGTH,
        ),
        (
            "at its oldest",
            "one ms before two windows have passed",
            proof(IMAGE_ID, KEY, 9),
            11 * LENGTH - 1,
            LENGTH,
        ),
        ("still never expires", "a year later", proof(IMAGE_ID, KEY, -1), NOW + 365 * 86_400_000, -1),
    ]


def _refusals() -> list[tuple[str, str, str, int]]:
    good = proof(IMAGE_ID, KEY, WINDOW)
    return [
        ("nothing", "an empty text is no proof", "", LENGTH),
        ("two windows old", "too old by one window", proof(IMAGE_ID, KEY, WINDOW - 2), LENGTH),
        ("next window", "it is not yet time", proof(IMAGE_ID, KEY, WINDOW + 1), LENGTH),
        ("another image", "a proof is for one image", proof(OTHER_ID, KEY, WINDOW), LENGTH),
        (
            "another key",
            "made with the service secret itself",
            proof(IMAGE_ID, SERVICE_SECRET, WINDOW),
            LENGTH,
        ),
        ("proof that never expires", "not accepted where proofs expire", proof(IMAGE_ID, KEY, -1), LENGTH),
        ("proof that expires", "not accepted where proofs never do", good, -1),
        ("cut", "the padding is missing", good.rstrip("="), LENGTH),
        ("longer", "a byte was appended", good + "A", LENGTH),
        ("line feed", "base64 decoders skip it; a proof is compared as text", good + "\n", LENGTH),
        (
            "other unused bits",
            "decodes to the same 16 bytes, but is not how they are written",
            _last_bits(good),
            LENGTH,
        ),
        ("capitals", "base64 tells them apart", good.swapcase(), LENGTH),
        ("not ASCII", "no proof, and no crash", good[:-1] + "é", LENGTH),
    ]


def _issued(name: str, why: str, image_id: str, now: int, length: int) -> dict[str, Any]:
    return _entry(name, why, image_id, now, length, proof(image_id, KEY, _window(now, length)), expect="ok")


def _old(name: str, why: str, given: str, now: int, length: int) -> dict[str, Any]:
    return _entry(name, why, IMAGE_ID, now, length, given, expect="ok")


def _refused(name: str, why: str, given: str, length: int) -> dict[str, Any]:
    return _entry(name, why, IMAGE_ID, NOW, length, given, expect="refused")


def _entry(
    name: str, why: str, image_id: str, now: int, length: int, given: str, *, expect: str
) -> dict[str, Any]:
    return {
        "name": name,
        "why": why,
        "expect": expect,
        "image_id": image_id,
        "now": now,
        "window_length": length,
        "proof": given,
        "issued_now": given == proof(image_id, KEY, _window(now, length)),
    }


def _window(now: int, length: int) -> int:
    return -1 if length == -1 else now // length


def _last_bits(good: str) -> str:
    """Return *good*, 16 bytes in base64, with one of the four bits set that stand for nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = alphabet[alphabet.index(good[-3]) | 1]
    return good[:-3] + last + "=="
