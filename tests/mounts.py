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
def mounted(source: Path, target: Path) -> Iterator[None]:
    """Let *source* be seen at *target*, which has to be of the same kind, for the length of the block."""
    subprocess.run(["mount", "--bind", source, target], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", target], check=True)
