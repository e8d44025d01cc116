"""
Security headers, on every response of the application.

The content security policy allows no inline script, no inline style, and nothing from another origin, so code
that an attacker injects into a page does not run. ``blob:`` is needed by the browser module, which shows
decrypted pictures from such addresses. Browsers and proxies may not store pages; static files set a cache
time of their own.
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
    """Add the headers to every response of *app*. With *is_https*, also tell browsers to use only HTTPS."""

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.update(HEADERS)
        if is_https:
            response.headers["Strict-Transport-Security"] = f"max-age={_TWO_YEARS}"
        if "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-store"
        if response.mimetype == "text/html":
            # The same URL answers with a page or with a fragment of it.
            response.vary.add("HX-Request")
        return response
