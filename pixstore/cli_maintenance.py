"""
The commands `flask pixstore …` that look after the store; ``cli`` has their manners and those for accounts.

Exit codes: 0 all is well, 1 something was found or refused, 2 wrong use.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

import click
from flask import current_app
from flask.cli import AppGroup, with_appcontext

from pixstore import backup as backups
from pixstore import maintenance, rotation
from pixstore.config import decode_master_key
from pixstore.errors import PixstoreError
from pixstore.gallery import recovery
from pixstore.maintenance import Finding, Progress
from pixstore.store import ImageStore

NEW_MASTER_KEY = "PIXSTORE_NEW_MASTER_KEY"
PASSING_TABLES = ("gallery_setup_link", "gallery_login_attempt")
"""What a gallery holds that was started once and then never used."""

rotate = AppGroup("rotate", help="New keys for old.")


def register(commands: AppGroup) -> None:
    """Add the commands of this module to *commands*."""
    for command in (check, sweep, rebuild, backup, restore, rotate, re_encrypt):
        commands.add_command(command)


def _store() -> ImageStore:
    store: ImageStore = current_app.extensions["pixstore"]
    return store


def _fail(error: object) -> NoReturn:
    for line in str(error).splitlines():
        click.echo(f"pixstore: {line[:1].lower()}{line[1:].rstrip('.')}", err=True)
    raise SystemExit(1)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except PixstoreError as error:
        _fail(error)


@contextmanager
def _progress(label: str) -> Iterator[Progress]:
    """Yield what shows progress on standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr, show_pos=True) as bar:

        def show(done: int, total: int) -> None:
            bar.length = max(total, 1)
            bar.update(done - bar.pos)

        yield show


@click.command()
@click.option("--deep", is_flag=True, help="Decrypt every image as well.")
@click.option("--repair", is_flag=True, help="Mend what can be mended and sweep orphans.")
@click.option("--resume", is_flag=True, help="Go on with a check that was interrupted.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@with_appcontext
def check(*, deep: bool, repair: bool, resume: bool, as_json: bool) -> None:
    """Compare every record with its image, and every image with the records."""
    with _refusals(), _progress("Checking") as progress:
        report = maintenance.check(_store(), deep=deep, repair=repair, resume=resume, progress=progress)
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


@click.command()
@click.option("--force", is_flag=True, help="Even where most blobs would go.")
@with_appcontext
def sweep(*, force: bool) -> None:
    """Remove what interrupted uploads left behind."""
    with _refusals(), _progress("Sweeping") as progress:
        report = maintenance.sweep(_store(), force=force, progress=progress)
    click.echo(f"{report.orphans} orphaned blobs and {report.unfinished} unfinished files removed")


@click.command()
@click.option("--merge", is_flag=True, help="Go on with a rebuild that was interrupted.")
@with_appcontext
def rebuild(*, merge: bool) -> None:
    """Bring everything back after the database was lost: from images, keyring and master key."""
    store = _store()
    with _refusals(), _progress("Rebuilding") as progress:
        found: list[recovery.RecoveredImage] = []
        report = maintenance.rebuild(
            store,
            merge=merge,
            progress=progress,
            restore=lambda images: found.extend(
                (image.image_id, image.details.format, image.details.size, image.details.extra)
                for image in images
            ),
        )
        recovered = recovery.recover(store, found)
    for finding in report.unreadable:
        click.echo(_described(finding))
    click.echo(
        f"{report.images} images back; {recovered.pictures} pictures, {recovered.albums} albums and "
        f"{recovered.users} accounts made; {len(report.unreadable)} blobs could not be opened"
    )
    if recovered.users:
        click.echo("pixstore: accounts have no password yet: flask pixstore reset-password NAME", err=True)


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@with_appcontext
def backup(directory: Path) -> None:
    """Copy the store to DIRECTORY while it is in use. Again into the same one, only what is new is copied."""
    with _refusals(), _progress("Copying") as progress:
        report = backups.backup(_store(), directory, progress=progress)
    click.echo(f"{report.images} images in the backup, {report.copied} copied now")
    click.echo("pixstore: the master key is not in the backup: keep it elsewhere", err=True)
    for blob_id in report.missing:
        click.echo(f"missing: blob {blob_id}")
    raise SystemExit(1 if report.missing else 0)


@click.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@with_appcontext
def restore(directory: Path) -> None:
    """Make this store, which must be empty, out of the backup in DIRECTORY, and open every image to verify it."""
    store = _store()
    store.close()
    with _refusals(), _progress("Restoring") as progress:
        report = backups.restore(store.config, directory, passing_tables=PASSING_TABLES, progress=progress)
    for finding in report.findings:
        click.echo(_described(finding))
    click.echo(f"{report.images} images restored and opened, {len(report.findings)} findings")
    raise SystemExit(0 if report.is_clean else 1)


@rotate.command("master")
def rotate_master() -> None:
    """Make a new master key. Where it comes from the environment, the new one is read from PIXSTORE_NEW_MASTER_KEY."""
    with _refusals():
        text = os.environ.get(NEW_MASTER_KEY)
        try:
            new = decode_master_key(text) if text else None
        except ValueError as error:
            _fail(f"{NEW_MASTER_KEY}: {error}")
        if new is not None and _store().config.master_key is None:
            _fail(f"the master key lies in a file here: leave {NEW_MASTER_KEY} unset, a new one is made")
        rotation.rotate_master(_store(), new)
    click.echo("the keyring is under the new master key")
    where = (
        "set PIXSTORE_MASTER_KEY to it and restart the server"
        if new
        else "its file was replaced: back it up now"
    )
    click.echo(f"pixstore: {where}; backups made before open with the old one only", err=True)


@rotate.command("store-key")
def rotate_store_key() -> None:
    """Make a new store key for new versions of images; re-encrypt moves the others."""
    with _refusals():
        click.echo(f"store key {rotation.rotate_store_key(_store())} is active")


@rotate.command("service-secret")
def rotate_service_secret() -> None:
    """End every login and every proof."""
    with _refusals():
        rotation.rotate_service_secret(_store())
    click.echo("restart the server: logins and proofs end then")


@click.command("re-encrypt")
@with_appcontext
def re_encrypt() -> None:
    """Seal everything under older store keys again under the active one, with new keys, while the server runs."""
    with _refusals(), _progress("Encrypting") as progress:
        report = rotation.re_encrypt(_store(), texts=recovery.reseal_titles, progress=progress)
    click.echo(
        f"{report.images} images and {report.texts} titles encrypted again, {len(report.dropped_keys)} old keys dropped"
    )
    for image_id, why in report.failed.items():
        click.echo(f"failed: image {image_id}: {why}")
    raise SystemExit(1 if report.failed else 0)
