"""AVIF (ISO/IEC 23000-22): reads its boxes, and refuses descriptions that a decoder would take long to read."""

from collections.abc import Iterator

from pixstore.structure import Parts, Span, too_costly

_MOST_DESCRIPTION = 96 * 2**10
"""Most bytes that may describe the items of a file. Cameras and encoders need some 4 KiB."""

_MOST_FRAMES = 2**20
"""Most bytes that may list the frames of an animation."""

_LEAST_BOX = 1024
_OPENED = (b"iprp", b"ipco")
"""The path of boxes to open: the second lies inside the first."""

_BRANDS = (b"avif", b"avis")
_CONTAINER_BRANDS = (b"mif1", b"msf1")


def is_avif(data: bytes) -> bool:
    """Tell whether the first box of *data* names AVIF as its brand or as a compatible brand."""
    if data[4:8] != b"ftyp":
        return False
    size = int.from_bytes(data[:4], "big")
    names = data[16 : min(size, 256)]
    compatible = {names[at : at + 4] for at in range(0, len(names), 4)}
    return data[8:12] in _BRANDS or (data[8:12] in _CONTAINER_BRANDS and not compatible.isdisjoint(_BRANDS))


def check(data: bytes) -> None:
    """
    Check the boxes that describe the picture.

    Raises:
        ImageRejected: If they are larger than the pictures that programs write need.
    """
    parts = Parts(len(data), least=_LEAST_BOX)
    for kind, body in _boxes(data, Span(0, len(data)), parts):
        if kind == b"meta":
            size = sum(_sizes(data, Span(body.start + 4, body.end), parts, _OPENED))
            if size > _MOST_DESCRIPTION:
                raise too_costly("the description of the image is larger than a picture needs")
        elif kind == b"moov" and body.end - body.start > _MOST_FRAMES:
            raise too_costly("the list of the image's frames is larger than a picture needs")


def _sizes(data: bytes, within: Span, parts: Parts, opened: tuple[bytes, ...]) -> Iterator[int]:
    """
    Yield the sizes of the boxes, except pixels and colour profiles.

    For a box named first in *opened*, yield the sizes inside it.
    """
    for kind, body in _boxes(data, within, parts):
        if opened and kind == opened[0]:
            yield from _sizes(data, body, parts, opened[1:])
        elif kind not in (b"idat", b"colr"):
            yield body.end - body.start


def _boxes(data: bytes, within: Span, parts: Parts) -> Iterator[tuple[bytes, Span]]:
    """Yield the kind and the body of each box."""
    position = within.start
    while position + 8 <= within.end:
        parts.count()
        size, kind, start = (
            int.from_bytes(data[position : position + 4], "big"),
            data[position + 4 : position + 8],
            8,
        )
        if size == 1:
            size, start = int.from_bytes(data[position + 8 : position + 16], "big"), 16
        end = within.end if size == 0 else min(position + size, within.end)
        if end < position + start:
            return
        yield kind, Span(position + start, end)
        position = end
