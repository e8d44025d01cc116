"""
What files made to cost time cost, beside an ordinary photo of the same size: seconds of the processor, decoding included.

    python bench/costly.py              # 16 MiB each, about a minute
    python bench/costly.py --mib 31

Each file passes through the same steps as an upload before it is sealed: inspection, decoding, thumbnail.
"""

import argparse
import sys
import time
from pathlib import Path

import sample_images

sys.path.insert(0, str(Path(__file__).parents[1]))

from pixstore.errors import ImageRejected
from pixstore.formats import MIME_TYPES, ImageLimits, inspect
from pixstore.gallery import thumbnails
from tests.costly_images import costly

LIMITS = ImageLimits(tuple(MIME_TYPES))
TARGET = 3


def main() -> int:
    """Print the table. Fail if a file costs more than *TARGET* times as much as the photo."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--mib", type=int, default=16, help="size of the files (default 16)")
    parser.add_argument("--rounds", type=int, default=3, help="the quickest of so many counts (default 3)")
    options = parser.parse_args()
    photo = sample_images.photo(options.mib * 2**20)
    ordinary, outcome = _cost(photo, options.rounds)
    if outcome != "kept":
        raise SystemExit(f"the photo is refused: {outcome}")
    print(f"an ordinary photo of {len(photo) / 2**20:.1f} MiB: {ordinary:.3f} s\n")
    print("| file | MiB | seconds | times the photo | outcome |\n| --- | --- | --- | --- | --- |")
    worst = 0.0
    for name, data in costly(options.mib * 2**20):
        seconds, outcome = _cost(data, options.rounds)
        worst = max(worst, seconds / ordinary)
        print(
            f"| {name} | {len(data) / 2**20:.1f} | {seconds:.3f} | {seconds / ordinary:.2f} | {outcome} |",
            flush=True,
        )
    print(f"\nat most {worst:.2f} times the photo")
    return 0 if worst <= TARGET else 1


def _cost(data: bytes, rounds: int) -> tuple[float, str]:
    """Return the processor time (seconds) that *data* takes, and the result."""
    seconds, outcome = [], ""
    for _ in range(rounds):
        start = time.process_time()
        outcome = _outcome(data)
        seconds.append(time.process_time() - start)
    return min(seconds), outcome


def _outcome(data: bytes) -> str:
    try:
        image = inspect(data, LIMITS, decode=False)
        thumbnails.decode(image, max_pixels=LIMITS.max_pixels, box=512)
    except ImageRejected as rejected:
        return rejected.reason
    return "kept"


if __name__ == "__main__":
    sys.exit(main())
