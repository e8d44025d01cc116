"""
The gallery's commands `flask pixstore …`, beside those that look after the store (``pixstore.maintenance.cli``).

A password is asked for, or read from standard input with `--password-stdin`. It is never given as an argument, where other
users of the machine could see it.
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from pixstore.gallery import Gallery, accounts, importing, recovery, titles, upkeep
from pixstore.gallery.errors import GalleryError, InvalidInput
from pixstore.gallery.importing import ImportReport
from pixstore.gallery.models import User
from pixstore.maintenance import cli
from pixstore.maintenance.companion import Companion, Recovery
from pixstore.maintenance.rebuild import RebuiltImage

_LOGINS = ("gallery_login_session", "gallery_login_attempt", "gallery_setup_link")


@dataclass(frozen=True, kw_only=True)
class GalleryOperator(cli.Operator):
    """The gallery and the store that the commands work on."""

    gallery: Gallery


_password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from the first line of standard input."
)


@click.command("create-user")
@click.argument("name")
@click.option("--owner", is_flag=True, help="Let the account manage the other accounts.")
@_password_option
@click.pass_obj
def create_user(operator: GalleryOperator, name: str, *, owner: bool, password_stdin: bool) -> None:
    """Make an account called NAME."""
    password = _password(from_stdin=password_stdin)
    with operator.store.connected():
        try:
            user = accounts.create_user(operator.gallery, name, password, is_owner=owner)
        except InvalidInput as error:
            cli.fail(error)
    click.echo(f"account {user.name} made")


@click.command("reset-password")
@click.argument("name")
@_password_option
@click.pass_obj
def reset_password(operator: GalleryOperator, name: str, *, password_stdin: bool) -> None:
    """Give the account NAME a new password. Its logins end, and a disabled account is enabled again."""
    with operator.store.connected():
        user = accounts.find_user(operator.gallery, name)
    if user is None:
        cli.fail("there is no such account")
    password = _password(from_stdin=password_stdin)
    with operator.store.connected():
        try:
            accounts.set_password(operator.gallery, user, password)
        except InvalidInput as error:
            cli.fail(error)
    click.echo(f"account {user.name} has a new password")


@click.command("upgrade-pictures")
@click.pass_obj
def upgrade_pictures(operator: GalleryOperator) -> None:
    """Seal data that an earlier release left readable. Read date, place and camera from the pictures."""
    with cli.refusals(), cli.progress_bar("Reading") as progress:
        report = upkeep.upgrade_pictures(operator.gallery, progress=progress)
    click.echo(f"{report.pictures} pictures brought up to date")
    for picture_id, why in report.failed.items():
        click.echo(f"failed: picture {picture_id}: {why}")
    raise SystemExit(1 if report.failed else 0)


@click.command("import")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--user", "name", help="The account that gets the pictures. Default: the only one.")
@click.option("--album", help="The album for files at the top of DIRECTORY. Default: the account's first.")
@click.option("--processes", type=click.IntRange(1), help="How many work at once. Default: one a core.")
@click.option("--dry-run", is_flag=True, help="Say what would be added, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_obj
def import_command(
    operator: GalleryOperator,
    directory: Path,
    *,
    name: str | None,
    album: str | None,
    processes: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """
    Add the pictures in DIRECTORY to an account.

    Each folder in it becomes an album of that name. Files that the account has already are left out, so an import that was
    interrupted goes on when it is run again. Nothing in DIRECTORY is changed.
    """
    gallery = operator.gallery
    user = _importing_user(gallery, name)
    with cli.refusals():
        _know_earlier_pictures(gallery, user, dry_run=dry_run)
        try:
            with cli.progress_bar("Importing") as progress:
                report = importing.import_folder(
                    gallery,
                    user,
                    directory,
                    album=None if album is None else titles.clean_title(album, field="album"),
                    processes=processes,
                    dry_run=dry_run,
                    progress=progress,
                )
        except GalleryError as error:
            cli.fail(error)
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
    else:
        _print_import(report, dry_run=dry_run)
    if report.stopped:
        cli.hint(f"the import has stopped: {report.stopped}")
        cli.hint("what was added stays; run it again and it goes on")
    raise SystemExit(0 if report.is_complete else 1)


def _importing_user(gallery: Gallery, name: str | None) -> User:
    with gallery.store.connected():
        user = None if name is None else accounts.find_user(gallery, name)
        users = accounts.list_users(gallery)
    if name is None and len(users) > 1:
        raise click.UsageError("There are several accounts: name one with --user.")
    if name is None and users:
        user = users[0]
    if user is None:
        cli.fail(
            "there is no such account"
            if users
            else "there is no account yet: flask pixstore create-user NAME"
        )
    return user


def _know_earlier_pictures(gallery: Gallery, user: User, *, dry_run: bool) -> None:
    """Read which files the account's pictures are, where an earlier release has not kept it."""
    outdated = upkeep.count_outdated(gallery, of=user)
    if not outdated:
        return
    if dry_run:
        cli.hint(
            f"{outdated} pictures come from an earlier release and count as other files, until upgrade-pictures has run"
        )
        return
    with cli.progress_bar("Reading earlier pictures") as progress:
        report = upkeep.upgrade_pictures(gallery, of=user, progress=progress)
    for picture_id, why in report.failed.items():
        cli.hint(f"picture {picture_id} could not be read, and counts as another file: {why}")


def _print_import(report: ImportReport, *, dry_run: bool) -> None:
    for path, why in report.skipped.items():
        click.echo(f"skipped: {_printable(path)}: {why}")
    for path, why in report.refused.items():
        click.echo(f"refused: {_printable(path)}: {why}")
    for title, count in report.albums.items():
        click.echo(f"album {_printable(title)}: {count} {'would be ' if dry_run else ''}added")
    click.echo(
        f"{report.added} pictures {'would be ' if dry_run else ''}added, {report.already_there} already there, "
        f"{len(report.refused)} refused, {len(report.skipped)} skipped"
    )


def _printable(text: str) -> str:
    """Return *text* with everything escaped that a terminal would act upon: file names are anybody's."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password


def group(find_gallery: Callable[[], Gallery]) -> click.Group:
    """Return the group `pixstore`; *find_gallery* is called when one of its commands runs."""

    def find_operator() -> cli.Operator:
        gallery = find_gallery()
        return GalleryOperator(store=gallery.store, companion=companion(gallery), gallery=gallery)

    commands = cli.group(find_operator, words="Manage the image store and its gallery.")
    for command in (create_user, reset_password, import_command, upgrade_pictures):
        commands.add_command(command)
    return commands


def companion(gallery: Gallery) -> Companion:
    """Return the ``Companion`` that tells maintenance about *gallery*."""

    def recover(_store: object, images: Sequence[RebuiltImage]) -> Recovery:
        made = recovery.recover(gallery, images)
        words = f"{made.pictures} pictures, {made.albums} albums and {made.users} accounts made"
        hints = ["accounts have no password yet: flask pixstore reset-password NAME"] if made.users else []
        if made.pictures:
            hints.append(
                "to read place and camera from the photo files again: flask pixstore upgrade-pictures"
            )
        return Recovery(words, hints)

    return Companion(
        tables_of_a_first_start=_LOGINS,
        tables_not_backed_up=_LOGINS,
        text_purposes=upkeep.TEXT_PURPOSES,
        reseal_texts=lambda _store: upkeep.reseal_texts(gallery),
        recover=recover,
    )
