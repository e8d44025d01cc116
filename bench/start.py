"""How long a server takes from its start to its first image, in a store of one image and in one of 10^6 rows besides."""

import time
from contextlib import ExitStack
from urllib.parse import quote

import sample_images
from processes import ROUTE, gunicorn, side, wait_until_it_answers
from reads import filled_store
from rounds import Plan
from table import HERE, Figure, Target

ROWS = 1_000_000
MOST_SECONDS_MORE = 1.0


def measure(plan: Plan) -> list[Figure]:
    """Return both times."""
    empty = Figure("start to first image, 1 image", "s")
    full = Figure("start to first image, 10^6 rows", "s")
    full.by_other = (empty, "1 image", Target(at_most=MOST_SECONDS_MORE))
    small = sample_images.write(plan.directory, ["10 KB"])["10 KB"]
    with ExitStack() as stack:
        directories = plan.directory / "start-empty", filled_store(plan, ROWS)[0]
        sides = [(place, stack.enter_context(side("python_side.py", place))) for place in directories]
        for number in plan.numbered("start"):
            for figure, (directory, records) in zip((empty, full), sides, strict=True):
                (record,) = records.ask(do="hold", file=small, count=1)["records"]
                path = f"{ROUTE}/{quote(record['id'], safe='')}"
                began = time.perf_counter()
                with gunicorn(directory) as (port, _):
                    body = wait_until_it_answers(port, path, {"x-pixstore-proof": record["proof"]})
                    elapsed = time.perf_counter() - began
                if body[:1] != b"\1":
                    raise SystemExit(f"bench: the first answer is {body[:1]!r}")
                if number >= 0:
                    figure.values[HERE].append(elapsed)
    return [empty, full]
