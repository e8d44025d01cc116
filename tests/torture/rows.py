"""The rows of `make torture`: which program, how much of it, and which seeded faults it has to find."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.torture.programs import power_cut_device, slow_clients
from tests.torture.tools import sqlite_vfs

CORPUS = Path(sys.prefix) / "torture" / "pillow" / "Tests" / "images"
ODD_WORDS = Path(sys.prefix) / "torture" / "big-list.json"


@dataclass(frozen=True)
class Row:
    """One line of the table: a program, its arguments, those that grow with --scale, and faults it has to find."""

    name: str
    program: str
    arguments: dict[str, Any]
    scaled: dict[str, int]
    seeds: tuple[str, ...] = ()
    seed_arguments: dict[str, Any] = field(default_factory=dict)
    minutes: float = 10
    why_not: Callable[[], str | None] = lambda: None


def _needs_strace() -> str | None:
    return None if shutil.which("strace") else "strace is not installed"


def _needs_loop_devices() -> str | None:
    return None if power_cut_device.available() else "needs root, loop devices, xfsprogs and e2fsprogs"


def _needs_root() -> str | None:
    return None if os.geteuid() == 0 else "needs root"


def _needs_nginx() -> str | None:
    return None if slow_clients.available() else "nginx is not installed"


def _needs_vfs() -> str | None:
    return None if sqlite_vfs.available() else "this Python's SQLite cannot be watched"


ROWS = [
    Row(
        "fault points",
        "fault_points",
        {},
        {},
        ("old_blob_first", "in_place_overwrite"),
        {"scenarios": ["update"], "faults": ["KILL"]},
        15,
        _needs_vfs,
    ),
    Row("kill -9", "kill_9", {"writers": 4}, {"rounds": 500}, ("in_place_overwrite",), {"rounds": 10}),
    Row(
        "kill -9 of gunicorn workers",
        "kill_9_workers",
        {"clients": 16, "workers": 3},
        {"seconds": 300},
        ("in_place_overwrite",),
        {"seconds": 5},
        10,
    ),
    Row(
        "system calls",
        "system_calls",
        {"stride": 2},
        {"most": 100_000},
        ("in_place_overwrite", "delete_on_error"),
        {"stride": 1, "scenarios": ["update"]},
        15,
        _needs_strace,
    ),
    Row(
        "power cut, simulated",
        "power_cut",
        {"lucky": 3, "every": 1},
        {"operations": 150},
        ("wal_normal", "no_fsync", "no_directory_sync"),
        {"operations": 10},
        10,
        _needs_vfs,
    ),
    Row(
        "power cut, ext4",
        "power_cut_device",
        {"filesystem": "ext4"},
        {"rounds": 100},
        ("wal_normal", "everything_in_memory"),
        {"filesystem": "ext4", "rounds": 5},
        10,
        _needs_loop_devices,
    ),
    Row(
        "power cut, xfs",
        "power_cut_device",
        {"filesystem": "xfs"},
        {"rounds": 50},
        ("wal_normal", "everything_in_memory"),
        {"filesystem": "xfs", "rounds": 5},
        10,
        _needs_loop_devices,
    ),
    Row(
        "disk full",
        "disk_full",
        {"limit": "disk"},
        {"failures": 1000},
        ("delete_on_error",),
        {"limit": "disk", "failures": 100},
        5,
        _needs_root,
    ),
    Row(
        "file-size limit",
        "disk_full",
        {"limit": "size"},
        {"failures": 1000},
        ("delete_on_error",),
        {"failures": 60},
        5,
    ),
    Row(
        "register, 8 processes",
        "register",
        {"processes": 8, "threads": 2},
        {"operations": 100_000},
        ("altered_read", "in_place_overwrite"),
        {"operations": 4000},
        15,
    ),
    Row(
        "register, 4 of 8 processes through gunicorn",
        "register",
        {"processes": 8, "threads": 2, "through_http": 4},
        {"operations": 100_000},
        ("altered_read", "in_place_overwrite"),
        {"operations": 8000, "through_http": 2, "maintain": False},
        15,
    ),
    Row(
        "HUP and TERM of gunicorn",
        "reload_and_stop",
        {"clients": 12},
        {"rounds": 20},
        ("per_process_secret", "hasty_close"),
        {"rounds": 2, "clients": 4},
        5,
    ),
    Row(
        "mixed load",
        "mixed_load",
        {"clients": 32},
        {"seconds": 1800},
        ("leaking_memory", "leaking_descriptors"),
        {"seconds": 6, "warm_up": 0.4},
        35,
    ),
    Row(
        "many large uploads",
        "large_uploads",
        {"form_mb": 250, "file_mb": 31, "most_mb": 1000},
        {"forms": 32},
        ("forms_in_memory",),
        {"forms": 8, "form_mb": 60, "most_mb": 380},
        20,
    ),
    Row(
        "slow clients",
        "slow_clients",
        {"connections": 300, "seconds": 10},
        {},
        ("no_proxy",),
        {"seconds": 4},
        5,
        _needs_nginx,
    ),
    Row("large store", "large_store", {}, {"images": 100_000}, (), {}, 15),
    Row(
        "rotation under load",
        "rotation_under_load",
        {"kills": 50},
        {"images": 10_000},
        ("retire_keys_early",),
        {"images": 500, "kills": 5},
        15,
    ),
    Row(
        "commands under load",
        "commands_under_load",
        {"clients": 4, "kills": 3},
        {"images": 10_000},
        ("impatient_sweep", "retire_keys_early"),
        {"images": 200, "clients": 2, "kills": 0, "only": ["sweep", "re-encrypt"]},
        15,
    ),
    Row(
        "stale keyrings",
        "stale_keyrings",
        {"steps": 60},
        {"trials": 60},
        ("lost_keys_stay_lost", "generations_trusted"),
        {"trials": 8, "steps": 60},
        10,
    ),
    Row(
        "master keys",
        "master_keys",
        {"stride": 2},
        {"most": 100_000},
        ("keyring_before_key_file",),
        {"kinds": ["a plain file"], "stride": 5},
        15,
        _needs_vfs,
    ),
    Row(
        "overlapping backups",
        "overlapping_backups",
        {"images": 150},
        {"seconds": 120},
        ("shared_hold", "holds_ignored", "incomplete_backups"),
        {"images": 80, "seconds": 10},
        10,
    ),
    Row(
        "backup places",
        "backup_places",
        {},
        {"tries": 600},
        ("no_own_directories",),
        {"tries": 50},
        10,
    ),
    Row(
        "deletions",
        "deletions",
        {},
        {"rounds": 150},
        ("no_notes_on_deletions", "notes_not_read", "reaper_gives_up"),
        {"rounds": 5},
        10,
    ),
    Row(
        "altered backups",
        "altered_backups",
        {},
        {"alterations": 2000},
        ("unchecked_backups", "logins_in_backups"),
        {"alterations": 40},
        10,
    ),
    Row(
        "ended logins",
        "ended_logins",
        {"workers": 3},
        {"seconds": 180},
        ("hasty_logins",),
        {"seconds": 8},
        10,
    ),
    Row(
        "guesses",
        "guesses",
        {},
        {"bursts": 200, "seconds": 90},
        ("typed_spelling", "unknown_browsers"),
        {"bursts": 5, "seconds": 5},
        10,
    ),
    Row(
        "bad images",
        "bad_images",
        {"corpus": os.fspath(CORPUS) if CORPUS.is_dir() else None},
        {"mutants": 20_000},
        ("trusting_decoder",),
        {"mutants": 50},
        10,
    ),
    Row(
        "bad images, uploaded",
        "bad_uploads",
        {"corpus": os.fspath(CORPUS) if CORPUS.is_dir() else None},
        {"mutants": 20_000},
        ("raw_decoders",),
        {"mutants": 40, "hostile": False},
        20,
    ),
    Row(
        "hostile HTTP",
        "hostile_http",
        {},
        {"mutants": 20_000},
        ("unreadable_bodies",),
        {"every": 23, "mutants": 0},
        10,
    ),
    Row(
        "hostile forms",
        "hostile_forms",
        {"every": 2, "words": os.fspath(ODD_WORDS) if ODD_WORDS.is_file() else None},
        {},
        ("trusting_json", "raw_pages"),
        {"every": 11},
        20,
    ),
    Row(
        "state machine",
        "state_machine",
        {"steps": 50},
        {"runs": 2000},
        ("delete_keeps_row", "token_stands_still"),
        {"runs": 60, "steps": 50},
        20,
    ),
    Row(
        "forged proofs",
        "forged_proofs",
        {"flipped": 1000},
        {"tries": 1_000_000},
        ("short_proofs",),
        {"flipped": 10},
        5,
    ),
    Row("bit flips", "bit_flips", {}, {"images": 50}, ("no_associated_data",), {"images": 2}, 10),
]
