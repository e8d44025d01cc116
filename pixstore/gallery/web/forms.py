"""Reads form fields as plain values. It only checks that a value is present; the domain checks the value itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from flask import request
from werkzeug.datastructures import FileStorage

from pixstore.gallery.errors import InvalidInput
from pixstore.gallery.spool import SpooledFile
from pixstore.gallery.web.access import get_intake


def text(field: str) -> str:
    """Return the text of *field*, or an empty string if it is missing."""
    return request.form.get(field, "")


def new_password(field: str = "password") -> str:
    """
    Return the new password of the form.

    Raises:
        InvalidInput: If the two passwords of the form differ.
    """
    password = text(field)
    if password != text("repeated"):
        raise InvalidInput("repeated", "The two passwords are not the same.")
    return password


def files(field: str) -> list[FileStorage]:
    """
    Return the files chosen in *field*.

    If none is chosen, a browser sends a file without a name, which is left out.
    """
    return [file for file in request.files.getlist(field) if file.filename]


def one_file(field: str) -> FileStorage:
    """
    Return the file chosen in *field*.

    Raises:
        InvalidInput: If there is none.
    """
    chosen = files(field)
    if not chosen:
        raise InvalidInput(field, "Please choose a picture.")
    return chosen[0]


@contextmanager
def content(file: FileStorage) -> Iterator[bytes]:
    """Wait until there is memory for *file* beside the files of other forms, and yield its bytes."""
    spooled = cast(SpooledFile, file.stream)
    with get_intake().memory_for(spooled.size):
        yield spooled.read()
