"""
The wire payload: the binary answer of the image endpoint. Pure; imports only ``crypto`` (sizes) and ``errors``.

    0 Success       state(1)=0 | ciphertext
    1 Updated       state(1)=1 | token u64 LE(8) | key(32) | iv(12) | tag(16) | ciphertext
    2 NotFound  3 MissingID  4 MissingProof  5 InvalidProof  6 InternalError         state(1) alone

Each payload has exactly one encoding. ``decode`` refuses all other bytes.
"""

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NoReturn

from pixstore.crypto import IV_SIZE, KEY_SIZE, TAG_SIZE, Buffer
from pixstore.errors import WireError

TOKEN_LIMIT = 2**53
"""Tokens stay below this, so that a JavaScript number holds them exactly."""

_UPDATED_HEAD = struct.Struct(f"<BQ{KEY_SIZE}s{IV_SIZE}s{TAG_SIZE}s")
UPDATED_HEAD_SIZE = _UPDATED_HEAD.size
_BATCH_LENGTH = struct.Struct("<I")


class WireState(IntEnum):
    """The first byte of a wire payload."""

    SUCCESS = 0
    UPDATED = 1
    NOT_FOUND = 2
    MISSING_ID = 3
    MISSING_PROOF = 4
    INVALID_PROOF = 5
    INTERNAL_ERROR = 6


@dataclass(frozen=True, slots=True)
class Success:
    """The client's token is current, so it gets only the ciphertext."""

    ciphertext: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Updated:
    """The client's token is missing or old, so it gets everything needed to decrypt."""

    token: int
    key: bytes = field(repr=False)
    iv: bytes = field(repr=False)
    tag: bytes = field(repr=False)
    ciphertext: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Any other state."""

    state: WireState


WirePayload = Success | Updated | Refusal


def encode(payload: WirePayload) -> bytes:
    """
    Return the bytes of *payload*.

    Raises:
        WireError: If a field is out of range, so that the payload could not be decoded again.
    """
    match payload:
        case Success(ciphertext):
            head = bytes((WireState.SUCCESS,))
        case Updated(token, key, iv, tag, ciphertext):
            head = updated_head(token, key, iv, tag)
        case Refusal(state) if state not in (WireState.SUCCESS, WireState.UPDATED):
            return bytes((state,))
        case _:
            _refuse("a refusal cannot carry the state Success or Updated")
    if not ciphertext:
        _refuse("no ciphertext")
    return head + ciphertext


def updated_head(token: int, key: bytes, iv: bytes, tag: bytes) -> bytes:
    """
    Return the 69 bytes before the ciphertext in an Updated payload.

    Raises:
        WireError: If a field is out of range.
    """
    if not 0 <= token < TOKEN_LIMIT:
        _refuse("token out of range")
    if (len(key), len(iv), len(tag)) != (KEY_SIZE, IV_SIZE, TAG_SIZE):
        _refuse("key, IV or tag of a wrong length")
    return _UPDATED_HEAD.pack(WireState.UPDATED, token, key, iv, tag)


def decode(data: Buffer) -> WirePayload:
    """
    Return the payload that *data* encodes.

    Raises:
        WireError: If *data* is anything but the one encoding of a payload.
    """
    data = bytes(data)
    if not data:
        _refuse("no bytes")
    try:
        state = WireState(data[0])
    except ValueError:
        _refuse(f"unknown state {data[0]}")
    match state:
        case WireState.SUCCESS:
            return Success(_ciphertext(data, 1))
        case WireState.UPDATED:
            return _decode_updated(data)
        case _ if len(data) > 1:
            _refuse(f"{state.name} carries more than its state")
        case _:
            return Refusal(state)


def batch_length(payload_size: int) -> bytes:
    """Return the u32 LE that comes before a payload of *payload_size* bytes in the answer to a batch."""
    return _BATCH_LENGTH.pack(payload_size)


def _decode_updated(data: bytes) -> Updated:
    ciphertext = _ciphertext(data, UPDATED_HEAD_SIZE)
    _, token, key, iv, tag = _UPDATED_HEAD.unpack_from(data)
    if token >= TOKEN_LIMIT:
        _refuse("token out of range")
    return Updated(token, key, iv, tag, ciphertext)


def _ciphertext(data: bytes, start: int) -> bytes:
    if len(data) <= start:
        _refuse(f"{len(data)} bytes are too few")
    return data[start:]


def _refuse(why: str) -> NoReturn:
    raise WireError(f"not a wire payload: {why}")
