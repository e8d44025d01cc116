"""TIFF 6.0: reads its first directory, and refuses one that a decoder would take long to read."""

import struct

from pixstore.structure import Parts, damaged, too_costly, truncated

_MOST_ENTRIES = 1_000
_LEAST_STRIP, _FEW_STRIPS = 256, 1_000
_OFFSETS = (273, 324)
"""The tags that list where the strips or tiles of pixels lie."""


def check(data: bytes) -> None:
    """
    Check the first directory of *data*.

    Raises:
        ImageRejected: If it has more entries than programs write, or lists more strips or tiles.
    """
    order = "<" if data[:2] == b"II" else ">"
    if len(data) < 8:
        raise truncated()
    (start,) = struct.unpack_from(order + "I", data, 4)
    count = int.from_bytes(data[start : start + 2], "little" if order == "<" else "big")
    if not count or start + 2 + 12 * count > len(data):
        raise damaged()
    if count > _MOST_ENTRIES:
        raise too_costly(f"the image has more than {_MOST_ENTRIES} entries in its directory")
    entries = data[start + 2 : start + 2 + 12 * count]
    for tag, _, values, _ in struct.iter_unpack(order + "HHI4s", entries):
        if tag in _OFFSETS:
            Parts(len(data), least=_LEAST_STRIP, few=_FEW_STRIPS).count(values)
