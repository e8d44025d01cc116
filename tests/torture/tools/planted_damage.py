"""Damage of every kind that `check` names, to images that nothing else uses; and orphans for `sweep`."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from pixstore.ids import new_blob_id
from pixstore.store import ImageStore
from tests import stored

DAY = 24 * 60 * 60

Findings = dict[str, tuple[str, bool]]
"""What a check finds: by blob, the kind, and whether it was repaired."""


class Planted:
    """A part of *image_ids* each lose their blob, have a bit flipped, or are told another size; some blobs are orphans."""

    def __init__(self, store: ImageStore, image_ids: Sequence[str], place: Path) -> None:
        self._store = store
        third = len(image_ids) // 3
        self._missing = self._blobs(image_ids[:third])
        self._damaged = self._blobs(image_ids[third : 2 * third])
        self._untrue = self._blobs(image_ids[2 * third :])
        self._place = place
        place.mkdir()
        for blob in self._missing:
            blob.rename(place / blob.name)
        self._flip()
        image = store.parts.models.image
        with store.connected():
            image.update(size=1).where(image.id.in_(image_ids[2 * third :])).execute()
        self.orphans = orphans(store, third)

    def findings(self, *, repaired: bool = False) -> Findings:
        """Return what a deep check has to find; one that repairs mends rows and removes orphans, and no more."""
        return {
            **{blob.name: ("missing", False) for blob in self._missing},
            **{blob.name: ("damaged", False) for blob in self._damaged},
            **{blob.name: ("disagrees", repaired) for blob in self._untrue},
            **{blob.name: ("orphan", repaired) for blob in self.orphans},
        }

    def heal(self) -> None:
        """Undo what no repair can."""
        for blob in self._missing:
            (self._place / blob.name).rename(blob)
        self._flip()

    def _flip(self) -> None:
        for blob in self._damaged:
            sealed = bytearray(blob.read_bytes())
            sealed[-1] ^= 1
            blob.write_bytes(sealed)

    def _blobs(self, image_ids: Sequence[str]) -> list[Path]:
        rows = self._store.parts.models.read_images(image_ids)
        return [stored.file_of_blob(self._store, rows[image_id].blob_id) for image_id in image_ids]


def found(output: str) -> Findings:
    """Return what `check --json` has printed, which has to be JSON and nothing else."""
    return {f["blob_id"]: (f["kind"], f["repaired"]) for f in json.loads(output)["findings"]}


def orphans(store: ImageStore, count: int, *, age: float = 2 * DAY) -> list[Path]:
    """Put *count* blobs into the store that no record names; return their files."""
    files = []
    for _ in range(count):
        blob_id = new_blob_id()
        store.parts.blobs.put(blob_id, [b"an orphan"])
        files.append(_aged(stored.file_of_blob(store, blob_id), age))
    return files


def unfinished(store: ImageStore, *, age: float = 2 * DAY) -> Path:
    """Leave behind what a put that was killed leaves; return the file."""
    path = store.config.blobs_path / "unfinished" / new_blob_id()
    path.write_bytes(b"half")
    return _aged(path, age)


def age(store: ImageStore) -> None:
    """Let every blob be of the day before yesterday."""
    for blob in store.parts.blobs.blobs():
        _aged(stored.file_of_blob(store, blob.blob_id), 2 * DAY)


def _aged(path: Path, age: float) -> Path:
    then = time.time() - age
    os.utime(path, (then, then))
    return path
