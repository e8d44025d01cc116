"""
Limits the image endpoint to the trusted host names.

The pages check the host name by themselves (Flask's ``TRUSTED_HOSTS``), but the endpoint answers before Flask
does.
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
    """
    Return a WSGI application that calls *application* for *trusted* host names, and *otherwise* for others.

    If *trusted* is empty, every host name is trusted.
    """

    def choose(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        try:
            get_host(environ, trusted)
        except SecurityError:
            return otherwise(environ, start_response)
        return application(environ, start_response)

    return choose
