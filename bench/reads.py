"""
Reading by library call: the record of an image, with its key, and the payload for a client that has the current token.

A look-up is measured among 10^3 images, and with ``--large`` among 10^6 rows. Its floor is the same SELECT on the same
database and the unwrapping of one key.
"""

import functools
import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import sample_images
from processes import HERE as BENCH
from processes import Side, environment, side
from rounds import Plan, batch, turned
from table import FLOOR, HERE, NPM, Row, Target

LOOKS = 2000
CALLERS = {"one caller": 1, "8 callers": 8}
LOOK_BY_FLOOR = 0.7
LOOK_COST_OF_A_MILLION = 1.3
PAYLOADS = {"10 KB": (50, 400), "200 KB": (20, 200), "2 MB": (4, 40), "10 MB": (2, 8)}
"""How many images take turns, and how often one is asked for in a round."""


def measure_looks(plan: Plan, *, large: bool) -> list[Row]:
    """Return a row for each number of images and callers."""
    counts = {"10^3 images": 1000} | ({"10^6 images": 1_000_000} if large else {})
    rows = {(images, load): Row("look-up", images, load) for images in counts for load in CALLERS}
    for row in rows.values():
        row.floor = Target(at_least=LOOK_BY_FLOOR)
    if large:
        least = Target(at_least=round(1 / LOOK_COST_OF_A_MILLION, 2))
        rows["10^6 images", "one caller"].other = (rows["10^3 images", "one caller"], "10^3 images", least)
    with ExitStack() as stack:
        sides = {images: _sides_among(stack, plan, count) for images, count in counts.items()}
        for number in plan.numbered("look-ups"):
            for (images, load), row in rows.items():
                for name in turned(list(sides[images]), number):
                    sample = batch([sides[images][name]], "look", "", LOOKS, CALLERS[load])
                    if number >= 0:
                        row.samples[name].append(sample)
    return list(rows.values())


def _sides_among(stack: ExitStack, plan: Plan, count: int) -> dict[str, Side]:
    """Return the three sides, each of which knows ids among *count* rows."""
    npm = plan.directory / f"look-ups-npm-{count}"
    small = sample_images.write(plan.directory, ["10 KB"])["10 KB"]
    sides = {NPM: stack.enter_context(side("npm_side.mjs", npm))}
    sides[NPM].ask(do="hold", file=small, count=1)
    sides[NPM].ask(do="know", ids=filled("npm", npm, count))
    ours, image_ids = filled_store(plan, count)
    sides[HERE] = stack.enter_context(side("python_side.py", ours))
    database = str(ours / "pixstore.sqlite")
    floor = plan.directory / f"look-ups-floor-{count}"
    sides[FLOOR] = stack.enter_context(side("floor_side.py", floor, database=database))
    for name in (HERE, FLOOR):
        sides[name].ask(do="know", ids=image_ids)
    return sides


def measure_payloads(plan: Plan) -> list[Row]:
    """Return a row for each size."""
    files = sample_images.write(plan.directory, list(PAYLOADS))
    rows = {size: Row("payload, Success", size, "one caller") for size in files}
    with ExitStack() as stack:
        sides = {
            HERE: stack.enter_context(side("python_side.py", plan.directory / "payloads-here")),
            NPM: stack.enter_context(side("npm_side.mjs", plan.directory / "payloads-npm")),
        }
        for number in plan.numbered("payloads"):
            for size, row in rows.items():
                held, count = PAYLOADS[size]
                for name in turned(list(sides), number):
                    sides[name].ask(do="hold", file=files[size], count=held)
                    sample = batch([sides[name]], "payload", files[size], count, 1)
                    if number >= 0:
                        row.samples[name].append(sample)
    return list(rows.values())


@functools.cache
def filled_store(plan: Plan, count: int) -> tuple[Path, list[str]]:
    """Return the directory of a store with *count* rows, and some of their ids. All parts of one run share it."""
    directory = plan.directory / f"rows-{count}"
    return directory, filled("images", directory, count)


def filled(what: str, directory: Path, count: int) -> list[str]:
    """Run `fill.py`, and return some of the ids it has made."""
    directory.mkdir(parents=True, exist_ok=True)
    argument = json.dumps({"what": what, "directory": str(directory), "count": count})
    command = [sys.executable, str(BENCH / "fill.py"), argument]
    done = subprocess.run(command, env=environment(), check=True, stdout=subprocess.PIPE, text=True)
    image_ids: list[str] = json.loads(done.stdout)["ids"]
    return image_ids
