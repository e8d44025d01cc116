"""
Every byte of blobs and rows altered, one at a time; rows and blobs put in each other's place.

Whatever is altered, reading gives the image that was saved or refuses; and a deep check finds it.

    python -m tests.torture.programs.bit_flips '{"images": 3}'
"""

import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from pixstore import proofs, wire
from pixstore.crypto import unseal
from pixstore.errors import PixstoreError
from pixstore.keyring import PROOF_LABEL
from pixstore.maintenance.check import check
from pixstore.models import Image
from pixstore.store import ImageStore
from tests.labelled import labelled
from tests.torture.tools.outcomes import Outcome, main
from tests.torture.tools.seeded_faults import seeded
from tests.torture.tools.stores import later, quiet_store

COLUMNS = [field.column_name for field in Image._meta.sorted_fields if field.name != "id"]
NOT_IN_THE_BLOB = {"token"}
"""A blob does not repeat it, so nothing can disagree with it; it opens nothing either."""


def run(images: int = 3, seed: str | None = None) -> Outcome:
    """Alter every byte that is kept of so many *images*."""
    outcome = Outcome()
    for number in range(0, images, 2):
        with tempfile.TemporaryDirectory(dir=_memory()) as place, seeded(seed):
            store = quiet_store(Path(place) / "data", now=later)
            labels = [f"image {number}", f"image {number + 1}"]
            alterations = _Alterations(
                store, {store.save(labelled(label)).id: label for label in labels}, outcome
            )
            alterations.of_everything()
            store.close()
    outcome.words = f"{outcome.amount} alterations of {images} images"
    return outcome


