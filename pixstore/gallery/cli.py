"""
The gallery's commands `flask pixstore …`, beside those that look after the store (``pixstore.maintenance.cli``).

A password is asked for, or read from standard input with `--password-stdin`. It is never given as an argument, where other
users of the machine could see it.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import click

from pixstore.gallery import Gallery, accounts, recovery, upkeep
from pixstore.gallery.errors import InvalidInput
from pixstore.maintenance import cli
from pixstore.maintenance.companion import Companion, Recovery
from pixstore.maintenance.rebuild import RebuiltImage

_LOGINS = ("gallery_login_session", "gallery_login_attempt", "gallery_setup_link")


@dataclass(frozen=True, kw_only=True)
class GalleryOperator(cli.Operator):
    """What the commands work on: a gallery and its store."""

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
    """Give the account NAME a new password. Its logins end, and a disabled account is let in again."""
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
    """Seal what an earlier release left readable of its pictures, and read date, place and camera from their files."""
    with cli.refusals(), cli.progress_bar("Reading") as progress:
        report = upkeep.upgrade_pictures(operator.gallery, progress=progress)
    click.echo(f"{report.pictures} pictures brought up to date")
    for picture_id, why in report.failed.items():
        click.echo(f"failed: picture {picture_id}: {why}")
    raise SystemExit(1 if report.failed else 0)


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
    for command in (create_user, reset_password, upgrade_pictures):
        commands.add_command(command)
    return commands


def companion(gallery: Gallery) -> Companion:
    """Return what maintenance has to know of *gallery*."""

    def recover(_store: object, images: Sequence[RebuiltImage]) -> Recovery:
        made = recovery.recover(gallery, images)
        words = f"{made.pictures} pictures, {made.albums} albums and {made.users} accounts made"
        hints = ["accounts have no password yet: flask pixstore reset-password NAME"] if made.users else []
        if made.pictures:
            hints.append(
                "what photo files say of place and camera is read again by: flask pixstore upgrade-pictures"
            )
        return Recovery(words, hints)

    return Companion(
        tables_of_a_first_start=_LOGINS,
        tables_not_backed_up=_LOGINS,
        text_purposes=upkeep.TEXT_PURPOSES,
        reseal_texts=lambda _store: upkeep.reseal_texts(gallery),
        recover=recover,
    )
