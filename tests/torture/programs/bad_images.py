"""
Images that are odd, broken or hostile: each is accepted or refused with a reason, within seconds and megabytes.

    python -m tests.torture.programs.bad_images '{"mutants": 300, "corpus": "folder/of/images"}'

A child process does the looking, with its memory limited, so that an image that takes too much ends that child alone.
"""

import io
import json
import os
import random
import resource
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, features

from pixstore.errors import ImageRejected
from pixstore.formats import MIME_TYPES, ImageLimits, InspectedImage, inspect
from tests import images
from tests.torture.tools.outcomes import Outcome, main
from tests.torture.tools.seeded_faults import seeded

SECONDS = 2.0
MEMORY = 512 * 2**20
LIMITS = ImageLimits(formats=tuple(MIME_TYPES))
BATCH = 200


def run(mutants: int = 200, corpus: str | None = None, seed: str | None = None) -> Outcome:
    """Look at every hostile image, so many *mutants* of sound ones, and every file below *corpus*."""
    outcome = Outcome(figures={"slowest": 0.0, "largest MB": 0})
    counts = {}
    with seeded(seed):
        for kind, candidates in (
            ("hostile", hostile()),
            ("of the corpus", from_corpus(Path(corpus)) if corpus else iter(())),
            ("mutants", mutated(mutants)),
        ):
            before = outcome.amount
            while batch := [candidate for _, candidate in zip(range(BATCH), candidates, strict=False)]:
                _look_at(batch, outcome)
            counts[kind] = outcome.amount - before
    outcome.words = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return outcome


