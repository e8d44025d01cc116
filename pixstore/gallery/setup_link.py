"""
The one-time link of the first start, with which the owner's account is made.

It is printed on standard output while the installation has no owner, by one worker for all workers of a
start. The database row names the process that printed the link. While that process lives on this machine, no
other process prints one. A later start finds that process gone and prints a new link, which voids the old
one. Only a hash of the token is stored.
"""

import hashlib
import os
import secrets
from pathlib import Path

from peewee import IntegrityError

from pixstore.gallery import Gallery, accounts, passwords
from pixstore.gallery.errors import InvalidInput, NotThere
from pixstore.gallery.models import User

_ONLY_ROW = 1


def announce(gallery: Gallery, base_url: str) -> None:
    """Print the link, if there is no owner and no living process has printed it."""
    token = issue(gallery)
    if token is not None:
        print(f"Set up: {base_url}/setup/{token}", flush=True)  # noqa: T201 - this line is the product's promise


def issue(gallery: Gallery) -> str | None:
    """
    Return a new token and void the old one.

    Return ``None`` if there is an owner, or another process has a token.
    """
    token = secrets.token_urlsafe(32)
    link = gallery.models.setup_link
    row = {"token_hash": _hash(token), "issuer": _this_process()}
    try:
        with gallery.transaction():
            if accounts.has_owner(gallery):
                return None
            shown = link.get_or_none()
            if shown is None:
                link.create(id=_ONLY_ROW, **row)
                return token
            if shown.issuer != row["issuer"] and _is_alive(shown.issuer):
                return None
            replaced = link.update(**row).where(link.token_hash == shown.token_hash).execute()
            return token if replaced else None
    except IntegrityError:  # another worker was first
        return None


def check(gallery: Gallery, token: str) -> None:
    """
    Check that *token* belongs to the current link.

    Raises:
        NotThere: If it does not, or there is an owner.
    """
    shown = gallery.models.setup_link.get_or_none()
    if (
        shown is None
        or not secrets.compare_digest(shown.token_hash, _hash(token))
        or accounts.has_owner(gallery)
    ):
        raise NotThere("This link is no longer valid.")


def create_owner(gallery: Gallery, token: str, name: str, password: str) -> User:
    """
    Make the owner's account and void the link, both or neither.

    If there is an account of this name without a password (``recovery`` makes such accounts), it becomes the
    owner's account and keeps its pictures.

    Raises:
        NotThere: If the link is not valid.
        InvalidInput: If the name or the password is not acceptable.
    """
    check(gallery, token)
    name = accounts.clean_name(name)
    password_hash = passwords.hash_password(accounts.check_new_password(password, name=name))
    link = gallery.models.setup_link
    with gallery.transaction():
        check(gallery, token)
        if not link.delete().where(link.token_hash == _hash(token)).execute():
            raise NotThere("This link is no longer valid.")
        user = accounts.find_user(gallery, name)
        if user is None:
            return accounts.add_user(gallery, name, password_hash=password_hash, is_owner=True)
        if user.password_hash:
            raise InvalidInput("name", f"There is already an account called {name}.")
        user.password_hash, user.is_owner, user.disabled_at = password_hash, True, None
        user.save()
        return user


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _this_process() -> str:
    pid = os.getpid()
    return f"{_boot_id()}:{pid}:{_start_time(pid)}"


def _is_alive(issuer: str) -> bool:
    """
    Tell whether the process that *issuer* names runs on this machine.

    A pid alone may belong to a later process.
    """
    boot_id, pid, start_time = issuer.split(":")
    return boot_id == _boot_id() and start_time != "" and start_time == _start_time(int(pid))


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _start_time(pid: int) -> str:
    """Return when process *pid* started, or an empty string if it has ended (proc(5), fields 3 and 22 of stat)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
