"""
Every system call of an operation that fails, or at which the process is killed: strace does it, from outside.

    python -m tests.torture.programs.system_calls '{"scenarios": ["update"], "stride": 5}'

The process is forked warm and waits; strace attaches to it, so the counts begin with the operation.
"""

import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from pixstore.errors import PixstoreError
from tests.torture.tools.outcomes import Outcome, main
from tests.torture.tools.scenarios import SCENARIOS, Scenario, Template, make_template
from tests.torture.tools.seeded_faults import seeded
from tests.torture.tools.stores import anomalies, later, quiet_store, shorten_busy_timeout

CALLS = (
    "openat,read,pread64,write,pwrite64,lseek,fsync,fdatasync,rename,unlink,unlinkat,mkdir,ftruncate,"
    "fstat,newfstatat,getdents64,fcntl,flock"
)
OPERATIONS = (
    "save",
    "update",
    "delete",
    "unit of work",
    "rotate the master key",
    "rotate the store key",
    "re-encrypt",
    "sweep",
    "rebuild",
)
FAULTS = ("error=EIO", "error=ENOSPC", "signal=SIGKILL")
HOURS = 3 * 60 * 60_000
REFUSED = 3
UNTYPED = 4


def run(
    scenarios: Iterable[str] = OPERATIONS,
    stride: int = 1,
    most: int = 100_000,
    faults: Iterable[str] = FAULTS,
    seed: str | None = None,
) -> Outcome:
    """Try every *stride*-th call of each scenario with each fault, *most* points in all."""
    outcome = Outcome()
    shorten_busy_timeout(0.3)  # to SQLite, a lock that fails is one that somebody else has
    with tempfile.TemporaryDirectory() as directory:
        template = make_template(Path(directory) / "template")
        injector = _Injector(template, Path(directory) / "work", seed)
        for scenario in SCENARIOS:
            if scenario.name not in scenarios:
                continue
            counts = injector.count(scenario)
            outcome.figures[scenario.name] = sum(counts.values())
            points = [
                (call, when, fault)
                for call, n in sorted(counts.items())
                for when in range(1, n + 1)
                for fault in faults
            ]
            for point in points[::stride][: max(0, most - outcome.amount)]:
                outcome.amount += 1
                outcome.anomalies += [
                    f"{scenario.name}, {point}: {words}" for words in injector.stop_at(scenario, *point)
                ]
    outcome.words = f"{outcome.amount} points"
    return outcome


class _Injector:
    def __init__(self, template: Template, work: Path, seed: str | None) -> None:
        self._template, self._work, self._seed = template, work, seed

    def count(self, scenario: Scenario) -> Counter[str]:
        """Return how often the operation makes each system call."""
        log = self._work.with_name("strace.log")
        self._trace(scenario, ["-e", f"trace={CALLS}", "-o", os.fspath(log)])
        return Counter(
            match[1]
            for line in log.read_text().splitlines()
            if (match := re.match(r"(?:\d+ +)?(\w+)\(", line))
        )

    def stop_at(self, scenario: Scenario, call: str, when: int, fault: str) -> list[str]:
        """Inject *fault* into the *when*-th *call*, and return the faults found afterwards."""
        status, data = self._trace(
            scenario, ["-e", f"trace={call}", "-e", f"inject={call}:{fault}:when={when}", "-o", "/dev/null"]
        )
        wrong = [] if status in (0, REFUSED, -signal.SIGKILL) else [f"exit status {status}"]
        try:
            wrong += scenario.recover(data, self._template)
        except PixstoreError as error:
            wrong.append(f"recovery: {error}")
        return wrong + anomalies(data, scenario.expected(self._template, status == 0))

    def _trace(self, scenario: Scenario, arguments: list[str]) -> tuple[int, Path]:
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir()
        data = self._work / "data"
        self._template.copy_to(data)
        scenario.before(data)
        begin, go = os.pipe()
        is_ready, ready = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(go)
            with seeded(self._seed):
                _operate(scenario, self._template, data, ready, begin)
        os.close(begin)
        os.close(ready)
        os.read(is_ready, 1)
        os.close(is_ready)
        tracer = subprocess.Popen(["strace", "-p", str(child), *arguments], stderr=subprocess.PIPE, text=True)
        assert tracer.stderr is not None
        line = tracer.stderr.readline()
        if "attached" not in line:
            os.kill(child, signal.SIGKILL)
            raise RuntimeError(f"strace could not attach: {line}")
        os.write(go, b"!")
        os.close(go)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        tracer.wait()
        return status, data


def _operate(scenario: Scenario, template: Template, data: Path, ready: int, begin: int) -> None:
    """Be the process that is traced: wait for a byte, do the operation, tell by the exit status how it went."""
    status = UNTYPED
    try:
        store = quiet_store(data, now=lambda: later() + HOURS)
        os.write(ready, b"!")
        select.select([begin], [], [])  # not by reading, which is counted
        scenario.run(store, template)
        status = 0
    except PixstoreError:
        status = REFUSED
    finally:
        os._exit(status)


if __name__ == "__main__":
    main(run)
