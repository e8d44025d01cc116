"""This project's side of the comparison: the documented calls of `pixstore.backend` behind the protocol of `side_loop.py`."""

import json
import sys
from pathlib import Path
from typing import Any

from side_loop import serve

from pixstore import ImageRecord, backend


class Side:
    """One store in *directory*."""

    def __init__(self, directory: str) -> None:
        self.store = backend.init_pixstore_backend(data_dir=directory, error_handling_mode="throw")
        self._data: dict[str, bytes] = {}
        self._made: dict[str, list[str]] = {}
        self._held: dict[str, list[ImageRecord]] = {}
        self._known: list[str] = []

    def save(self, file: str, _: int) -> None:
        """Save the file as a new image."""
        record = _not_none(backend.save_image(self._bytes(file)))
        self._made.setdefault(file, []).append(record.id)

    def update(self, file: str, number: int) -> None:
        """Give a saved image a new version."""
        backend.update_image(self._made[file][number], self._bytes(file))

    def delete(self, file: str, _: int) -> None:
        """Remove a saved image."""
        backend.delete_image(self._made[file].pop())

    def look(self, _: str, number: int) -> None:
        """Look up the record of an image, with its key."""
        _not_none(backend.get_image_record(self._known[number % len(self._known)]))

    def payload(self, file: str, number: int) -> None:
        """Fetch the wire payload that a client with the current token gets."""
        records = self._held[file]
        record = records[number % len(records)]
        if not backend.custom_endpoint_helper(record.id, record.token, record.stateless_proof):
            raise RuntimeError("the store gave no payload")

    def hold(self, command: dict[str, Any]) -> dict[str, Any]:
        """Keep so many images of a file, and return their records with proofs of now."""
        data, records = self._bytes(command["file"]), self._held.setdefault(command["file"], [])
        while len(records) < command["count"]:
            records.append(_not_none(backend.save_image(data)))
        records[:] = [_not_none(backend.get_image_record(record.id)) for record in records]
        shown = [{"id": r.id, "token": r.token, "proof": r.stateless_proof} for r in records]
        return {"records": shown[: command["count"]]}

    def know(self, command: dict[str, Any]) -> dict[str, Any]:
        """Remember which images ``look`` asks for."""
        self._known = command["ids"]
        return {}

    def _bytes(self, file: str) -> bytes:
        if file not in self._data:
            self._data[file] = Path(file).read_bytes()
        return self._data[file]


def _not_none(record: ImageRecord | None) -> ImageRecord:
    if record is None:
        raise RuntimeError("the store refused the bench's own image")
    return record


def main() -> None:
    """Answer commands until stdin ends."""
    side = Side(json.loads(sys.argv[1])["directory"])
    operations = {
        "save": side.save,
        "update": side.update,
        "delete": side.delete,
        "look": side.look,
        "payload": side.payload,
    }
    serve(operations, {"hold": side.hold, "know": side.know}, side.store.parts.reaper.drain)


if __name__ == "__main__":
    main()
