"""The memory of a running gallery: of gunicorn and all its workers. Shared memory counts once (PSS)."""

from tests.gallery_server import GalleryServer


def memory_mb(server: GalleryServer) -> float:
    """Return the memory in MB (2**20 bytes)."""
    return sum(_pss_kb(process) for process in processes_of(server)) / 1024


def processes_of(server: GalleryServer) -> list[int]:
    """Return the process ids of gunicorn and its workers."""
    workers = server.workers()
    return [_parent(workers[0]), *workers]


def _parent(process: int) -> int:
    with open(f"/proc/{process}/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("PPid:"))


def _pss_kb(process: int) -> int:
    with open(f"/proc/{process}/smaps_rollup") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
