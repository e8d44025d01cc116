"""
The host names that the image endpoint answers to: the same as the pages.

The pages check the name by themselves (Flask's ``TRUSTED_HOSTS``), but the endpoint stands in front of them.
"""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from werkzeug.exceptions import SecurityError
from werkzeug.wsgi import get_host

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def for_hosts(
    trusted: Collection[str], application: "WSGIApplication", *, otherwise: "WSGIApplication"
) -> "WSGIApplication":
    """Return *application* for requests by a *trusted* host name (by any, if there are none), and *otherwise* for others."""

    def choose(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        try:
            get_host(environ, trusted)
        except SecurityError:
            return otherwise(environ, start_response)
        return application(environ, start_response)

    return choose
