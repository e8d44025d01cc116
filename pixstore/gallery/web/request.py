"""
The request class. It keeps uploaded files sealed in a ``Spool``, each within a size limit.

Werkzeug writes files above 500 kB to a temporary file, which would put a picture on disk unsealed, and keeps
smaller files in memory. Here, a file beyond the size limit of an image is cut off one byte behind that limit.
This file is then refused by its name, while the other files of the form are stored. ``access`` limits the
body as a whole.

An incomplete or wrongly chunked body is found while it is parsed. Each server raises other exceptions for
that.
"""

from typing import IO, cast

from htmx_flask.requests import HtmxAwareRequest
from werkzeug.exceptions import BadRequest, HTTPException

from pixstore.errors import StorageError
from pixstore.gallery.spool import Spool
from pixstore.gallery.web.access import get_gallery


class WholeEnd:
    """
    The body of a form, read in pieces that never end within its last line.

    The last line ends in two dashes. If a piece ends between them, Werkzeug's parser (3.1.9) adds one byte to
    the last file, so a picture would not be kept byte for byte.
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
    """A request with htmx headers that never writes an upload to disk unsealed."""

    _spool: Spool | None = None

    def close(self) -> None:
        """Close the request and delete its files."""
        super().close()
        if self._spool is not None:
            self._spool.close()

    def _load_form_data(self) -> None:
        try:
            super()._load_form_data()
        except (HTTPException, StorageError):
            raise
        except Exception as error:
            # Errors of the disk were raised above. So reading the body has failed: the client's fault.
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
        config = get_gallery().config
        if self._spool is None:
            self._spool = Spool(config.data_dir)
        return cast(IO[bytes], self._spool.new_file(config.max_image_bytes + 1))  # the parser only writes
