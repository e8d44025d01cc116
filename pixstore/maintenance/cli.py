"""
The commands that look after a store: ``group`` gathers them for a program's command line.

Results go to standard output. Everything else goes to standard error as `pixstore: …`, in lower case and without a full stop.
Exit codes: 0 all is well, 1 something was found or refused, 2 wrong use.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

import click

from pixstore.errors import PixstoreError
from pixstore.maintenance import Progress, no_progress
from pixstore.maintenance.backup import backup
from pixstore.maintenance.check import check
from pixstore.maintenance.companion import NO_COMPANION, Companion
from pixstore.maintenance.findings import Finding
from pixstore.maintenance.rebuild import rebuild
from pixstore.maintenance.restore import restore
from pixstore.maintenance.rotation import re_encrypt, rotate_master, rotate_service_secret, rotate_store_key
from pixstore.maintenance.sweep import sweep
from pixstore.store import ImageStore


@dataclass(frozen=True, kw_only=True)
class Operator:
    """The store that the commands work on, and the application that uses it."""

    store: ImageStore
    companion: Companion = NO_COMPANION


def fail(error: object) -> NoReturn:
    """Print *error* as lines on standard error, and end the program with exit code 1."""
    for line in str(error).splitlines():
        hint(f"{line[:1].lower()}{line[1:].rstrip('.')}")
    raise SystemExit(1)


def hint(words: str) -> None:
    """Print a hint for the operator on standard error."""
    click.echo(f"pixstore: {words}", err=True)


@contextmanager
def refusals() -> Iterator[None]:
    """End the program with the message of an error of this library."""
    try:
        yield
    except PixstoreError as error:
        fail(error)


@contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
    """Yield a function that shows progress on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield no_progress
        return
    with click.progressbar(length=1, label=label, file=sys.stderr, show_pos=True) as bar:

        def show(done: int, total: int) -> None:
            bar.length = max(total, 1)
            bar.update(done - bar.pos)

        yield show


