"""Small durable files, and the lock between processes."""

import os
import threading
from pathlib import Path

import pytest

from pixstore import files


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_replaced_file_is_whole_and_private(tmp_path):
    """The new content is there, only its owner can read it, and nothing else was left."""
    path = tmp_path / "keyring.json"
    path.write_text("old")
    path.chmod(0o644)

    files.replace_file(path, b"new")

    assert (path.read_bytes(), _mode(path)) == (b"new", 0o600)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ("fsync", "open"))
def test_a_failed_replacement_leaves_the_old_file(tmp_path, monkeypatch, step):
    """Where writing fails, the old content stays and no half file is left."""
    path = tmp_path / "keyring.json"
    path.write_text("old")

    def fail(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, step, fail)
    with pytest.raises(OSError, match="No space left"):
        files.replace_file(path, b"new")

    monkeypatch.undo()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_written_is_synced_before_and_after_the_rename(tmp_path, monkeypatch):
    """The file is synced before it gets its name, the directory after: only then a power cut leaves old or new."""
    steps = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(descriptor):
        steps.append("sync directory" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "sync file")  # noqa: PTH112
        real_fsync(descriptor)

    monkeypatch.setattr(files.os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", lambda self, to: steps.append("rename") or real_replace(self, to))
    files.replace_file(tmp_path / "file", b"data")

    assert steps == ["sync file", "rename", "sync directory"]


def test_directories_are_private(tmp_path):
    """Each directory that is made is for its owner alone; one that is there stays as it is."""
    tmp_path.chmod(0o755)

    files.make_directory(tmp_path / "a" / "b")
    files.make_directory(tmp_path / "a" / "b")

    assert (_mode(tmp_path), _mode(tmp_path / "a"), _mode(tmp_path / "a" / "b")) == (0o755, 0o700, 0o700)


def test_a_lock_is_held_by_one_at_a_time(tmp_path):
    """While one thread holds the lock file, another one waits."""
    order = []
    entered, leave = threading.Event(), threading.Event()

    def first():
        with files.locked(tmp_path / "lock"):
            entered.set()
            leave.wait(10)
            order.append("first")

    def second():
        entered.wait(10)
        leave.set()
        with files.locked(tmp_path / "lock"):
            order.append("second")

    threads = [threading.Thread(target=part) for part in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert order == ["first", "second"]


def test_a_lock_is_released_by_an_error(tmp_path):
    """Whoever fails inside does not keep others out."""
    with pytest.raises(ZeroDivisionError), files.locked(tmp_path / "lock"):
        raise ZeroDivisionError

    with files.locked(tmp_path / "lock"):
        pass