def _memory() -> str | None:
    """Return a directory in memory if the system has one, because this program does not test disks."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


class _Alterations:
    def __init__(self, store: ImageStore, saved: dict[str, str], outcome: Outcome) -> None:
        self._store, self._saved, self._outcome = store, saved, outcome

    def of_everything(self) -> None:
        """Alter every byte of every image."""
        for image_id in self._saved:
            self.of_blob(image_id)
            self.of_row(image_id)
        self.of_places(list(self._saved))
        self._outcome.anomalies += [
            f"{image_id} was not the same again"
            for image_id in self._saved
            if self._loaded(image_id) != self._sound(image_id)
        ]

    def of_blob(self, image_id: str) -> None:
        path = self._path(self._row(image_id)["blob_id"])
        sound = path.read_bytes()
        for at in range(len(sound)):
            path.write_bytes(_flipped(sound, at))
            self._judge(image_id, f"blob byte {at}")
        for kept in range(0, len(sound), 16):
            path.write_bytes(sound[:kept])
            self._judge(image_id, f"blob cut off at {kept}")
        path.write_bytes(sound + b"\0")
        self._judge(image_id, "blob with a byte too many")
        path.write_bytes(sound)

    def of_row(self, image_id: str) -> None:
        row = self._row(image_id)
        for column in COLUMNS:
            for what, altered in _altered(row[column]):
                with self._instead(image_id, column, altered):
                    self._judge(image_id, f"{column} {what}", is_found=column not in NOT_IN_THE_BLOB)

    def of_places(self, image_ids: list[str]) -> None:
        """Put the blob, or everything but the id, of one image into the place of the next."""
        for one, other in pairwise(image_ids):
            first, second = self._row(one), self._row(other)
            paths = [self._path(row["blob_id"]) for row in (first, second)]
            contents = [path.read_bytes() for path in paths]
            paths[0].write_bytes(contents[1])
            self._judge(one, "another image's blob under this name")
            paths[0].write_bytes(contents[0])
            fields = second
            paths[1].unlink()  # its blob id is unique, so the other row goes while this one takes its place
            with self._instead(other, "blob_id", "0" * 32), self._instead(one, None, fields):
                paths[1].write_bytes(contents[1])
                self._judge(one, "another image's row under this id", alone=False)

    def _judge(self, image_id: str, what: str, *, is_found: bool = True, alone: bool = True) -> None:
        self._outcome.amount += 1
        for way in (self._loaded, self._answered):
            try:
                shown = way(image_id)
            except PixstoreError:
                continue
            except Exception as error:  # noqa: BLE001 - anything else is an anomaly
                self._outcome.anomalies.append(f"{what}: {way.__name__}: {error!r}")
                continue
            if shown not in (None, self._sound(image_id)):
                self._outcome.anomalies.append(f"{what}: something else was shown")
        try:
            findings = check(self._store, deep=True).findings
        except Exception as error:  # noqa: BLE001 - a check has to get through
            self._outcome.anomalies.append(f"{what}: check: {error!r}")
            return
        found = {finding.image_id for finding in findings if finding.kind != "orphan"}
        if (is_found and image_id not in found) or (alone and found - {image_id}):
            self._outcome.anomalies.append(f"{what}: check found {[(f.kind, f.message) for f in findings]}")

    def _sound(self, image_id: str) -> bytes:
        return labelled(self._saved[image_id])

    def _loaded(self, image_id: str) -> bytes:
        return self._store.load(image_id)

    def _answered(self, image_id: str) -> bytes | None:
        """Return what a browser would show."""
        config, key = self._store.config, self._store.secret(PROOF_LABEL)
        window_length = config.stateless_key_window_length
        proof = proofs.issue(image_id, key=key, now=self._store.now(), window_length=window_length)
        answer = wire.decode(self._store.answer(image_id, proof=proof).to_bytes())
        if not isinstance(answer, wire.Updated):
            return None
        return bytes(unseal(answer.ciphertext, key=answer.key, iv=answer.iv, tag=answer.tag)[1])

    def _row(self, image_id: str) -> dict[str, Any]:
        with self._store.connected():
            query = f"SELECT {', '.join(COLUMNS)} FROM image WHERE id = ?"
            return dict(
                zip(COLUMNS, self._store.database.execute_sql(query, [image_id]).fetchone(), strict=True)
            )

    def _path(self, blob_id: str) -> Path:
        return self._store.config.blobs_path / "objects" / blob_id[:2] / blob_id

    def _instead(self, image_id: str, column: str | None, value: Any) -> "_Instead":
        fields = value if column is None else {column: value}
        return _Instead(self._store, image_id, fields)


class _Instead:
    """Other values in a row, for the length of a block."""

    def __init__(self, store: ImageStore, image_id: str, fields: dict[str, Any]) -> None:
        self._store, self._image_id, self._fields = store, image_id, fields

    def __enter__(self) -> None:
        columns = ", ".join(self._fields)
        with self._store.connected():
            self._before = self._sql(f"SELECT {columns} FROM image WHERE id = ?", [self._image_id]).fetchone()
        self._write(list(self._fields.values()))

    def __exit__(self, *_: object) -> None:
        self._write(self._before)

    def _write(self, values: Any) -> None:
        places = ", ".join(f"{column} = ?" for column in self._fields)
        with self._store.connected():
            self._sql("PRAGMA foreign_keys = OFF", [])  # whoever alters the file does not keep to its rules
            self._sql(f"UPDATE image SET {places} WHERE id = ?", [*values, self._image_id])
            self._sql("PRAGMA foreign_keys = ON", [])

    def _sql(self, words: str, values: list[Any]) -> Any:
        return self._store.database.execute_sql(words, values)


def _altered(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, int):
        for bit in range(0, 53, 7):
            yield f"bit {bit}", value ^ 1 << bit
        yield "negative", -value - 1
    elif isinstance(value, str):
        for at in range(len(value)):
            yield f"character {at}", value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :]
        yield "empty", ""
        yield "as bytes that are no text", b"\xff\xfe"
    else:
        raw = bytes(value)
        for at in range(len(raw)):
            yield f"byte {at}", _flipped(raw, at)
        yield "empty", b""
        yield "a byte too many", raw + b"\0"
        yield "as text", "text"


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 1 << at % 8,)) + data[at + 1 :]


if __name__ == "__main__":
    main(run)
