"""
Bringing a folder of photos into an account, with a process for each core.

This process finds the files and hands them out, one at a time to each thread of each worker process; the workers
(``import_worker``) read, check, decode, seal and store. A file is added in one unit of work, so it is there whole or not at all, and the next import
knows it by its content id: run again after any interruption, an import goes on and adds nothing twice. A worker that dies
costs the few files it had; another takes its place.

Worker processes are started anew (`spawn`), not forked: a fork would carry over SQLite connections, locks held by threads and
whatever else is in the memory of this process.
"""

import multiprocessing
import os
import secrets
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, NamedTuple, Self

from pixstore.config import Config
from pixstore.crypto import KEY_SIZE
from pixstore.gallery import Gallery, albums, content_ids
from pixstore.gallery.import_source import FoundFiles, ImportSource, SourceFile
from pixstore.gallery.import_worker import ImportTask, Outcome, serve
from pixstore.gallery.models import User
from pixstore.maintenance import Progress, no_progress

THREADS = 3
"""Of each worker process: one reads and decodes, the others store."""

_SPAWN = multiprocessing.get_context("spawn")


@dataclass
class ImportReport:
    """
    What became of the files of a folder, by their paths in it. With a dry run: what would become of them.

    ``skipped`` is what is no image, ``refused`` what is one or cannot be read; both give the reason for each. ``albums`` counts what was added to each album, by its title.
    ``stopped`` says why the import ended before all files had their turn; it is empty where they had.
    """

    files: int = 0
    added: int = 0
    already_there: int = 0
    ignored: int = 0
    albums: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    stopped: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether every picture of the folder is in the account now."""
        return not (self.refused or self.stopped)

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return asdict(self)


def import_folder(
    gallery: Gallery,
    user: User,
    folder: Path,
    *,
    album: str | None = None,
    processes: int | None = None,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> ImportReport:
    """
    Add every picture in *folder* to those of *user*, but for files that are there already.

    What lies in a folder inside it goes to the album of that name, which is made if there is none; what lies at the top goes to
    the album with the title *album*, or to the default one. With *dry_run*, nothing is changed.

    Raises:
        UnreadableFile: If the folder cannot be read.
    """
    root = folder.absolute()
    found = _found(root)
    with gallery.store.connected():
        key = content_ids.known_key(gallery, user) if dry_run else content_ids.key_of(gallery, user)
        default_title = album or albums.default_album(gallery, user).title
    task = ImportTask(
        root=root,
        user_id=user.id,
        content_key=key or secrets.token_bytes(KEY_SIZE),  # of a dry run, where nothing is there yet
        top_album=album,
        dry_run=dry_run,
    )
    run = _Import(task, found, default_title, progress)
    run.work(gallery.config, min(processes or _cores(), max(1, len(found.files))))
    return run.report


def _found(root: Path) -> FoundFiles:
    source = ImportSource(root)
    try:
        return source.find()
    finally:
        source.close()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Worker(NamedTuple):
    """One thread of a worker process, by the connection to it."""

    process: SpawnProcess
    connection: Connection


class _Import:
    """One import on its way: which files wait, which worker has which file, and what became of those that are done."""

    def __init__(self, task: ImportTask, found: FoundFiles, default_title: str, progress: Progress) -> None:
        self.report = ImportReport(
            files=len(found.files),
            ignored=found.ignored,
            skipped=dict(found.not_followed),
            refused=dict(found.unreadable),
        )
        self._task = task
        self._default_title = default_title
        self._progress = progress
        self._waiting = iter(found.files)
        self._done = 0
        self._seen: set[bytes] = set()
        self._albums: Counter[str] = Counter()

    def work(self, config: Config, processes: int) -> None:
        """Hand out the files until all are done, or something stops the import."""
        if not self.report.files:
            return
        with _Workers(config, self._task, processes) as workers, _interrupted_by(self._interrupt):
            while workers.are_busy:
                for worker in workers.ready():
                    self._next(workers, worker)
        self.report.albums = dict(sorted(self._albums.items()))

    def _next(self, workers: "_Workers", worker: _Worker) -> None:
        """Take what *worker* has to say, and give it, or the one in its place, another file."""
        if not self._collect(workers, worker):
            return
        source = None if self.report.stopped else next(self._waiting, None)
        if source is not None:
            workers.give(worker, source)

    def _collect(self, workers: "_Workers", worker: _Worker) -> bool:
        """Note what became of the file that *worker* had; return whether the worker can take another one."""
        source, outcome = workers.take(worker)
        if outcome is not None and outcome.became == "stopped":
            self._stop(outcome.reason)
        elif source is not None and outcome is not None:
            self._note(source, outcome)
        if worker.connection.closed:
            if source is None:
                self._stop(
                    "a process of the import could not be started, or ended before it had done anything"
                )
            elif not self.report.stopped:
                workers.start()
            return False
        return True

    def _note(self, source: SourceFile, outcome: Outcome) -> None:
        report = self.report
        self._done += 1
        match outcome.became:
            case "added" if (
                outcome.content in self._seen
            ):  # a dry run keeps nothing, so the second one was not found
                report.already_there += 1
            case "added":
                report.added += 1
                self._albums[self._task.album_title(source) or self._default_title] += 1
                if self._task.dry_run:
                    self._seen.add(outcome.content)
            case "already there":
                report.already_there += 1
            case "not an image":
                report.skipped[source.path] = outcome.reason
            case _:
                report.refused[source.path] = outcome.reason
        self._progress(self._done, report.files)

    def _interrupt(self) -> None:
        """Let the files that are being added be added, and no more; asked again, end at once."""
        if self.report.stopped:
            raise KeyboardInterrupt
        self._stop("it was interrupted")

    def _stop(self, reason: str) -> None:
        self.report.stopped = self.report.stopped or reason


class _Workers:
    """The worker processes of an import."""

    def __init__(self, config: Config, task: ImportTask, count: int) -> None:
        self._config, self._task, self._count = config, task, count
        self._workers: dict[Connection, _Worker] = {}
        self._files: dict[Connection, SourceFile | None] = {}

    def __enter__(self) -> Self:
        for _ in range(self._count):
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Let every process end: it does when its connection closes, once the file it has is done."""
        for worker in self._workers.values():
            worker.connection.close()
        for worker in self._workers.values():
            worker.process.join()

    @property
    def are_busy(self) -> bool:
        """Whether an answer is to come."""
        return bool(self._files)

    def start(self) -> None:
        """Start one more process. Its threads are busy until they say that they are ready."""
        ours, theirs = zip(*(_SPAWN.Pipe() for _ in range(THREADS)), strict=True)
        process = _SPAWN.Process(
            target=serve, args=(theirs, self._config, self._task), name="pixstore-import", daemon=True
        )
        with _without_interrupts():
            process.start()
        for connection in theirs:
            connection.close()  # or the end of that process would not be seen
        for connection in ours:
            self._workers[connection] = _Worker(process, connection)
            self._files[connection] = None

    def are_left(self, process: SpawnProcess) -> bool:
        """Tell whether a thread of *process* has not been found dead yet."""
        return any(worker.process is process for worker in self._workers.values())

    def ready(self) -> list[_Worker]:
        """Wait until workers have something to say, and return those."""
        return [
            self._workers[connection]
            for connection in wait(list(self._files))
            if isinstance(connection, Connection)
        ]

    def give(self, worker: _Worker, source: SourceFile) -> None:
        """Let *worker* take the file *source*."""
        with suppress(OSError):  # it has died: the next reading from it says so
            worker.connection.send(source)
        self._files[worker.connection] = source

    def take(self, worker: _Worker) -> tuple[SourceFile | None, Outcome | None]:
        """Return the file that *worker* had, if any, and what became of it. The connection of one that has died is closed."""
        source = self._files.pop(worker.connection)
        try:
            outcome: Outcome | None = worker.connection.recv()
        except (EOFError, OSError):
            del self._workers[worker.connection]
            worker.connection.close()
            worker.process.join()
            return source, Outcome("refused", "the process that had it was killed")
        return source, outcome


@contextmanager
def _interrupted_by(action: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl-C call *action* instead of breaking off whatever is being done."""
    with _sigint(lambda *_: action()):
        yield


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Let a process that is started here never hear of Ctrl-C, which goes to every process of a terminal."""
    with _sigint(signal.SIG_IGN):
        yield


@contextmanager
def _sigint(handler: "signal.Handlers | Callable[..., None]") -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # no other thread is told of signals
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
