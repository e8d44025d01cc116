"""
Power cuts on a real file system: a loop device whose journal is shut down under running writers. Needs root.

    python -m tests.torture.programs.power_cut_device '{"filesystem": "ext4", "rounds": 3}'

The writers are stopped (SIGSTOP) before the cut, so that none of them acknowledges anything after it began.
"""

import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.eventually import eventually
from tests.torture.programs.kill_9 import Loop
from tests.torture.tools.outcomes import Outcome, main
from tests.torture.tools.seeded_faults import seeded

MEGABYTES = {"ext4": 192, "xfs": 320}


def run(filesystem: str = "ext4", rounds: int = 3, writers: int = 4, seed: str | None = None) -> Outcome:
    """Cut the power *rounds* times."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as place, seeded(seed), _Disk(Path(place), filesystem).made() as disk:
        loop = Loop(disk.mounted / "data", writers)
        os.sync()
        for number in range(rounds):
            running = loop.begin()
            time.sleep(random.Random(number).uniform(0.05, 0.3))
            disk.cut(running.children)
            loop.end(running)
            outcome.anomalies += [f"round {number}: {words}" for words in loop.check(deep=number % 10 == 9)]
    outcome.amount = loop.acknowledged
    outcome.words = f"{rounds} cuts, {writers} processes, {loop.acknowledged} acknowledged"
    return outcome


class _Disk:
    """A file system in a file."""

    def __init__(self, place: Path, filesystem: str) -> None:
        self._image, self.mounted, self._filesystem = place / "disk", place / "mounted", filesystem

    @contextmanager
    def made(self) -> Iterator["_Disk"]:
        """Make and mount it."""
        self._image.touch()
        os.truncate(self._image, MEGABYTES[self._filesystem] * 2**20)
        _do(f"mkfs.{self._filesystem}", "-q", self._image)
        self.mounted.mkdir()
        self._mount()
        try:
            yield self
        finally:
            _do("umount", "-l", self.mounted)

    def cut(self, writers: dict[int, int]) -> None:
        """Cut the power under *writers* and switch it on again; they do not survive it."""
        for writer in writers:
            os.kill(writer, signal.SIGSTOP)
        eventually(lambda: all(map(_stands_still, writers)), what="every writer stands still")
        _do("xfs_io", "-x", "-c", "shutdown", self.mounted)
        for writer in writers:
            os.kill(writer, signal.SIGKILL)
            os.waitid(os.P_PID, writer, os.WEXITED | os.WNOWAIT)
        _do("umount", self.mounted)
        self._mount()

    def _mount(self) -> None:
        _do("mount", "-o", "loop", self._image, self.mounted)


def _stands_still(process: int) -> bool:
    return psutil.Process(process).status() in ("stopped", "zombie")


def available() -> bool:
    """Tell whether this machine lets us make and mount file systems."""
    tools = ("mkfs.ext4", "mkfs.xfs", "xfs_io", "mount", "losetup")
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return (
        os.geteuid() == 0
        and Path("/dev/loop-control").exists()
        and all(shutil.which(tool, path=path) for tool in tools)
    )


def _do(*command: str | Path) -> None:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PATH": path})


if __name__ == "__main__":
    main(run)
