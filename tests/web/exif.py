"""
Photos that say how they were taken, entry by entry, also such as no camera writes.

    photo(photo=[text(Base.DateTimeOriginal, "2024:05:06 07:08:09")])

EXIF is laid out as TIFF 6.0 says: directories of entries, each with a tag, a type, a number of values, and these.
"""

import io
import struct
from typing import NamedTuple

from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

_ASCII, _SHORT, _LONG, _RATIONAL, _SIGNED, _DOUBLE = 2, 3, 4, 5, 10, 12
_FIRST = 8
"""Where the first directory begins: behind the header."""


class Entry(NamedTuple):
    """One entry of a directory."""

    tag: int
    kind: int
    count: int
    data: bytes


def text(tag, value):
    """Return an entry of text."""
    data = value.encode() + b"\0"
    return Entry(tag, _ASCII, len(data), data)


def short(tag, *values):
    """Return an entry of small whole numbers."""
    return Entry(tag, _SHORT, len(values), struct.pack(f"<{len(values)}H", *values))


def byte(tag, value):
    """Return an entry of one byte."""
    return Entry(tag, 1, 1, bytes([value]))


def rational(tag, *fractions):
    """Return an entry of fractions, each a numerator and a denominator."""
    return Entry(tag, _RATIONAL, len(fractions), b"".join(struct.pack("<II", *one) for one in fractions))


def signed(tag, *fractions):
    """Return an entry of fractions that may be negative."""
    return Entry(tag, _SIGNED, len(fractions), b"".join(struct.pack("<ii", *one) for one in fractions))


def double(tag, *values):
    """Return an entry of floating-point numbers."""
    return Entry(tag, _DOUBLE, len(values), struct.pack(f"<{len(values)}d", *values))


def pointer(tag, at):
    """Return an entry that leads to the directory at *at*."""
    return Entry(tag, _LONG, 1, struct.pack("<I", at))


def place(latitude, north_or_south, longitude, east_or_west, *more):
    """Return the entries of a place, given in degrees, minutes and hundredths of seconds."""
    return [
        text(GPS.GPSLatitudeRef, north_or_south),
        rational(GPS.GPSLatitude, *zip(latitude, (1, 1, 100), strict=True)),
        text(GPS.GPSLongitudeRef, east_or_west),
        rational(GPS.GPSLongitude, *zip(longitude, (1, 1, 100), strict=True)),
        *more,
    ]


def exif(*, base=(), photo=(), gps=()):
    """Return EXIF of three directories: what the file is, how the photo was taken, and where."""
    inner = {IFD.Exif: photo, IFD.GPSInfo: gps}
    pointers = len([tag for tag in inner if inner[tag]])
    at = _FIRST + len(_directory([*base, *[pointer(0, 0)] * pointers], _FIRST))
    first, behind = list(base), b""
    for tag, entries in inner.items():
        if entries:
            first.append(pointer(tag, at + len(behind)))
            behind += _directory(entries, at + len(behind))
    return b"II*\0" + struct.pack("<I", _FIRST) + _directory(first, _FIRST) + behind


def photo(*, base=(), photo=(), gps=(), seed=0, image_format="JPEG"):
    """Return a small photo with that EXIF."""
    return with_exif(exif(base=base, photo=photo, gps=gps), seed=seed, image_format=image_format)


def with_exif(data, *, seed=0, image_format="JPEG"):
    """Return a small photo whose EXIF is *data*, whatever that is."""
    buffer = io.BytesIO()
    image = Image.new("RGB", (16, 12), (seed, 0, 0))
    image.save(buffer, image_format, exif=b"Exif\0\0" + data)
    return buffer.getvalue()


def taken(date, *, camera="LEICA Q2", seed=0):
    """Return a small photo that was taken at *date* with *camera*."""
    return photo(base=[text(Base.Model, camera)], photo=[text(Base.DateTimeOriginal, date)], seed=seed)


def _directory(entries, at):
    """Return the bytes of a directory that begins at *at*; values of more than four bytes follow it."""
    behind = at + 2 + 12 * len(entries) + 4
    directory, values = struct.pack("<H", len(entries)), b""
    for entry in sorted(entries):
        data = entry.data.ljust(4, b"\0")
        if len(data) > 4:
            data, values = struct.pack("<I", behind + len(values)), values + data + b"\0" * (len(data) % 2)
        directory += struct.pack("<HHI", entry.tag, entry.kind, entry.count) + data
    return directory + bytes(4) + values
