"""
Files made to cost time: each is about *size* bytes, shows a small picture or none, and is full of things to step over.

``costly(size)`` yields them by name. What a server may spend on one is what a photo of that size takes.
"""

import struct
import zlib
from collections.abc import Iterator

from tests import images

MOTION_FILM = b"\0\0\0\x18ftypmp42" + bytes(12)
"""How the film begins that phones put behind a photo."""


def costly(size: int) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of each file."""
    yield from _jpegs(size)
    yield from _pngs(size)
    yield from _others(size)


def motion_photo(photo: bytes, size: int) -> bytes:
    """Return *photo* with a film of *size* bytes behind it, in which markers of scans and segments turn up."""
    return photo + MOTION_FILM + _row(b"\xff\xda\0\x08\xff\xe1\xff\xff\xff\xd8\xff\xdbnoise", size)


def with_segments(photo: bytes, between: bytes) -> bytes:
    """Return the JPEG *photo* with some bytes behind each segment of its head."""
    head, at = photo[:2], 2
    while photo[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(photo[at + 2 : at + 4], "big")
        head += photo[at:end] + between
        at = end
    return head + photo[at:]


def png_chunk(kind: bytes, body: bytes = b"") -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """Return a WebP of these chunks."""
    body = b"".join(
        kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _jpegs(size: int) -> Iterator[tuple[str, bytes]]:
    photo = images.photo(width=160, height=120)
    start, rest, end = photo[:2], photo[2:], photo[-2:]
    yield "JPEG, fill bytes before the first segment", start + b"\xff" * size + rest
    yield "JPEG, fill bytes before the end", photo[:-2] + b"\xff" * size + end
    yield "JPEG, nothing but fill bytes", start + b"\xff" * size
    yield "JPEG, short rows of fill bytes", photo[:-2] + _row(b"\xff" * 40 + b"\0", size) + end
    yield "JPEG, zeros between segments", with_segments(photo, bytes(size // 8))
    yield "JPEG, stuffed zeros between segments", start + _row(b"\xff\0", size) + rest
    yield "JPEG, restart markers", photo[:-2] + _row(b"\xff\xd0", size) + end
    yield "JPEG, bare markers", start + _row(b"\xff\x01", size) + rest
    yield "JPEG, empty comments", start + _row(b"\xff\xfe\0\2", size) + rest
    yield "JPEG, empty comments behind the scan", photo[:-2] + _row(b"\xff\xfe\0\2", size) + end
    yield "JPEG, long comments", start + _row(b"\xff\xfe\xff\xff" + bytes(65533), size) + rest
    yield "JPEG, tables", start + _row(b"\xff\xdb\0\x43\0" + b"\1" * 64, size) + rest
    yield "JPEG, pieces of a profile", start + _row(b"\xff\xe2\0\x11ICC_PROFILE\0\1\1x", size) + rest
    yield "JPEG, pieces of EXIF", start + _row(b"\xff\xe1\0\x0aExif\0\0MM", size) + rest
    yield "JPEG, a film behind it", motion_photo(photo, size)


def _pngs(size: int) -> Iterator[tuple[str, bytes]]:
    data = images.png(width=160, height=120)
    head, at = data[:33], data.index(b"IDAT") - 4
    length = int.from_bytes(data[at : at + 4], "big")
    pixels = data[at + 8 : at + 8 + length]
    yield "PNG, empty chunks", head + _row(png_chunk(b"teSt"), size) + data[33:]
    yield "PNG, empty chunks behind the pixels", data[:-12] + _row(png_chunk(b"teSt"), size) + data[-12:]
    yield "PNG, empty pieces of pixels", data[:-12] + _row(png_chunk(b"IDAT"), size) + data[-12:]
    single = b"".join(png_chunk(b"IDAT", pixels[at : at + 1]) for at in range(min(len(pixels), size // 13)))
    yield "PNG, pixels byte by byte", head + single + data[-12:]
    yield "PNG, texts", head + _row(png_chunk(b"tEXt", b"a\0b"), size) + data[33:]
    yield "PNG, a long text", head + png_chunk(b"tEXt", b"a\0" + bytes(size)) + data[33:]
    packed = zlib.compress(bytes(min(size * 64, 2**28)))
    yield "PNG, a text that unpacks to much", head + png_chunk(b"zTXt", b"a\0\0" + packed) + data[33:]
    yield "PNG, a profile that unpacks to much", head + png_chunk(b"iCCP", b"a\0\0" + packed) + data[33:]
    behind = png_chunk(b"IDAT", pixels + bytes(size))
    yield "PNG, pixels that go on", head + behind + data[-12:]


def _others(size: int) -> Iterator[tuple[str, bytes]]:
    webp = images.webp(width=160, height=120)
    kind, picture = webp[12:16], webp[20 : 20 + int.from_bytes(webp[16:20], "little")]
    canvas = (b"VP8X", bytes(4) + (159).to_bytes(3, "little") + (119).to_bytes(3, "little"))
    yield "WebP, empty chunks", riff(canvas, *[(b"teSt", b"")] * (size // 8), (kind, picture))
    yield (
        "WebP, empty chunks behind the picture",
        riff(canvas, (kind, picture), *[(b"teSt", b"")] * (size // 8)),
    )
    gif = images.gif(width=160, height=120)
    head = 13 + (3 << (1 + (gif[10] & 7)))
    yield "GIF, a comment byte by byte", gif[:head] + b"\x21\xfe" + _row(b"\1a", size) + b"\0" + gif[head:]
    yield "GIF, empty comments", gif[:head] + _row(b"\x21\xfe\0", size) + gif[head:]
    yield "GIF, zeros between blocks", gif[:head] + bytes(size) + gif[head:]
    yield "BMP, single runs", _bmp_of_runs(size)
    yield "TIFF, strips of a row", _tiff_of_strips(size // 8)
    avif = images.avif(width=160, height=120)
    brand = int.from_bytes(avif[:4], "big")
    yield "AVIF, empty boxes", avif[:brand] + _row(b"\0\0\0\x08free", size) + avif[brand:]


def _row(what: bytes, size: int) -> bytes:
    return what * (size // len(what))


def _bmp_of_runs(size: int) -> bytes:
    runs, width = size // 2, 4000
    header = struct.pack("<IiiHHIIiiII", 40, width, -(-runs // width), 1, 8, 1, 2 * runs + 2, 0, 0, 256, 0)
    offset = 14 + len(header) + 1024
    start = b"BM" + struct.pack("<IHHI", offset + 2 * runs, 0, 0, offset)
    return start + header + bytes(1024) + b"\1\5" * runs + b"\0\1"


def _tiff_of_strips(count: int) -> bytes:
    places = 8 + 2 + 9 * 12 + 4
    entries = (
        (256, 4, 1, 1), (257, 4, 1, count), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
        (273, 4, count, places), (277, 3, 1, 1), (278, 4, 1, 1), (279, 4, count, places + 4 * count),
    )  # fmt: skip
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    offsets = struct.pack("<I", places + 8 * count) * count
    return b"II*\0\x08\0\0\0\x09\0" + directory + offsets + struct.pack("<I", 1) * count + b"\0"
