"""The gallery as people run it: gunicorn with two workers, on a data directory of its own."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import ClassVar

from tests.eventually import eventually
from tests.servers import START_SECONDS, answers, free_port, wait_for_server

ROOT = Path(__file__).parents[1]


class GalleryServer:
    """A running gallery; what it prints lies in *output*."""

    started: ClassVar[list["GalleryServer"]] = []

    def __init__(self, directory: Path, **settings: str) -> None:
        self.data_dir = directory / "data"
        self.output = directory / "output.txt"
        self.port = free_port()
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "GalleryServer":
        """Start it and wait until it answers."""
        self.started.append(self)
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PIXSTORE_")},
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "WEB_CONCURRENCY": "2",
            "PYTHONUNBUFFERED": "1",
            "PIXSTORE_DATA_DIR": str(self.data_dir),
            **self._settings,
        }
        with open(self.output, "ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn"], cwd=ROOT, env=environ, stdout=output, stderr=output
            )
        health = f"{environ.get('SCRIPT_NAME', '')}/healthz"
        try:
            wait_for_server(self._running, lambda: answers(self.port, health), "gunicorn", output=self.output)
        except AssertionError:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop it as a service manager does."""
        self.signal(signal.SIGTERM)
        self._running.wait(60)

    def signal(self, number: int) -> None:
        """Send a signal to gunicorn's first process: SIGHUP, say, which exchanges the workers."""
        self._running.send_signal(number)

    def workers(self) -> list[int]:
        """Return the process ids of the workers that live now."""
        pid = self._running.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def setup_link(self) -> str:
        """Return the one set-up link that was printed."""
        links = eventually(self._setup_links, START_SECONDS, "a set-up link is printed")
        assert len(links) == 1, self.output.read_text()
        return links[0]

    def setup_path(self) -> str:
        """Return the path of the set-up link, as clients ask for it."""
        return self.setup_link().removeprefix(self.url)

    def _setup_links(self) -> list[str]:
        return re.findall(r"^Set up: (http\S+)$", self.output.read_text(), re.MULTILINE)

    def blobs(self) -> set[str]:
        """Return the names of the sealed files on disk."""
        return {path.name for path in (self.data_dir / "blobs" / "objects").glob("*/*")}

    def image_ids(self) -> set[str]:
        """Return the ids in the database."""
        with closing(sqlite3.connect(self.data_dir / "pixstore.sqlite")) as database:
            return {image_id for (image_id,) in database.execute("SELECT id FROM image")}

    def every_byte(self) -> bytes:
        """Return all that lies in the data directory, but for the master key, in one piece."""
        files = [path for path in self.data_dir.rglob("*") if path.is_file() and path.name != "master.key"]
        return b"\n".join(path.read_bytes() for path in files)

    @property
    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None
        return self._process
