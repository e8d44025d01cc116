"""
The commands `flask pixstore …`.

Results go to standard output; everything else to standard error as `pixstore: …`, in lower case and without a full stop.
A password is asked for, or read from standard input with `--password-stdin`; never given as an argument, where other
users of the machine could see it.
"""

import sys
from typing import NoReturn

import click
from flask import current_app
from flask.cli import AppGroup

from pixstore import cli_maintenance
from pixstore.gallery import accounts
from pixstore.gallery.errors import InvalidInput
from pixstore.store import ImageStore

commands = AppGroup("pixstore", help="Manage the image store and its gallery.")

cli_maintenance.register(commands)

_password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from the first line of standard input."
)


@commands.command("create-user")
@click.argument("name")
@click.option("--owner", is_flag=True, help="Let the account manage the other accounts.")
@_password_option
def create_user(name: str, *, owner: bool, password_stdin: bool) -> None:
    """Make an account called NAME."""
    store: ImageStore = current_app.extensions["pixstore"]
    with store.connected():
        try:
            user = accounts.create_user(store, name, _password(from_stdin=password_stdin), is_owner=owner)
        except InvalidInput as error:
            _fail(str(error))
    click.echo(f"account {user.name} made")


@commands.command("reset-password")
@click.argument("name")
@_password_option
def reset_password(name: str, *, password_stdin: bool) -> None:
    """Give the account NAME a new password. Its logins end, and a disabled account is let in again."""
    store: ImageStore = current_app.extensions["pixstore"]
    with store.connected():
        user = accounts.find_user(name)
        if user is None:
            _fail("there is no such account")
        try:
            accounts.set_password(store, user, _password(from_stdin=password_stdin))
        except InvalidInput as error:
            _fail(str(error))
    click.echo(f"account {user.name} has a new password")


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password


def _fail(message: str) -> NoReturn:
    click.echo(f"pixstore: {message[:1].lower()}{message[1:].rstrip('.')}", err=True)
    raise SystemExit(1)
