"""What forms say, as plain values. Reading them checks nothing but their presence; the domain judges the values."""

from flask import request
from werkzeug.datastructures import FileStorage

from pixstore.gallery.errors import InvalidInput


def text(field: str) -> str:
    """Return the text of *field*, empty where there is none."""
    return request.form.get(field, "")


def new_password(field: str = "password") -> str:
    """
    Return the new password of the form.

    Raises:
        InvalidInput: If it was not typed the same twice.
    """
    password = text(field)
    if password != text("repeated"):
        raise InvalidInput("repeated", "The two passwords are not the same.")
    return password


def files(field: str) -> list[FileStorage]:
    """Return the files chosen in *field*; a browser sends a nameless one where none was."""
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
