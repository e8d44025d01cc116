"""
Bad images through the upload form: each is kept or refused with words, within 2 s and 512 MB of the server.

    python -m tests.torture.programs.bad_uploads '{"mutants": 2000, "corpus": "folder/of/images"}'

Time is that of the processor, so what else runs on the machine does not count. What takes too long among others is sent
again alone. In the end every picture that was kept is fetched from the image endpoint: byte for byte one that was sent,
and beside it a thumbnail that decodes.
"""

import hashlib
import io
import os
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from PIL import Image

from pixstore.formats import MIME_TYPES
from tests.gallery_client import HTMX, File, forms, pages
from tests.torture.programs import bad_images
from tests.torture.tools.attacked_gallery import Target, attacked, judged
from tests.torture.tools.outcomes import Outcome, main

SECONDS, MEGABYTES = 2.0, 512
MOST_FILES, MOST_BYTES = 40, 48 * 2**20
AT_ONCE, THUMBNAIL = 50, 512
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
SETTINGS = {"PIXSTORE_IMAGE_FORMATS": ",".join(MIME_TYPES)}

Candidate = tuple[str, bytes]


def run(
    mutants: int = 200, corpus: str | None = None, *, hostile: bool = True, seed: str | None = None
) -> Outcome:
    """Upload the *hostile* images, *mutants* mutated ones, and every file below *corpus*, to a new gallery."""
    outcome = Outcome()
    with attacked(*([seed] if seed else []), **SETTINGS) as target:
        assault(target, outcome, candidates=_everything(mutants, corpus, hostile=hostile))
    return outcome


def _everything(mutants: int, corpus: str | None, *, hostile: bool) -> Iterator[Candidate]:
    if hostile:
        yield from costly()
        yield from bad_images.hostile()
    if corpus:
        yield from bad_images.from_corpus(Path(corpus))
    yield from bad_images.mutated(mutants)


def assault(target: Target, outcome: Outcome, *, candidates: Iterator[Candidate]) -> None:
    """Upload *candidates* to *target*, as few forms as will hold them."""
    outcome.figures |= {"slowest": 0.0, "most MB": 0}
    attack = _Attack(target, outcome)
    with judged(target, outcome):
        for form in _forms(candidates):
            attack.upload(form)
        attack.read_back()
    outcome.words = f"{attack.sent} images, {attack.kept} kept"


class _Attack:
    """The uploads to a gallery, and their results."""

    def __init__(self, target: Target, outcome: Outcome) -> None:
        self.sent = self.kept = 0
        self._target, self._outcome = target, outcome
        self._digests: set[bytes] = set()
        self._meter = _Meter(target.server.workers())
        self._there_before = set(self._image_ids())

    def upload(self, form: list[Candidate], *, alone: bool = False) -> None:
        """Send one form, and measure its cost. If a form of several images costs too much, send each image alone."""
        files = [File(f"{number}.jpg", data) for number, (_, data) in enumerate(form)]
        body = forms.multipart([("new_album", "Attacked")], files)
        self._meter.start()
        answer = self._target.owner.ask("POST", "/upload", body, self._headers())
        seconds, megabytes = self._meter.read()
        self.sent += len(form)
        self._outcome.amount += len(form)
        self._digests |= {hashlib.sha256(data).digest() for _, data in form}
        kept, refused = len(pages.cards(answer.text)), pages.count_refused(answer.text)
        self.kept += kept
        if answer.status_code >= 500 or kept + refused != len(form):
            words = f"status {answer.status_code}, {kept} kept, {refused} refused of {len(form)}"
            self._outcome.anomalies.append(f"{form[0][0]} … {form[-1][0]}: {words}")
        if alone or len(form) == 1:
            self._note(form[0][0], seconds, megabytes)
        elif seconds > SECONDS or megabytes > MEGABYTES:
            for candidate in form:
                self.upload([candidate], alone=True)

    def _headers(self) -> dict[str, str]:
        return {**HTMX, "X-CSRFToken": self._target.csrf, "Content-Type": forms.MULTIPART}

    def _note(self, name: str, seconds: float, megabytes: int) -> None:
        figures = self._outcome.figures
        figures["slowest"] = max(figures["slowest"], round(seconds, 2))
        figures["most MB"] = max(figures["most MB"], megabytes)
        if seconds > SECONDS or megabytes > MEGABYTES:
            self._outcome.anomalies.append(f"{name}: {seconds:.1f} s, {megabytes} MB")

    def read_back(self) -> None:
        """Fetch every picture that was kept, and its thumbnail."""
        pictures = [ids for ids in self._image_ids() if ids not in self._there_before]
        if len(pictures) != self.kept:
            self._outcome.anomalies.append(f"{self.kept} were said to be kept, and there are {len(pictures)}")
        for at in range(0, len(pictures), AT_ONCE):
            some = pictures[at : at + AT_ONCE]
            for original, data in self._fetch([original for original, _ in some]):
                if hashlib.sha256(data).digest() not in self._digests:
                    self._outcome.anomalies.append(f"{original} is none that was sent")
            for thumbnail, data in self._fetch([thumbnail for _, thumbnail in some]):
                self._look_at_thumbnail(thumbnail, data)

    def _look_at_thumbnail(self, thumbnail: str, data: bytes) -> None:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            if max(image.size) > THUMBNAIL or image.format not in {"JPEG", "WEBP"}:
                self._outcome.anomalies.append(f"{thumbnail}: {image.format} of {image.size}")

    def _fetch(self, image_ids: list[str]) -> list[tuple[str, bytes]]:
        """Return images as a browser gets them: proofs from the gallery, sealed bytes from the endpoint."""
        shown = self._target.owner.records(image_ids)
        if len(shown) != len(image_ids):
            self._outcome.anomalies.append(f"{len(image_ids) - len(shown)} images are not there")
        seen = self._target.owner.sees_all(shown)
        return [(image.image_id, what.data if what else b"") for image, what in zip(shown, seen, strict=True)]

    def _image_ids(self) -> list[tuple[str, str]]:
        """Return the ids of every original and its thumbnail."""
        with closing(
            sqlite3.connect(self._target.server.data_dir / "pixstore.sqlite", timeout=30)
        ) as database:
            return list(database.execute("SELECT original_id, thumbnail_id FROM gallery_picture"))


