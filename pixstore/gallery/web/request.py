"""
The request class: uploaded files stay in memory, each within a bound.

Werkzeug writes files above 500 kB to a temporary file, which would put a picture on disk unsealed. Here they never leave
memory. A file beyond the largest image is cut off right behind that size: the store then refuses it, and by name, while
the other files of the form go on. The body as a whole is bounded by ``access``.

A body that breaks off or is wrongly chunked is found out while it is parsed; each server has its own exceptions for that.
"""

import io
from typing import IO, cast

from htmx_flask.requests import HtmxAwareRequest
from werkzeug.exceptions import BadRequest, HTTPException

from pixstore.gallery.web.access import get_gallery


class BoundedFile(io.BytesIO):
    """Bytes in memory; what is written beyond *limit* is dropped."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def write(self, data: object) -> int:
        """Keep as much of *data* as there is room for, and say that all was taken."""
        view = memoryview(data)  # type: ignore[arg-type] # whatever io accepts
        super().write(view[: max(0, self._limit - self.tell())])
        return view.nbytes


class WholeEnd:
    """
    The body of a form, handed on in pieces none of which ends within the form's last line.

    That line ends in two dashes. Werkzeug's parser (3.1.9) takes one byte too many into the last file where a piece ends
    between them: a picture would not be kept byte for byte.
    """

    _MORE, _TIMES = 64, 8

    def __init__(self, body: IO[bytes]) -> None:
        self._body = body

    def read(self, size: int = -1) -> bytes:
        """Return *size* bytes, or a few more."""
        piece = self._body.read(size)
        for _ in range(self._TIMES):
            if not piece.endswith(b"-"):
                break
            piece += self._body.read(self._MORE)
        return piece


class GalleryRequest(HtmxAwareRequest):
    """A request that knows htmx and never writes an upload to disk."""

    def _load_form_data(self) -> None:
        try:
            super()._load_form_data()
        except HTTPException:
            raise
        except Exception as error:
            # Parsing happens in memory, so what fails is the reading: the sender's doing.
            raise BadRequest from error
        if None in self.form or None in self.files:
            raise BadRequest  # a part without a name, which the parser lets through

    def _get_stream_for_parsing(self) -> IO[bytes]:
        return cast(IO[bytes], WholeEnd(super()._get_stream_for_parsing()))  # the parser only reads

    def _get_file_stream(
        self,
        total_content_length: int | None,  # noqa: ARG002 - the signature is Werkzeug's
        content_type: str | None,  # noqa: ARG002
        filename: str | None = None,  # noqa: ARG002
        content_length: int | None = None,  # noqa: ARG002
    ) -> IO[bytes]:
        return BoundedFile(get_gallery().config.max_image_bytes + 1)
