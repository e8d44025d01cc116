"""Forms as browsers encode them."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import urlencode

URLENCODED = "application/x-www-form-urlencoded"
BOUNDARY = "----------------pixstore"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"


class File(NamedTuple):
    """A file in a form."""

    name: str
    data: bytes
    field: str = "files"


def urlencoded(fields: Mapping[str, str]) -> bytes:
    """Return the body of a form without files."""
    return urlencode(fields).encode()


def multipart(fields: Iterable[tuple[str, str]], files: Iterable[File] = ()) -> bytes:
    """Return the body of a form with files."""
    parts = [
        _part(f'name="{_quoted(name)}"', value.encode("utf-8", "surrogatepass")) for name, value in fields
    ]
    parts += [
        _part(f'name="{file.field}"; filename="{_quoted(file.name)}"', file.data, "application/octet-stream")
        for file in files
    ]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def _part(disposition: str, data: bytes, content_type: str = "") -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n"
    if content_type:
        head += f"Content-Type: {content_type}\r\n"
    return f"{head}\r\n".encode("utf-8", "surrogatepass") + data + b"\r\n"


def _quoted(text: str) -> str:
    return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
