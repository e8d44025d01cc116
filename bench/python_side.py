"""
The project's side of the comparison: reads commands from stdin, one JSON object a line, and answers each with one line.

The protocol stands in bench/npm_side.mjs. The calls are the documented ones of `pixstore.backend`, in the same order.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pixstore import ImageRecord, backend


class Side:
    """One store in *directory*, with one image per file for reads and updates to go to."""

    def __init__(self, directory: str) -> None:
        backend.init_pixstore_backend(data_dir=directory, error_handling_mode="throw")
        self._files: dict[str, bytes] = {}
        self._images: dict[str, ImageRecord] = {}

    def image(self, name: str) -> ImageRecord:
        """Return the image that stands for the file *name*, saving it the first time."""
        if name not in self._images:
            self._files[name] = Path(name).read_bytes()
            self._images[name] = _not_none(backend.save_image(self._files[name]))
        return self._images[name]

    def save(self, name: str) -> None:
        """Save the file as a new image."""
        backend.save_image(self._files[name])

    def read(self, name: str) -> None:
        """Fetch the wire payload a client with the current token gets."""
        record = self._images[name]
        backend.custom_endpoint_helper(record.id, record.token, record.stateless_proof)

    def update(self, name: str) -> None:
        """Give the file's image a new version."""
        self._images[name] = _not_none(backend.update_image(self._images[name].id, self._files[name]))

    def time(self, operation: str, name: str, count: int) -> list[float]:
        """Return how many milliseconds each of *count* calls took."""
        self.image(name)
        call: Callable[[str], None] = {"save": self.save, "read": self.read, "update": self.update}[operation]
        times = []
        for _ in range(count):
            start = time.perf_counter()
            call(name)
            times.append((time.perf_counter() - start) * 1000)
        return times


def _not_none(record: ImageRecord | None) -> ImageRecord:
    if record is None:
        raise RuntimeError("the store refused the bench's own image")
    return record


def main() -> None:
    """Answer commands until stdin ends."""
    side = Side(json.loads(sys.argv[1])["directory"])
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "record":
            record = side.image(command["file"])
            answer: object = {"id": record.id, "token": record.token, "proof": record.stateless_proof}
        else:
            answer = {"ms": side.time(command["do"], command["file"], command["count"])}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
