"""
Somebody with a browser: ``Visitor`` keeps cookies, knows the token of its forms, and says what it does in verbs.

    anna = Visitor(app).logs_in("anna")
    anna.uploads(("sea.jpg", jpeg()))
"""

import io
import re
from html import unescape

from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

PASSWORD = "correct horse battery"
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
_HTMX = {"HX-Request": "true"}


class Visitor:
    """One browser, without JavaScript unless it asks as htmx does."""

    def __init__(self, app):
        self.app = app
        self.client = app.test_client()

    def get(self, path, *, htmx=False, **options):
        """Ask for *path*."""
        return self.client.get(path, headers=_HTMX if htmx else None, buffered=True, **options)

    def post(self, path, data=None, *, htmx=False, **options):
        """Send a form of this site."""
        fields = {"csrf_token": self.token(), **(data or {})}
        return self.client.post(path, data=fields, headers=_HTMX if htmx else None, **options)

    def token(self):
        """Return the token that stands in the forms this visitor sees now."""
        for path in ("/account", "/login"):
            found = _TOKEN.search(self.get(path).text)
            if found:
                return unescape(found[1])
        raise AssertionError("no form was found")

    def logs_in(self, name, password=PASSWORD):
        """Log in, and insist that it worked."""
        assert self.post("/login", {"name": name, "password": password}).status_code == 303
        return self

    def uploads(self, *files, album="", new_album="", htmx=False):
        """Send *files*, each a name and bytes, in one form."""
        return self.sends("/upload", "files", *files, album=album, new_album=new_album, htmx=htmx)

    def sends(self, path, field, *files, htmx=False, **fields):
        """Send a form with files."""
        sent = [FileStorage(io.BytesIO(data), filename=name) for name, data in files]
        # Encoded here, because the test client would use a temporary file and never close it.
        boundary, body = encode_multipart({"csrf_token": self.token(), **fields, field: sent})
        return self.client.post(
            path,
            data=body,
            content_type=f"multipart/form-data; boundary={boundary}",
            headers=_HTMX if htmx else None,
        )

    @property
    def cookie(self):
        """Return the value of the session cookie, or nothing."""
        cookie = self.client.get_cookie("pixstore")
        return None if cookie is None else cookie.value
