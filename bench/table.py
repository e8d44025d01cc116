"""
What the bench prints: rows of measured figures, each beside its target.

A target that is met is shown as it is, "1.62 (≥ 1.5)"; one that is not says so, "1.31 (≥ 1.5: missed)".
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

HERE, NPM, FLOOR = "here", "npm", "floor"
SIDES = (HERE, NPM, FLOOR)

NAMES = ("what", "image", "load")
RATES = ("here /s", "npm /s", "floor /s", "÷ npm", "÷ floor", "÷ other row")
COSTS = ("here cpu ms", "npm cpu ms", "floor cpu ms")
DOCUMENT = [
    *NAMES,
    "per second: here / npm / floor",
    "÷ npm",
    "÷ floor",
    "÷ other row",
    "cpu ms: here / npm / floor",
    "p50 ms: here / npm",
    "p99 ms: here / npm",
]
"""The columns of a table for a document: fewer, so that it can be read there."""
LATENCIES = ("here p50 ms", "npm p50 ms", "here p99 ms", "npm p99 ms")


@dataclass(frozen=True)
class Sample:
    """One batch of calls, or one window of requests; times in ms."""

    per_second: float
    processor: float
    p50: float | None = None
    p99: float | None = None


@dataclass(frozen=True)
class Target:
    """A bound of one figure: at least, or at most."""

    at_least: float | None = None
    at_most: float | None = None

    def judged(self, value: float) -> str:
        """Return the bound in words, and whether *value* misses it."""
        if self.at_least is not None:
            return f"≥ {self.at_least:g}{': missed' if value < self.at_least else ''}"
        if self.at_most is not None:
            return f"≤ {self.at_most:g}{': missed' if value > self.at_most else ''}"
        return ""

    def beside(self, value: float) -> str:
        """Return what stands behind *value* in a cell."""
        return f" ({self.judged(value)})"


@dataclass
class Row:
    """One operation under one load: what each side did in each round, and the targets for it."""

    what: str
    image: str
    load: str
    npm: Target | None = None
    floor: Target | None = None
    other: "tuple[Row, str, Target] | None" = None
    """Another row, what to call it, and the bound of this row's rate by that row's."""
    processor: Target | None = None
    """Of our processor time for one call, in ms."""
    processor_by_npm: Target | None = None
    p99_by_npm: Target | None = None
    samples: dict[str, list[Sample]] = field(default_factory=lambda: {side: [] for side in SIDES})

    def median(self, side: str, figure: Callable[[Sample], float | None]) -> float | None:
        """Return the median over all rounds, or ``None`` if this side was not measured."""
        values = [value for sample in self.samples[side] if (value := figure(sample)) is not None]
        return statistics.median(values) if values else None

    def rate(self, side: str) -> float | None:
        """Return calls or requests a second."""
        return self.median(side, lambda sample: sample.per_second)

    def cells(self) -> list[str]:
        """Return the row as text."""
        rates = [self.rate(side) for side in SIDES]
        costs = [self.median(side, lambda sample: sample.processor) for side in SIDES]
        p50, p99 = (
            [self.median(side, figure) for side in (HERE, NPM)]
            for figure in (lambda sample: sample.p50, lambda sample: sample.p99)
        )
        return [
            self.what,
            self.image,
            self.load,
            *map(number, rates),
            ratio(rates[0], rates[1], self.npm),
            ratio(rates[0], rates[2], self.floor),
            self._beside_other(rates[0]),
            number(costs[0]) + _bounds(costs[0], costs[1], self.processor, self.processor_by_npm),
            *map(number, costs[1:]),
            *map(number, p50),
            number(p99[0]) + _bounds(p99[0], p99[1], None, self.p99_by_npm),
            number(p99[1]),
        ]

    def _beside_other(self, rate: float | None) -> str:
        if self.other is None:
            return ""
        row, name, target = self.other
        beside = row.rate(HERE)
        return f"{rate / beside:.2f} × {name} ({target.judged(rate / beside)})" if rate and beside else ""


@dataclass
class Figure:
    """Something else that is measured: one number for each side, in a unit of its own."""

    what: str
    unit: str
    target: Target | None = None
    by_npm: Target | None = None
    by_other: "tuple[Figure, str, Target] | None" = None
    """Another figure, what to call it, and the bound of how much larger this one is."""
    values: dict[str, list[float]] = field(default_factory=lambda: {side: [] for side in SIDES})

    def median(self, side: str) -> float | None:
        """Return the median over all rounds, or ``None`` if this side was not measured."""
        return statistics.median(self.values[side]) if self.values[side] else None

    def cells(self) -> list[str]:
        """Return the figure as text."""
        here, npm = self.median(HERE), self.median(NPM)
        other = ""
        if self.by_other is not None and here is not None:
            figure, name, target = self.by_other
            beside = figure.median(HERE)
            other = "" if beside is None else f"{here - beside:+.2f}{target.beside(here - beside)} to {name}"
        return [
            self.what,
            self.unit,
            number(here) + ("" if here is None or self.target is None else self.target.beside(here)),
            number(npm),
            ratio(here, npm, self.by_npm),
            other,
        ]


def merged(cells: Sequence[str]) -> list[str]:
    """Return the cells of a row in the fewer columns of a document."""
    rates, costs, p50, p99 = cells[3:6], cells[9:12], cells[12:14], cells[14:16]
    joined = [" / ".join(cell for cell in group if cell) for group in (rates, costs, p50, p99)]
    return [*cells[:3], joined[0], *cells[6:9], *joined[1:]]


def number(value: float | None) -> str:
    """Return *value* with three digits or more, or nothing."""
    if value is None:
        return ""
    if value >= 100 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def ratio(value: float | None, by: float | None, target: Target | None) -> str:
    """Return how many times *by* is in *value*, and what it should be."""
    if value is None or not by:
        return ""
    return f"{value / by:.2f}{target.beside(value / by) if target else ''}"


def _bounds(here: float | None, npm: float | None, own: Target | None, by_npm: Target | None) -> str:
    if here is None:
        return ""
    words = own.beside(here) if own else ""
    if by_npm and npm:
        words += f" ({here / npm:.2f} × npm's, {by_npm.judged(here / npm)})"
    return words


def show(rows: Sequence[Row], figures: Sequence[Figure], *, markdown: bool) -> None:
    """Print what was measured; columns in which nothing stands are left out."""
    measured = [row.cells() for row in rows if any(row.samples.values())]
    if measured and markdown:
        _print(DOCUMENT, [merged(cells) for cells in measured], len(NAMES), markdown)
    elif measured:
        _print([*NAMES, *RATES, *COSTS, *LATENCIES], measured, len(NAMES), markdown)
    shown = [figure for figure in figures if any(figure.values.values())]
    if shown:
        print()
        head = ["what", "unit", "here", "npm", "here ÷ npm", "more than another row"]
        _print(head, [figure.cells() for figure in shown], 2, markdown)


def _print(head: list[str], lines: list[list[str]], names: int, markdown: bool) -> None:
    kept = [column for column in range(len(head)) if any(line[column] for line in lines)]
    table = [[line[column] for column in kept] for line in (head, *lines)]
    if markdown:
        for number, line in enumerate(table):
            print(f"| {' | '.join(line)} |")
            if not number:
                print(f"| {' | '.join('---' if i < names else '---:' for i in range(len(kept)))} |")
        return
    widths = [max(len(line[column]) for line in table) for column in range(len(kept))]
    for line in table:
        cells = (
            cell.ljust(width) if i < names else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        print("  ".join(cells).rstrip())
