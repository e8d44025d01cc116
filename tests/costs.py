"""
Counts what an operation asks of the machine, so that a test can say how much it may be.

    with CostMeter() as meter:
        store = …                                  opened here, so that its database connections are seen
        with meter.counted() as costs:
            store.save(image)
    costs.statements, costs.syncs, costs.opens     what this thread did in the block
    costs.peak                                     bytes that Python's memory grew by at most

Counts are the same on every machine, times are not. Work that another thread does later is not counted.
"""

import os
import sqlite3
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from unittest import mock

from tests.torture.tools import sqlite_vfs


@dataclass
class Costs:
    """What was counted, in order; ``syncs`` are those of files, of directories and of the database."""

    statements: list[str] = field(default_factory=list)
    syncs: list[str] = field(default_factory=list)
    opens: list[str] = field(default_factory=list)
    peak: int = 0


class CostMeter:
    """Watches this process while it is entered, and counts while ``counted``."""

    def __init__(self) -> None:
        self._costs: Costs | None = None
        self._thread = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        usual_connect = sqlite3.connect

        def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
            connection = usual_connect(*arguments, **options)
            connection.set_trace_callback(self._on_statement)
            return connection

        self._stack.enter_context(mock.patch.object(sqlite3, "connect", connect))
        for name in ("fsync", "fdatasync"):
            self._stack.enter_context(mock.patch.object(os, name, self._syncing(getattr(os, name))))
        if sqlite_vfs.available():
            self._stack.enter_context(sqlite_vfs.watching(self._on_file_operation))
        _listeners.append(self._on_audit)
        self._stack.callback(_listeners.remove, self._on_audit)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextmanager
    def counted(self) -> Iterator[Costs]:
        """Count what this thread does inside the block."""
        costs = Costs()
        self._thread = threading.get_ident()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        self._costs = costs
        try:
            yield costs
        finally:
            self._costs = None
            costs.peak = tracemalloc.get_traced_memory()[1] - before
            tracemalloc.stop()

    def _counting(self) -> Costs | None:
        return self._costs if threading.get_ident() == self._thread else None

    def _on_statement(self, statement: str) -> None:
        if costs := self._counting():
            costs.statements.append(statement)

    def _syncing(self, usual: Any) -> Any:
        def sync(descriptor: int) -> None:
            if costs := self._counting():
                costs.syncs.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
            usual(descriptor)

        return sync

    def _on_file_operation(self, name: str, path: str, do: Any) -> int:
        if name == "sync" and (costs := self._counting()):
            costs.syncs.append(path)
        result: int = do()
        return result

    def _on_audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and not isinstance(arguments[0], int) and (costs := self._counting()):
            costs.opens.append(os.fsdecode(arguments[0]))


_listeners: list[Any] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    for listener in _listeners:
        listener(event, arguments)


sys.addaudithook(_hear)  # the interpreter keeps an audit hook for ever, so there is one
