"""
JPEG (ITU-T T.81, annex B), read in the same way as the decoder of browsers reads it.

A file is a row of segments: a marker (0xFF and a byte that is neither 0x00 nor 0xFF), two bytes of length,
data. Other bytes between segments are skipped, and so are 0xFF bytes before a marker; cameras and editors
leave both. Behind the first end marker a file may hold anything: a second picture, a film, the notes of the
phone's maker.
"""

import re
from typing import NamedTuple

from pixstore.errors import ImageRejected
from pixstore.structure import Parts, Span, damaged, joined, too_costly, truncated

MAX_SCANS = 100
"""
Most scans of a picture.

Each scan may go over the whole picture again, and needs only a few bytes. Encoders write about ten.
"""

MAX_SCANNED_PIXELS = 1_500_000_000
"""Most pixels that all scans together may go over, which limits the scans of a large picture."""

MAX_PROFILE = 4 * 2**20
"""Bytes. A larger colour profile is left out, and the colours are shown without it."""

_MAX_TABLES = 16 * 2**10
"""Most bytes of tables. A file needs some 2 KiB; more would only cost time."""

_LEAST_SEGMENT = 1024
"""Metadata comes in pieces of up to 64 KiB."""

_END, _SCAN = 0xD9, 0xDA
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SHOWN_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Sequential and progressive. No browser shows lossless or hierarchical JPEG, and not all show arithmetic coding."""
_PROGRESSIVE = 0xC2
_TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDD})
_OTHER = frozenset({0xDC, *range(0xE0, 0xF0), 0xFE})
"""Metadata and comments. A marker in none of these sets makes a decoder fail."""


class _Marker:
    """
    Finds the next marker: one or more 0xFF, and a byte that *kinds* matches.

    It reads each byte once or twice.
    """

    def __init__(self, kinds: bytes) -> None:
        self._here = re.compile(rb"\xff++" + kinds)
        # A match may start only at the first 0xFF of a row. Otherwise a long row without a marker would be
        # read again from each of its bytes.
        self._next = re.compile(rb"\xff(?<!\xff\xff)\xff*+" + kinds)

    def end(self, data: bytes, position: int) -> int:
        """
        Return where the next marker at or behind *position* ends.

        Raises:
            ImageRejected: If there is none.
        """
        found = self._here.match(data, position) or self._next.search(data, position)
        if found is None:
            raise truncated()
        return found.end()


_MARKER = _Marker(rb"[^\x00\xff]")
_MARKER_BEHIND_SCAN = _Marker(rb"[^\x00\xff\xd0-\xd7]")
"""The next marker after the data of a scan. In that data, 0xFF begins a stuffed zero or a restart marker."""


class Head(NamedTuple):
    """
    Everything before the first scan.

    *scan* is the position of the first scan. *kept* are the parts of the head that a decoder needs. A decoder
    keeps a picture with *several_scans* as coefficients until it has read the last scan.
    """

    width: int
    height: int
    several_scans: bool
    scan: int
    kept: tuple[Span, ...]
    exif: Span


class _Frame(NamedTuple):
    width: int
    height: int
    components: int
    is_progressive: bool


def read_head(data: bytes) -> Head:
    """
    Read the segments up to the first scan.

    Raises:
        ImageRejected: If a browser could not show the picture.
    """
    parts = Parts(len(data), least=_LEAST_SEGMENT)
    kept, profile, exif = _Kept(), _Profile(), Span(0, 0)
    frame: _Frame | None = None
    position = 2
    while True:
        parts.count()
        marker, body, position = _segment(data, position, _MARKER)
        if marker == _SCAN:
            break
        if marker in _FRAMES:
            if frame is not None:
                raise damaged()
            frame = _frame(data, marker, body)
        if marker in _FRAMES or marker in _TABLES:
            kept.add_table(body)
        elif marker in _OTHER:
            if marker == 0xE1 and not exif.end and data.startswith(b"Exif\0\0", body.start):
                exif = Span(body.start + 6, body.end)
            profile.add(data, marker, body)
            kept.add_hint(data, marker, body)
        elif marker not in _BARE:
            raise damaged()
    if frame is None:
        raise damaged()
    several = frame.is_progressive or data[body.start : body.start + 1] < bytes([frame.components])
    spans = (*profile.spans, *kept.spans)  # a profile counts only if it stands before the frame
    return Head(frame.width, frame.height, several, body.start - 4, spans, exif)


def end_of_picture(data: bytes, head: Head) -> int:
    """
    Return the position behind the end marker of the first picture.

    Raises:
        ImageRejected: If it has no end marker, or too many scans.
    """
    parts = Parts(len(data), least=_LEAST_SEGMENT)
    scans, position = 0, head.scan
    while True:
        parts.count()
        marker, _, position = _segment(data, position, _MARKER_BEHIND_SCAN)
        if marker == _END:
            return position
        if marker == _SCAN:
            scans += 1
            _check_scans(scans, head.width * head.height)


def for_decoder(data: bytes, head: Head) -> bytes:
    """Return *data* without the segments before the first scan that the picture does not need."""
    return joined(data, (Span(0, 2), *head.kept, Span(head.scan, len(data))))


def _segment(data: bytes, position: int, next_marker: _Marker) -> tuple[int, Span, int]:
    """Return the next marker at or behind *position*, the data of its segment, and where the segment ends."""
    position = next_marker.end(data, position)
    marker = data[position - 1]
    if marker not in _WITH_LENGTH:
        return marker, Span(position, position), position
    length = int.from_bytes(data[position : position + 2], "big")
    end = position + max(2, length)
    if end > len(data):
        raise truncated()
    return marker, Span(position + 2, end), end


_WITH_LENGTH = _FRAMES | _TABLES | _OTHER | {_SCAN}


def _frame(data: bytes, marker: int, body: Span) -> _Frame:
    if body.end - body.start < 6:
        raise damaged()
    bits, height, width = data[body.start], *_two(data, body.start + 1)
    components = data[body.start + 5]
    if marker not in _SHOWN_FRAMES or bits != 8:
        raise ImageRejected(
            "format_not_allowed",
            "no browser shows this kind of JPEG (lossless, or of more than 8 bits)",
        )
    if components not in (1, 3, 4) or width < 1 or height < 1:
        raise damaged()
    return _Frame(width, height, components, marker == _PROGRESSIVE)


def _two(data: bytes, position: int) -> tuple[int, int]:
    """Return the two numbers of 16 bits at *position*."""
    return (
        int.from_bytes(data[position : position + 2], "big"),
        int.from_bytes(data[position + 2 : position + 4], "big"),
    )


def _check_scans(count: int, pixels: int) -> None:
    if count > MAX_SCANS:
        raise too_costly(f"the image is made of more than the {MAX_SCANS} scans allowed")
    if count > 1 and count * pixels > MAX_SCANNED_PIXELS:
        raise too_costly(
            f"the image is made of {count} scans of {pixels / 1e6:.0f} megapixels, which is too much"
        )


class _Kept:
    """The segments of the head that say how to decode."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._tables = 0
        self._hints: set[int] = set()

    def add_table(self, body: Span) -> None:
        """Keep a table or the frame."""
        self._tables += body.end - body.start
        if self._tables > _MAX_TABLES:
            raise too_costly("the image has more tables than a JPEG needs")
        self._keep(body)

    def add_hint(self, data: bytes, marker: int, body: Span) -> None:
        """Keep the first JFIF and the first Adobe segment, which tell how to read the colours."""
        for hint, name, least in ((0xE0, b"JFIF\0", 14), (0xEE, b"Adobe", 12)):
            is_one = marker == hint and body.end - body.start >= least and data.startswith(name, body.start)
            if is_one and hint not in self._hints:
                self._hints.add(hint)
                self._keep(body)

    def _keep(self, body: Span) -> None:
        self.spans.append(Span(body.start - 4, body.end))


class _Profile:
    """The pieces of the colour profile."""

    _NAME = b"ICC_PROFILE\0"

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._size = 0

    def add(self, data: bytes, marker: int, body: Span) -> None:
        """Keep the segment if it is a piece of the profile."""
        if marker == 0xE2 and body.end - body.start > 14 and data.startswith(self._NAME, body.start):
            self._size += body.end - body.start
            self._spans.append(Span(body.start - 4, body.end))

    @property
    def spans(self) -> tuple[Span, ...]:
        """Return all pieces, or none if they are too large together."""
        return tuple(self._spans) if self._size <= MAX_PROFILE else ()
