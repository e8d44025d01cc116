"""Files and directories that are mounted at a second place, as containers do it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def can_mount() -> bool:
    """Tell whether this process may mount anything."""
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], check=False).returncode == 0


@contextmanager
def mounted(source: Path, target: Path, *, read_only: bool = False) -> Iterator[None]:
    """Let *source* be seen at *target*, which has to be of the same kind, for the length of the block."""
    subprocess.run(["mount", "--bind", source, target], check=True)
    try:
        if read_only:
            subprocess.run(["mount", "-o", "remount,bind,ro", target], check=True)
        yield
    finally:
        subprocess.run(["umount", target], check=True)