@click.command("check")
@click.option("--deep", is_flag=True, help="Decrypt every image as well.")
@click.option("--repair", is_flag=True, help="Repair what can be repaired, and sweep orphans.")
@click.option("--resume", is_flag=True, help="Go on with a check that was interrupted.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_obj
def check_command(operator: Operator, *, deep: bool, repair: bool, resume: bool, as_json: bool) -> None:
    """Compare every record with its image, and every image with the records."""
    with refusals(), progress_bar("Checking") as progress:
        report = check(operator.store, deep=deep, repair=repair, resume=resume, progress=progress)
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
    else:
        for finding in report.findings:
            click.echo(_described(finding))
        click.echo(f"{report.images} images, {report.blobs} blobs, {len(report.findings)} findings")
    raise SystemExit(0 if report.is_clean else 1)


def _described(finding: Finding) -> str:
    where = (
        f"image {finding.image_id}, blob {finding.blob_id}" if finding.image_id else f"blob {finding.blob_id}"
    )
    return f"{finding.kind}: {where}: {finding.message}{' (repaired)' if finding.repaired else ''}"


@click.command("sweep")
@click.option("--force", is_flag=True, help="Remove orphans even if they are most of the blobs.")
@click.pass_obj
def sweep_command(operator: Operator, *, force: bool) -> None:
    """Remove what interrupted uploads left behind."""
    with refusals(), progress_bar("Sweeping") as progress:
        report = sweep(operator.store, force=force, progress=progress)
    click.echo(f"{report.orphans} orphaned blobs and {report.unfinished} unfinished files removed")
    if report.kept:
        hint(f"{len(report.kept)} orphaned blobs are kept: check --repair can repair images with them")


@click.command("rebuild")
@click.option("--merge", is_flag=True, help="Go on with a rebuild that was interrupted.")
@click.pass_obj
def rebuild_command(operator: Operator, *, merge: bool) -> None:
    """Rebuild a lost database from images, keyring and master key."""
    store, companion = operator.store, operator.companion
    with refusals(), progress_bar("Rebuilding") as progress:
        report = rebuild(store, merge=merge, progress=progress)
        recovery = companion.recover(store, report.images) if companion.recover is not None else None
    for finding in report.unreadable:
        click.echo(_described(finding))
    parts = [f"{len(report.images)} images back"]
    if recovery is not None:
        parts.append(recovery.words)
    if report.deleted:
        parts.append(f"{report.deleted} deleted images stay deleted")
    parts.append(f"{len(report.unreadable)} blobs could not be opened")
    click.echo("; ".join(parts))
    for words in recovery.hints if recovery is not None else ():
        hint(words)


@click.command("backup")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.pass_obj
def backup_command(operator: Operator, directory: Path) -> None:
    """Copy the store to DIRECTORY while it is in use. A second backup into it copies only what is new."""
    with refusals(), progress_bar("Copying") as progress:
        report = backup(
            operator.store,
            directory,
            without_rows_of=operator.companion.tables_not_backed_up,
            progress=progress,
        )
    click.echo(f"{report.images} images in the backup, {report.copied} copied now")
    hint("the master key is not in the backup: keep it elsewhere")
    for blob_id in report.missing:
        click.echo(f"missing: blob {blob_id}")
    if report.missing:
        hint(
            "the store has lost images, so this backup is incomplete; an earlier complete one is still there"
        )
    raise SystemExit(1 if report.missing else 0)


@click.command("restore")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--unauthenticated", is_flag=True, help="Accept a backup of release 0.1, which has no seal.")
@click.option("--incomplete", is_flag=True, help="Accept a backup that lacks images.")
@click.pass_obj
def restore_command(operator: Operator, directory: Path, *, unauthenticated: bool, incomplete: bool) -> None:
    """Restore this store, which must be empty, from the backup in DIRECTORY. Open every image to verify it."""
    if unauthenticated:
        hint(
            "WARNING: this backup has no seal, so it may have been changed: check every account, and reset the passwords"
        )
    operator.store.close()
    with refusals(), progress_bar("Restoring") as progress:
        report = restore(
            operator.store.config,
            directory,
            tables_of_a_first_start=operator.companion.tables_of_a_first_start,
            without_rows_of=operator.companion.tables_not_backed_up,
            unauthenticated=unauthenticated,
            incomplete=incomplete,
            progress=progress,
        )
    for finding in report.findings:
        click.echo(_described(finding))
    click.echo(f"{report.images} images restored and opened, {len(report.findings)} findings")
    raise SystemExit(0 if report.is_clean else 1)


@click.group("rotate", help="Replace keys by new ones.")
def rotate_group() -> None:
    """Gather the rotations."""


@rotate_group.command("master")
@click.pass_obj
def rotate_master_command(operator: Operator) -> None:
    """
    Wrap the keyring by a new master key.

    If the key lies in a file that this program can replace, a new key takes its place. Otherwise, give the new
    key beside the current one, in PIXSTORE_NEW_MASTER_KEY or PIXSTORE_NEW_MASTER_KEY_FILE, and make it the
    current one afterwards.
    """
    with refusals():
        result = rotate_master(operator.store)
    click.echo("the keyring is under the new master key")
    match result:
        case "given":
            hint(
                "make the new key the current one in the settings of every server, and restart them; both keys work until then"
            )
        case "file":
            hint("the key file was replaced: back it up now, and restart the servers")
        case "file holds both":
            hint(
                "the key file could not be written again, so it still holds the old key as well: see the log"
            )
    hint("earlier backups open with the old key only")


@rotate_group.command("store-key")
@click.pass_obj
def rotate_store_key_command(operator: Operator) -> None:
    """Make a new store key for new versions of images; re-encrypt moves the older versions to it."""
    with refusals():
        click.echo(f"store key {rotate_store_key(operator.store)} is active")


@rotate_group.command("service-secret")
@click.pass_obj
def rotate_service_secret_command(operator: Operator) -> None:
    """End every login and every proof."""
    with refusals():
        rotate_service_secret(operator.store)
    click.echo("every proof ends within seconds; every login ends when the server is restarted")


@click.command("re-encrypt")
@click.option(
    "--no-other-texts",
    is_flag=True,
    help="Say that no other program has sealed texts in this store, so their old keys need not be kept.",
)
@click.pass_obj
def re_encrypt_command(operator: Operator, *, no_other_texts: bool) -> None:
    """Encrypt everything under older store keys again, under the active one. The server may run meanwhile."""
    with refusals(), progress_bar("Encrypting") as progress:
        report = re_encrypt(
            operator.store,
            reseal_texts=operator.companion.reseal_texts,
            text_purposes=operator.companion.text_purposes,
            no_other_texts=no_other_texts,
            progress=progress,
        )
    click.echo(
        f"{report.images} images and {report.texts} texts encrypted again, {len(report.dropped_keys)} old keys dropped"
    )
    for key_id, why in report.kept_keys.items():
        click.echo(f"store key {key_id} is kept: {why}")
    for image_id, why in report.failed.items():
        click.echo(f"failed: image {image_id}: {why}")
    raise SystemExit(1 if report.failed else 0)


_COMMANDS = (
    check_command,
    sweep_command,
    rebuild_command,
    backup_command,
    restore_command,
    rotate_group,
    re_encrypt_command,
)


def group(find_operator: Callable[[], Operator], *, words: str) -> click.Group:
    """Return the group `pixstore` with every command of this module; *find_operator* is called when one of them runs."""

    @click.group("pixstore", help=words)
    @click.pass_context
    def commands(context: click.Context) -> None:
        context.obj = find_operator()

    for command in _COMMANDS:
        commands.add_command(command)
    return commands