class _Meter:
    """The cost of the workers: processor seconds since ``start``, and memory above that of idle workers."""

    def __init__(self, workers: list[int]) -> None:
        self._workers = workers
        self._idle = {worker: _kilobytes(worker, "VmRSS") for worker in workers}
        self._seconds = 0.0

    def start(self) -> None:
        """Begin to count."""
        for worker in self._workers:
            Path(f"/proc/{worker}/clear_refs").write_text("5")  # the peak is counted from here
        self._seconds = self._used()

    def read(self) -> tuple[float, int]:
        """Return seconds of all workers, and megabytes of the one that grew most."""
        grown = [_kilobytes(worker, "VmHWM") - self._idle[worker] for worker in self._workers]
        return self._used() - self._seconds, max(grown) // 1000

    def _used(self) -> float:
        stats = [
            Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split() for worker in self._workers
        ]
        return (
            sum(int(stat[11]) + int(stat[12]) for stat in stats) / CLOCK_TICKS
        )  # utime and stime of proc(5)


def _kilobytes(worker: int, name: str) -> int:
    status = Path(f"/proc/{worker}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(name))


def _forms(candidates: Iterator[Candidate]) -> Iterator[list[Candidate]]:
    """Yield *candidates* in lists, each of which fits a form."""
    form: list[Candidate] = []
    size = 0
    for name, data in candidates:
        if form and (len(form) == MOST_FILES or size + len(data) > MOST_BYTES or name.startswith(COSTLY)):
            yield form
            form, size = [], 0
        form.append((name, data))
        size += len(data)
    if form:
        yield form


# --- images that cost much


def costly() -> Iterator[Candidate]:
    """Yield small files, within the limits on size and pixels, that ask for much memory or time."""
    for pillow_name, mode, size, options in COSTLY_FORMS:
        buffer = io.BytesIO()
        Image.new(mode, size).save(buffer, pillow_name, **options)
        yield f"{COSTLY} {pillow_name} {mode} {options} of {size}", buffer.getvalue()
    for scans in (50, 2_000, 100_000):
        yield f"{COSTLY} JPEG of {scans} scans", endless_jpeg(scans)


COSTLY = "costly"
QUICK: dict[str, Any] = {"compress_level": 1}
COSTLY_FORMS: tuple[tuple[str, str, tuple[int, int], dict[str, Any]], ...] = (
    ("WEBP", "RGBA", (10_000, 10_000), {"lossless": True, "method": 0}),
    ("WEBP", "RGB", (5_100, 5_100), {"method": 0}),
    ("PNG", "RGBA", (10_000, 10_000), QUICK),
    ("PNG", "P", (10_000, 10_000), {**QUICK, "transparency": 0}),
    ("PNG", "I;16", (10_000, 10_000), QUICK),
    ("PNG", "L", (90_000_000, 1), QUICK),
    ("PNG", "L", (1, 45_000_000), QUICK),
    ("JPEG", "RGB", (10_000, 10_000), {"progressive": True, "subsampling": "4:2:0"}),
    ("JPEG", "RGB", (65_000, 1_538), {"progressive": True, "subsampling": "4:2:0"}),
    ("JPEG", "CMYK", (10_000, 10_000), {"progressive": True, "subsampling": "4:4:4"}),
    ("AVIF", "RGB", (5_100, 5_100), {"speed": 10, "subsampling": "4:4:4"}),
    ("GIF", "P", (10_000, 10_000), {}),
    ("TIFF", "RGBA", (7_200, 7_200), {"compression": "tiff_lzw", "tiffinfo": {278: 7_200}}),
)
"""Format, mode, size and options of the writer."""


def endless_jpeg(scans: int, side: int = 8_000) -> bytes:
    """Return a grey progressive JPEG that says nothing, *scans* times over: each is a hundred bytes of "as it was"."""
    blocks = (-(-side // 8)) ** 2
    # One Huffman code of four bits for each "the next 2^n blocks end here".
    bits, left = "", blocks
    while left > 0:
        run = min(left, 2**15 - 1)
        length = run.bit_length() - 1
        bits += f"{length:04b}" + (f"{run - 2**length:0{length}b}" if length else "")
        left -= run
    bits += "1" * (-len(bits) % 8)
    nothing = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    head = b"\xff\xd8" + _segment(0xDB, b"\0" + b"\1" * 64)
    head += _segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + b"\1\x11\0")
    head += _segment(
        0xC4, b"\x10" + bytes((0, 0, 0, 15)) + bytes(12) + bytes(length << 4 for length in range(15))
    )
    head += _segment(0xC4, b"\0\1" + bytes(16))
    first = _segment(0xDA, b"\1\1\0\0\0\0") + bytes(-(-blocks // 8))
    return head + first + (_segment(0xDA, b"\1\1\0\1\x3f\0") + nothing) * (scans - 1) + b"\xff\xd9"


def _segment(marker: int, data: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


if __name__ == "__main__":
    main(run)
