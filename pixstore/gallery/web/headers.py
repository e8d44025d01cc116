"""
Security headers, on every response of the application.

The policy allows no inline script, no inline style and nothing from elsewhere: what somebody manages to put into a page
does not run. ``blob:`` is where the browser module shows decrypted pictures from. Pages are never stored by a browser or
a proxy; static files say for themselves how long they keep.
"""

from flask import Flask, Response

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'"
)

_UNUSED_FEATURES = ("camera", "geolocation", "microphone", "payment", "usb", "serial", "display-capture")

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": ", ".join(f"{feature}=()" for feature in _UNUSED_FEATURES),
}

_TWO_YEARS = 2 * 365 * 24 * 60 * 60


def init_app(app: Flask, *, is_https: bool) -> None:
    """Add the headers to every response of *app*; with *is_https* browsers are told to come by HTTPS only."""

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.update(HEADERS)
        if is_https:
            response.headers["Strict-Transport-Security"] = f"max-age={_TWO_YEARS}"
        if "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-store"
        if response.mimetype == "text/html":
            # A URL answers with a page or with a fragment of it.
            response.vary.add("HX-Request")
        return response
