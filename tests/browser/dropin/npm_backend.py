"""The backend of npm's `pixstore`, run by Node.js."""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = Path(__file__).with_suffix(".mjs")
DATABASE_DRIVER = ROOT / "node_modules/better-sqlite3/build/Release/better_sqlite3.node"
"""What the package needs compiled; `make test` does that where there is a compiler."""


class NpmBackend:
    """One backend on data of its own, with its own endpoint or, if *custom*, with one made by customEndpointHelper."""

    def __init__(self, directory: Path, *, custom: bool = False) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        argument = json.dumps({"directory": str(directory), "custom": custom})
        self._process = subprocess.Popen(
            ["node", str(PROGRAM), argument], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.port: int = self._answer()["port"]

    def save(self, image: bytes, folder: str | None = None) -> dict:
        """Call saveImage() and return the record."""
        return self._ask(do="save", image=base64.b64encode(image).decode(), dir=folder)

    def update(self, image_id: str, image: bytes) -> dict:
        """Call updateImage() and return the new record."""
        return self._ask(do="update", id=image_id, image=base64.b64encode(image).decode())

    def delete(self, image_id: str) -> None:
        """Call deleteImage()."""
        self._ask(do="delete", id=image_id)

    def close(self) -> None:
        """Let the process end, and wait for it."""
        self._process.communicate(timeout=30)

    def _ask(self, **command: Any) -> Any:
        given = {name: value for name, value in command.items() if value is not None}
        print(json.dumps(given), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> Any:
        line = self._process.stdout.readline()
        assert line, "npm's backend ended early"
        return json.loads(line)
