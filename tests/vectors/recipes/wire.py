"""wire.json: answers of the image endpoint, one encoding each, and the answer to a batch."""

from typing import Any

from tests.vectors.recipes import primitives
from tests.vectors.recipes.primitives import fixed, gcm, length_prefixed, updated

KEY, IV = fixed("wire key", 32), fixed("wire iv", 12)
CIPHERTEXT, TAG = gcm(b"\x01" + primitives.png(2, 1), key=KEY, iv=IV)
TOKEN = 1_763_683_200_123
MAX_TOKEN = 2**53 - 1

_REFUSALS = {2: "NotFound", 3: "MissingID", 4: "MissingProof", 5: "InvalidProof", 6: "InternalError"}


def document() -> dict[str, Any]:
    """Return what wire.json holds."""
    return {"payloads": [*_successes(), *_updates(), *_refusals(), *_refused()], "batches": _batches()}


def _successes() -> list[dict[str, Any]]:
    return [
        _ok(
            "Success",
            "the client's token is current: ciphertext alone",
            b"\0" + CIPHERTEXT,
            0,
            ciphertext=CIPHERTEXT,
        ),
        _ok("shortest Success", "one byte of ciphertext", b"\0\xff", 0, ciphertext=b"\xff"),
        _ok(
            "Success that looks like Updated",
            "the first byte alone decides",
            b"\0\x01",
            0,
            ciphertext=b"\x01",
        ),
    ]


def _updates() -> list[dict[str, Any]]:
    return [
        _updated("Updated", "what opens the image goes with it", TOKEN, CIPHERTEXT),
        _updated("shortest Updated", "70 bytes: one byte of ciphertext behind the head", TOKEN, b"\x2a"),
        _updated("token 0", "the smallest token", 0, CIPHERTEXT),
        _updated("token 258", "bytes 02 01 00 …: the low byte comes first", 258, CIPHERTEXT),
        _updated(
            "token 2**53 - 1", "the largest token a JavaScript number holds exactly", MAX_TOKEN, CIPHERTEXT
        ),
    ]


def _refusals() -> list[dict[str, Any]]:
    return [
        _ok(name, "the state is all there is", bytes((state,)), state) for state, name in _REFUSALS.items()
    ]


def _refused() -> list[dict[str, Any]]:
    whole = updated(TOKEN, KEY, IV, TAG, CIPHERTEXT)
    big_endian = b"\x01" + TOKEN.to_bytes(8, "big") + whole[9:]
    refused = [
        ("nothing", "not even a state", b""),
        ("unknown state 7", "one above the last", b"\x07"),
        ("unknown state 255", "no state, whatever follows", b"\xff" + CIPHERTEXT),
        ("state as text", "the digit 0", b"0" + CIPHERTEXT),
        ("Success without ciphertext", "a sealed image is never empty", b"\0"),
        ("Updated alone", "head and ciphertext are missing", b"\x01"),
        ("Updated one byte short of a head", "68 bytes", whole[:68]),
        ("Updated without ciphertext", "69 bytes: the head and no image", whole[:69]),
        (
            "token 2**53",
            "a JavaScript number could not tell it from its neighbour",
            updated(2**53, KEY, IV, TAG, b"x"),
        ),
        ("token 2**64 - 1", "the largest number of 8 bytes", updated(2**64 - 1, KEY, IV, TAG, b"x")),
        ("token in big-endian order", "read as little-endian it is too large", big_endian),
        *(
            (f"{name} and a byte", "nothing may follow", bytes((state, 0)))
            for state, name in _REFUSALS.items()
        ),
    ]
    return [{"name": name, "why": why, "expect": "refused", "hex": data.hex()} for name, why, data in refused]


def _batches() -> list[dict[str, Any]]:
    payloads = [updated(TOKEN, KEY, IV, TAG, CIPHERTEXT), b"\x05", b"\0" + CIPHERTEXT]
    body = b"".join(map(length_prefixed, payloads))
    cases = [
        ("three payloads", "in the order they were asked for", body, payloads),
        ("one refusal", "02 behind its length", length_prefixed(b"\x02"), [b"\x02"]),
        ("no payload", "an empty body is an empty list", b"", []),
        ("cut inside a payload", "the connection broke", body[:-1], None),
        ("cut inside a length", "the connection broke", body + b"\x01\0", None),
        ("length of zero", "no payload is empty", body + bytes(4), None),
        ("length beyond the end", "4 GiB are announced, one byte comes", b"\xff\xff\xff\xff\x02", None),
    ]
    return [_batch(*case) for case in cases]


def _batch(name: str, why: str, body: bytes, payloads: list[bytes] | None) -> dict[str, Any]:
    if payloads is None:
        return {"name": name, "why": why, "expect": "refused", "hex": body.hex()}
    return {
        "name": name,
        "why": why,
        "expect": "ok",
        "hex": body.hex(),
        "payloads": [payload.hex() for payload in payloads],
    }


def _updated(name: str, why: str, token: int, ciphertext: bytes) -> dict[str, Any]:
    payload = updated(token, KEY, IV, TAG, ciphertext)
    return {
        **_ok(name, why, payload, 1),
        "token": token,
        "key": KEY.hex(),
        "iv": IV.hex(),
        "tag": TAG.hex(),
        "ciphertext": ciphertext.hex(),
    }


def _ok(name: str, why: str, payload: bytes, state: int, ciphertext: bytes | None = None) -> dict[str, Any]:
    fields = {"name": name, "why": why, "expect": "ok", "hex": payload.hex(), "state": state}
    return fields if ciphertext is None else {**fields, "ciphertext": ciphertext.hex()}
