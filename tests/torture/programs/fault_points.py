"""
Stop every operation at every step, and look at what is left.

    python -m tests.torture.programs.fault_points '{"scenarios": ["save"], "stride": 1}'
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from pixstore.errors import PixstoreError
from pixstore.store import ImageStore
from tests.labelled import labelled
from tests.torture.tools.outcomes import Outcome, main
from tests.torture.tools.scenarios import SCENARIOS, Scenario, Template, make_template
from tests.torture.tools.seeded_faults import seeded
from tests.torture.tools.steps import KILLED, Fault, Interrupted, Steps
from tests.torture.tools.stores import anomalies, later, quiet_store

HOURS = 3 * 60 * 60_000
"""The operations run that much later, so that old store keys may go."""


def run(
    scenarios: Iterable[str] | None = None,
    faults: Iterable[str] | None = None,
    stride: int = 1,
    offset: int = 0,
    seed: str | None = None,
) -> Outcome:
    """Stop the *scenarios* at every *stride*-th step in every way."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as directory:
        template = make_template(Path(directory) / "template")
        points = _Points(template, Path(directory) / "work", seed)
        for scenario in SCENARIOS:
            if scenarios is None or scenario.name in scenarios:
                points.stop_everywhere(scenario, _chosen(faults), range(offset, 10_000, stride), outcome)
    outcome.words = f"{outcome.amount} points"
    return outcome


class _Points:
    def __init__(self, template: Template, work: Path, seed: str | None) -> None:
        self._template, self._work, self._seed = template, work, seed

    def stop_everywhere(
        self, scenario: Scenario, faults: list[Fault], points: range, outcome: Outcome
    ) -> None:
        steps = self._count(scenario)
        outcome.anomalies += [f"{scenario.name}: a step that is not counted: {step}" for step in steps.unseen]
        outcome.figures[scenario.name] = len(steps.names)
        for at, step in enumerate(steps.names):
            for fault in faults if at in points else ():
                outcome.amount += 1
                wrong = self.stop_at(scenario, at, fault)
                outcome.anomalies += [f"{scenario.name}, {step}: {fault.value}: {words}" for words in wrong]

    def stop_at(self, scenario: Scenario, at: int, fault: Fault) -> list[str]:
        """Stop *scenario* at one step, and return the faults found afterwards."""
        data = self._fresh(scenario)
        stop = self._killed if fault is Fault.KILL else self._failed
        with seeded(self._seed):
            acknowledged, wrong = stop(scenario, data, at, fault)
        try:
            wrong += scenario.recover(data, self._template)
        except PixstoreError as error:
            wrong.append(f"recovery: {error}")
        return wrong + anomalies(data, scenario.expected(self._template, acknowledged))

    def _count(self, scenario: Scenario) -> Steps:
        data = self._fresh(scenario)
        with seeded(self._seed), Steps(data.parent) as steps:
            store = quiet_store(data, now=lambda: later() + HOURS)
            with steps.counted():
                scenario.run(store, self._template)
            store.close()
        return steps

    def _killed(self, scenario: Scenario, data: Path, at: int, fault: Fault) -> tuple[bool, list[str]]:
        child = os.fork()
        if child == 0:
            with Steps(data.parent, at=at, fault=fault) as steps:
                store = quiet_store(data, now=lambda: later() + HOURS)
                with steps.counted():
                    scenario.run(store, self._template)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return status == 0, [] if status in (0, KILLED) else [f"exit status {status}"]

    def _failed(self, scenario: Scenario, data: Path, at: int, fault: Fault) -> tuple[bool, list[str]]:
        error = errno.ENOSPC if at % 2 else errno.EIO
        wrong: list[str] = []
        acknowledged = False
        with Steps(data.parent, at=at, fault=fault, error=error) as steps:
            store = quiet_store(data, now=lambda: later() + HOURS)
            try:
                with steps.counted():
                    scenario.run(store, self._template)
                acknowledged = True
            except (PixstoreError, Interrupted):
                pass
            except Exception as untyped:  # noqa: BLE001 - which is the fault that is looked for
                wrong.append(f"an error without a name: {untyped!r}")
            wrong += _recovery(store)
        store.close()
        return acknowledged, wrong

    def _fresh(self, scenario: Scenario) -> Path:
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir()
        data = self._work / "data"
        self._template.copy_to(data)
        scenario.before(data)
        return data


def _recovery(store: ImageStore) -> list[str]:
    """Return the errors of a store after its disk works again."""
    try:
        store.delete(store.save(labelled("afterwards")).id)
    except PixstoreError as error:
        return [f"the store did not recover: {error}"]
    return []


def _chosen(names: Iterable[str] | None) -> list[Fault]:
    return list(Fault) if names is None else [Fault[name] for name in names]


if __name__ == "__main__":
    main(run)
