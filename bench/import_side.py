"""
How close `flask pixstore import` comes to what decoding and the disk allow.

    .venv/bin/python bench/import_side.py                                  # 120 photos of 12 megapixels, 5 rounds
    .venv/bin/python bench/import_side.py --photos 400 --rounds 3 --directory /mnt/other-disk

Three things are timed, by the same number of processes, in rounds that are interleaved and turn their order around:

    import      the folder into an account of a new store, from the start of the first process to the end of the last
    decoding    the same files read, inspected, decoded and made into thumbnails; nothing is stored
    disk        the same bytes written to new files, each made durable with its folder

Neither floor counts the start of its processes. The ratio is the slower floor's time by the import's: 100 % is what no import
can go beyond that decodes every picture once and makes it durable.
"""

import argparse
import logging
import multiprocessing
import os
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path

import sample_images

sys.path.insert(0, str(Path(__file__).parents[1]))

from pixstore import formats
from pixstore.config import Config
from pixstore.gallery import Gallery, accounts, importing, thumbnails
from pixstore.store import ImageStore

WIDTH, HEIGHT, SIZE = 4000, 3000, 3_500_000
_SPAWN = multiprocessing.get_context("spawn")


def main() -> None:
    """Print the table."""
    options = _options()
    logging.basicConfig(level=logging.ERROR)
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        folder = Path(directory) / "photos"
        size = _make_photos(folder, options.photos)
        print(
            f"{options.photos} photos of {WIDTH} x {HEIGHT}, {size / options.photos / 1e6:.1f} MB each, "
            f"{options.processes} processes"
        )
        _print(_measured(folder, Path(directory), options), options.photos)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time an import beside what bounds it.")
    parser.add_argument("--photos", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--directory", type=Path, help="where photos and stores lie meanwhile")
    return parser.parse_args()


def _make_photos(folder: Path, count: int) -> int:
    """Fill *folder* with photos that differ in a comment alone; return their bytes in all."""
    folder.mkdir()
    photo = sample_images.jpeg(WIDTH, HEIGHT, SIZE)
    for number in range(count):
        comment = b"\xff\xfe\x00\x0a" + f"{number:08}".encode()
        (folder / f"{number:05}.jpg").write_bytes(photo[:2] + comment + photo[2:])
    return (len(photo) + 12) * count


def _measured(folder: Path, directory: Path, options: argparse.Namespace) -> dict[str, list[float]]:
    paths = sorted(folder.iterdir())
    kinds: dict[str, Callable[[], float]] = {
        "import": lambda: _time_import(folder, directory, options.processes),
        "decoding": lambda: _time_floor(_decode, paths, options.processes),
        "disk": lambda: _time_floor(partial(_write, directory), paths, options.processes),
    }
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(options.rounds):
        for kind, measure in list(kinds.items())[:: -1 if number % 2 else 1]:
            times[kind].append(measure())
    return times


def _time_import(folder: Path, directory: Path, processes: int) -> float:
    data_dir = directory / f"data-{secrets.token_hex(4)}"
    store = ImageStore.open(Config(data_dir=data_dir))
    gallery = Gallery.open(store)
    with store.connected():
        user = accounts.create_user(gallery, "anna", "a password for the bench")
    started = time.perf_counter()
    report = importing.import_folder(gallery, user, folder, processes=processes)
    seconds = time.perf_counter() - started
    if report.added != report.files:
        raise SystemExit(f"only {report.added} of {report.files} photos were imported: {report.stopped}")
    store.close()
    shutil.rmtree(data_dir)
    return seconds


def _time_floor(work: Callable[[Path], None], paths: list[Path], processes: int) -> float:
    with _SPAWN.Pool(processes) as pool:
        _warm_up(pool, paths[0], processes)
        started = time.perf_counter()
        for _ in pool.imap_unordered(work, paths):
            pass
        return time.perf_counter() - started


def _warm_up(pool: Pool, path: Path, processes: int) -> None:
    """Let every process load what it needs."""
    pool.map(_decode, [path] * processes * 2, chunksize=1)


def _decode(path: Path) -> None:
    config = Config()
    image = formats.inspect(path.read_bytes(), config.image_limits)
    thumbnails.decode(image, max_pixels=config.max_image_pixels, box=config.thumbnail_size)


def _write(directory: Path, path: Path) -> None:
    """Write the bytes of *path* to a new file and make it durable; then remove it."""
    copy = directory / secrets.token_hex(8)
    with open(copy, "wb") as file:
        file.write(path.read_bytes())
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(directory, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
    copy.unlink()


def _print(times: dict[str, list[float]], photos: int) -> None:
    print(f"{'':10} {'median':>10} {'fastest':>10} {'photos/s':>10}")
    for kind, seconds in times.items():
        median, fastest = statistics.median(seconds), min(seconds)
        print(f"{kind:10} {median:8.2f} s {fastest:8.2f} s {photos / median:10.1f}")
    for name, of in (("medians", statistics.median), ("fastest rounds", min)):
        floor = max(of(times["decoding"]), of(times["disk"]))
        print(f"ratio of {name}: {100 * floor / of(times['import']):.0f} %")


if __name__ == "__main__":
    main()
