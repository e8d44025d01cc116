"""
Histories of operations on images, and whether one register for each image explains them.

An operation took place at one instant between its start and its end, and the versions of an image are in the order of
their tokens. So a history is explained (linearizable) exactly if, for every image:

    versions   of two writes, one ended before the other began, the later one has the larger token
    reads      give a version that was written, with its token or that of its re-encryption, and begun before the read ended;
               never one older than a write or a read that ended before the read began
    deletion   after a delete has ended nothing is read, and no update begins and succeeds; nothing is missing before
               a delete has begun

Times are those of the machine's monotonic clock, the same in every process.
"""

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal

NEVER = math.inf


@dataclass(frozen=True, slots=True)
class Operation:
    """
    One operation on one image.

    *end* is ``NEVER`` where it was not acknowledged, and then *token* is 0. A read of an image that is not there has the
    token -1. Who does not learn the token, writing or reading, has ``None``.
    """

    kind: Literal["write", "delete", "read"]
    image_id: str
    label: str | None
    token: int | None
    start: float
    end: float


def check(history: Iterable[Operation]) -> list[str]:
    """Return what no register explains, in words."""
    by_image: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in history:
        by_image[operation.image_id].append(operation)
    return [f"{image_id}: {words}" for image_id, found in by_image.items() for words in _check_image(found)]


def _check_image(operations: list[Operation]) -> list[str]:
    reads = [o for o in operations if o.kind == "read"]
    seen = [o for o in reads if o.token != -1]
    begun = {o.label: o for o in operations if o.kind == "write"}
    tokens = _tokens(begun.values(), seen)
    writes = [replace(begun[label], token=token) for label, token in tokens.items()]
    versions = [replace(read, token=tokens.get(read.label)) for read in seen]
    with_tokens = [read for read in seen if read.token is not None]
    unseen = _unseen(begun.values(), tokens, [*writes, *versions, *with_tokens])
    return [
        *_unwritten(seen, begun, tokens),
        *_out_of_order(writes, [*versions, *unseen]),
        *_out_of_order(writes, [*with_tokens, *unseen]),
        *_deletions(operations, writes, reads),
    ]


def _tokens(writes: Iterable[Operation], reads: Iterable[Operation]) -> dict[str | None, int]:
    """Return the known token of each version. A write that was not acknowledged counts if it was read."""
    tokens = {write.label: write.token or 0 for write in writes if _is_known(write)}
    unknown = {write.label for write in writes if not _is_known(write)}
    for read in reads:
        if read.label in unknown and read.token is not None:
            tokens[read.label] = min(read.token, tokens.get(read.label, read.token))
    return tokens


def _is_known(write: Operation) -> bool:
    return write.end != NEVER and write.token is not None


def _unseen(
    writes: Iterable[Operation], tokens: dict[str | None, int], others: list[Operation]
) -> list[Operation]:
    """
    Return the acknowledged writes whose token nobody learned, with the least that it can be.

    As reads: two of them may share that token, which two writes must not.
    """
    newest_before = _newest_before(others)
    return [
        replace(write, kind="read", token=newest_before(write.start) + 1)
        for write in writes
        if write.label not in tokens and write.end != NEVER
    ]


def _newest_before(operations: list[Operation]) -> Callable[[float], int]:
    """Return what tells the largest token among those of *operations* that had ended at a time."""
    ended = sorted((o for o in operations if o.end != NEVER), key=lambda o: o.end)
    ends = [o.end for o in ended]
    largest = [0, *accumulate((o.token or 0 for o in ended), max)]
    return lambda at: largest[bisect_left(ends, at)]


def _unwritten(
    reads: list[Operation], begun: dict[str | None, Operation], tokens: dict[str | None, int]
) -> Iterable[str]:
    in_order = sorted((token, label) for label, token in tokens.items())
    for read in reads:
        if read.label not in begun:
            yield f"read {read.label!r}, which nobody wrote"
        elif begun[read.label].start > read.end:
            yield f"read {read.label!r} before it was written"
        elif read.token is not None:
            # Re-encryption gives a larger token to the same version, but none as large as that of the next one.
            at = bisect_right(in_order, read.token, key=lambda version: version[0]) - 1
            if at < 0 or in_order[at][1] != read.label:
                yield f"read {read.label!r} with the token of another version"


def _out_of_order(writes: list[Operation], reads: list[Operation]) -> Iterable[str]:
    """Compare each operation with the largest token that was written or read before it began."""
    newest_before = _newest_before([*writes, *reads])
    for later in [*writes, *reads]:
        newest = newest_before(later.start)
        is_old = later.token is not None and (
            later.token < newest or (later.kind == "write" and later.token == newest)
        )
        if is_old and later.kind == "write":
            yield f"{later.label!r} got the token {later.token} after {newest} was acknowledged"
        elif is_old:
            yield f"read {later.label!r}, token {later.token}, after {newest} was acknowledged"


def _deletions(operations: list[Operation], writes: list[Operation], reads: list[Operation]) -> Iterable[str]:
    deletes = [o for o in operations if o.kind == "delete"]
    done = min((o.end for o in deletes), default=NEVER)
    begun = min((o.start for o in deletes), default=NEVER)
    gone = min((o.end for o in reads if o.token == -1), default=NEVER)
    for read in reads:
        if read.token == -1 and read.end < begun:
            yield "was missing before anybody deleted it"
        if read.token != -1 and read.start > min(done, gone):
            yield f"read {read.label!r} after it was deleted"
    for write in writes:
        if write.end != NEVER and write.start > min(done, gone):
            yield f"{write.label!r} was acknowledged after the image was deleted"
