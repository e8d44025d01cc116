"""
Reads from a photo's file when, where and with which camera it was taken. Pure; imports Pillow.

The facts come from EXIF (CIPA DC-008). Anybody may have written the file, so every value is checked, and
impossible values are left out.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from PIL import ExifTags, Image

MAX_TEXT = 100
_EARLIEST, _LATEST = datetime(1826, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)

_Base, _Gps = ExifTags.Base, ExifTags.GPS


@dataclass(frozen=True)
class PhotoFacts:
    """
    A fact is ``None`` if the file does not tell it.

    Times are local, as on the clock where the photo was taken.
    """

    taken_at: int | None = None
    """ms since 1970, as if that clock showed UTC."""
    utc_offset: int | None = None
    """How far that clock was ahead of UTC, in minutes."""
    camera: str | None = None
    lens: str | None = None
    exposure_time: float | None = None
    """Seconds."""
    f_number: float | None = None
    iso: int | None = None
    focal_length: float | None = None
    """Millimetres."""
    latitude: float | None = None
    """Degrees, north is positive."""
    longitude: float | None = None
    """Degrees, east is positive."""
    altitude: float | None = None
    """Metres above the sea."""

    def to_json(self) -> str:
        """Return the known facts as JSON."""
        return json.dumps({name: value for name, value in asdict(self).items() if value is not None})

    @classmethod
    def from_json(cls, text: str) -> "PhotoFacts":
        """
        Undo ``to_json``.

        Fields that another version of this program wrote, and this one does not know, are left out.
        """
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in json.loads(text).items() if name in known})


def read_facts(exif: Image.Exif) -> PhotoFacts:
    """Return the facts in *exif*. It never raises: broken metadata gives no facts."""
    try:
        base: Mapping[int, Any] = dict(exif)
        photo: Mapping[int, Any] = exif.get_ifd(ExifTags.IFD.Exif)
        gps: Mapping[int, Any] = exif.get_ifd(ExifTags.IFD.GPSInfo)
    except Exception:  # noqa: BLE001 - Pillow raises all kinds on broken metadata
        return PhotoFacts()
    latitude = _degrees(gps.get(_Gps.GPSLatitude), gps.get(_Gps.GPSLatitudeRef), "S", 90)
    longitude = _degrees(gps.get(_Gps.GPSLongitude), gps.get(_Gps.GPSLongitudeRef), "W", 180)
    has_place = latitude is not None and longitude is not None and (latitude, longitude) != (0, 0)
    iso = _number(photo.get(_Base.ISOSpeedRatings), most=10_000_000)
    return PhotoFacts(
        taken_at=_time(photo.get(_Base.DateTimeOriginal) or photo.get(_Base.DateTimeDigitized)),
        utc_offset=_offset(photo.get(_Base.OffsetTimeOriginal)),
        camera=_camera(_text(base.get(_Base.Make)), _text(base.get(_Base.Model))),
        lens=_text(photo.get(_Base.LensModel)),
        exposure_time=_number(photo.get(_Base.ExposureTime), most=1_000_000),
        f_number=_number(photo.get(_Base.FNumber), most=1000),
        iso=None if iso is None else round(iso),
        focal_length=_number(photo.get(_Base.FocalLength), most=100_000),
        latitude=latitude if has_place else None,
        longitude=longitude if has_place else None,
        altitude=_altitude(gps) if has_place else None,
    )


def _text(value: object) -> str | None:
    if isinstance(value, str):
        value = value.encode("latin-1", "replace")  # how Pillow read it; most cameras write UTF-8
    if not isinstance(value, bytes):
        return None
    value = value.decode("utf-8", "replace")
    printable = "".join(c for c in value.partition("\0")[0] if c.isprintable())
    return " ".join(printable.split())[:MAX_TEXT].strip() or None


def _camera(make: str | None, model: str | None) -> str | None:
    """Return maker and model. Most models already begin with the maker's name, which is then not repeated."""
    if make is None or model is None:
        return model or make
    is_repeated = model.lower().startswith(make.split()[0].lower())
    return model if is_repeated else f"{make} {model}"[:MAX_TEXT]


def _number(value: object, *, most: float) -> float | None:
    """
    Return *value* as a number above 0, or ``None``.

    Of a list (a sensitivity may be one), take the first number.
    """
    if isinstance(value, tuple | list) and value:
        value = value[0]
    number = _finite(value)
    return number if number is not None and 0 < number <= most else None


def _finite(value: object) -> float | None:
    """Return *value* as float, or ``None`` if it is not a number, infinite, or divided by zero."""
    try:
        number = float(value)  # type: ignore[arg-type] # what cannot be converted raises
    except (TypeError, ValueError, ArithmeticError):
        return None
    return number if math.isfinite(number) and not isinstance(value, str | bytes) else None


def _time(value: object) -> int | None:
    text = _text(value)
    try:
        moment = datetime.strptime(text or "", "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return round(moment.timestamp() * 1000) if _EARLIEST <= moment < _LATEST else None


def _offset(value: object) -> int | None:
    text = _text(value)
    try:
        offset = datetime.strptime(text or "", "%z").utcoffset()
    except ValueError:
        return None
    return None if offset is None else round(offset / timedelta(minutes=1))


def _degrees(value: object, reference: object, negative: str, most: int) -> float | None:
    """Return degrees, minutes and seconds as degrees, or ``None`` if they are not valid."""
    if not isinstance(value, tuple | list) or len(value) != 3:
        return None
    parts = [_finite(part) for part in value]
    if any(part is None or part < 0 for part in parts):
        return None
    degrees = sum((part or 0) / 60**power for power, part in enumerate(parts))
    if degrees > most:
        return None
    return round(-degrees if _text(reference) == negative else degrees, 6)


def _altitude(gps: Mapping[int, Any]) -> float | None:
    altitude = _finite(gps.get(_Gps.GPSAltitude))
    if altitude is None or not 0 <= altitude < 100_000:
        return None
    is_below = gps.get(_Gps.GPSAltitudeRef) in (1, b"\x01")
    return round(-altitude if is_below else altitude, 1)