def _look_at(batch: list[tuple[str, bytes]], outcome: Outcome) -> None:
    """Inspect each image of *batch* in a child process; one that ends the child is an anomaly, and the rest go on."""
    while batch:
        readable, writable = os.pipe()
        child = os.fork()
        if child == 0:
            _inspect_all(batch, writable)
        os.close(writable)
        with open(readable) as lines:
            verdicts = [json.loads(line) for line in lines]
        status, used = os.wait4(child, 0)[1:]
        outcome.figures["largest MB"] = max(outcome.figures["largest MB"], used.ru_maxrss // 1024)
        for (name, _), (seconds, words) in zip(batch, verdicts, strict=False):
            outcome.amount += 1
            outcome.figures["slowest"] = max(outcome.figures["slowest"], round(seconds, 3))
            if seconds > SECONDS:
                outcome.anomalies.append(f"{name}: {seconds:.1f} s")
            if words:
                outcome.anomalies.append(f"{name}: {words}")
        if len(verdicts) == len(batch):
            return
        outcome.amount += 1
        outcome.anomalies.append(f"{batch[len(verdicts)][0]}: ended the process with status {status}")
        batch = batch[len(verdicts) + 1 :]


def _inspect_all(batch: list[tuple[str, bytes]], pipe: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (120, 120))
    sys.stderr = open(os.devnull, "w")  # Pillow warns of what it finds  # noqa: SIM115
    for _, data in batch:
        start = time.perf_counter()
        words = ""
        try:
            info = inspect(data, LIMITS)
            if not isinstance(info, InspectedImage) or info.width * info.height > LIMITS.max_pixels:
                words = f"accepted as {info}"
        except ImageRejected as rejected:
            words = "" if str(rejected) and rejected.reason else "rejected without a reason"
        except BaseException as error:  # noqa: BLE001 - which is the fault that is looked for
            words = f"{type(error).__name__}: {error}"[:200]
        os.write(pipe, json.dumps([time.perf_counter() - start, words]).encode() + b"\n")
    os._exit(0)


def sound() -> dict[str, bytes]:
    """Return a sound image of every format that can be written here."""
    made = {
        "png": images.png(width=40, height=30),
        "jpg": images.jpeg(width=40, height=30),
        "progressive.jpg": _progressive(),
        "webp": images.webp(width=40, height=30),
        "lossless.webp": images.webp(width=40, height=30, lossless=True),
        "gif": images.gif(width=40, height=30, frames=3),
        "bmp": images.bmp(width=40, height=30),
        "tiff": images.tiff(width=40, height=30),
    }
    if features.check("avif"):
        made["avif"] = images.avif(width=40, height=30)
    return made


def mutated(count: int) -> Iterator[tuple[str, bytes]]:
    """Yield *count* images with bytes altered, removed, doubled, or exchanged with another image's."""
    chance = random.Random(11)
    originals = list(sound().items())
    for number in range(count):
        name, data = originals[number % len(originals)]
        raw = bytearray(data)
        for _ in range(chance.choice((1, 1, 2, 5, 30))):
            _mutate(raw, chance, originals)
        yield f"mutant {number} of {name}", bytes(raw)


def _mutate(raw: bytearray, chance: random.Random, originals: list[tuple[str, bytes]]) -> None:
    # Headers lie in front, and most of what can go wrong with them.
    at = chance.randrange(min(len(raw), chance.choice((64, 256, len(raw)))) or 1) if raw else 0
    length = chance.choice((1, 1, 2, 4, 16, 100))
    kind = chance.randrange(6)
    if kind == 0:
        raw[at : at + 1] = bytes((chance.randrange(256),))
    elif kind == 1:
        raw[at : at + 4] = struct.pack(
            chance.choice((">I", "<I")), chance.choice((0, 1, 2**16, 2**31 - 1, 2**32 - 1))
        )
    elif kind == 2:
        del raw[at : at + length]
    elif kind == 3:
        raw[at:at] = raw[at : at + length]
    elif kind == 4:
        raw[at : at + length] = chance.choice(originals)[1][at : at + length]
    else:
        del raw[chance.randrange(len(raw) + 1) :]


def from_corpus(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield every file below *folder*, whole and cut in the middle."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        yield path.name, data
        yield f"half of {path.name}", data[: len(data) // 2]


def hostile() -> Iterator[tuple[str, bytes]]:
    """Yield images that lie: huge ones, endless ones, other things under an image's first bytes."""
    for name, data in sound().items():
        for kept in range(0, len(data), 1024):
            yield f"{name} cut off at {kept}", data[:kept]
        yield f"{name} cut off by a byte", data[:-1]
        yield f"{name} with a zip behind it", data + _zip()
        yield f"{name} with HTML behind it", data + b"<html><script>alert(1)</script>"
    yield "bomb 30,000 x 30,000", images.pixel_bomb()
    yield "50,000 x 1", images.png(width=50_000, height=1)
    yield "1 x 50,000", images.png(width=1, height=50_000)
    yield "bomb 2^31 x 2^31", _png_saying(2**31 - 1, 2**31 - 1)
    yield "0 x 0", _png_saying(0, 0)
    for form in ("GIF", "BMP", "TIFF"):
        yield f"{form} of 9,000 x 9,000 in one colour", _one_colour(form, 9_000)
    yield "PNG with a text that unpacks to 256 MB", _png_with(b"zTXt", b"bomb\0\0" + _deflated(256))
    yield "PNG with an ICC profile that unpacks to 256 MB", _png_with(b"iCCP", b"bomb\0\0" + _deflated(256))
    yield "PNG of 100,000 empty chunks", _png_with(b"teSt", b"", count=100_000)
    yield "JPEG of 2 MB of fill bytes", b"\xff\xd8" + b"\xff" * 2**21
    yield "JPEG of 300,000 empty segments", b"\xff\xd8" + b"\xff\xe1\x00\x02" * 300_000
    yield "GIF of 3,000 frames", images.gif(width=2, height=2, frames=3_000)
    yield "TIFF whose directory points to itself", b"II*\0\x08\0\0\0\0\0\x08\0\0\0"
    yield "zip named as an image", _zip()
    yield "SVG", b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
    yield "HTML", b"<!doctype html><script>alert(1)</script>"
    yield "GIF that is also JavaScript", b"GIF89a/*" + b"\0" * 20 + b"*/=1;alert(1)//;"
    yield "JPEG that is also HTML", b"\xff\xd8\xff\xfe\x00\x40<script>alert(1)</script>" + b"\xff\xd9"
    for signature in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP", b"GIF89a", b"II*\0", b"BM"):
        yield f"{signature!r} and noise", signature + random.Random(3).randbytes(4_000)
        yield f"{signature!r} alone", signature
    yield "nothing", b""


def _progressive() -> bytes:
    buffer = io.BytesIO()
    images.pixels(images.jpeg(width=40, height=30)).save(buffer, "JPEG", progressive=True)
    return buffer.getvalue()


def _one_colour(form: str, side: int) -> bytes:
    buffer = io.BytesIO()
    options = {"compression": "tiff_lzw"} if form == "TIFF" else {}
    Image.new("1" if form == "BMP" else "L", (side, side)).save(buffer, form, **options)
    return buffer.getvalue()


def _deflated(megabytes: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(megabytes)) + packer.flush()


def _png_with(kind: bytes, data: bytes, *, count: int = 1) -> bytes:
    png = images.png()
    chunk = struct.pack(">I", len(data)) + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
    return png[:33] + chunk * count + png[33:]


def _png_saying(width: int, height: int) -> bytes:
    png = images.png()
    header = b"IHDR" + struct.pack(">II", width, height) + png[24:29]
    return png[:12] + header + zlib.crc32(header).to_bytes(4, "big") + png[33:]


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.html", "<script>alert(1)</script>")
    return buffer.getvalue()


if __name__ == "__main__":
    main(run)
