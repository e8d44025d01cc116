"""
Puts every page of the gallery, and everything that pages share, into a Flask application.

To add a page, write a module with a ``blueprint`` and add it to ``PAGES``.
"""

from datetime import timedelta

from flask import Flask
from flask_wtf import CSRFProtect
from htmx_flask import Htmx

from pixstore.gallery import Gallery, cli
from pixstore.gallery.intake import Intake
from pixstore.gallery.web import (
    access,
    account,
    albums,
    deletion,
    headers,
    health,
    links,
    login,
    pictures,
    problems,
    rendering,
    request,
    setup,
    static_files,
    upload,
    users,
)
from pixstore.package_files import STATIC

PAGES = (account, albums, deletion, health, login, pictures, setup, upload, users)


def init_app(app: Flask, gallery: Gallery) -> None:
    """Make *app* serve *gallery*. Its template folder must be that of the gallery."""
    app.extensions["pixstore"] = gallery.store
    app.extensions["pixstore.gallery"] = gallery
    app.extensions["pixstore.intake"] = Intake(
        at_once=gallery.config.uploads_at_once, max_file_bytes=gallery.config.max_image_bytes
    )
    app.config.update(_settings(gallery))
    app.cli.add_command(cli.group(lambda: gallery))
    Htmx(app)
    app.request_class = request.GalleryRequest  # after Htmx, which sets its own request class
    headers.init_app(app, is_https=gallery.config.cookie_secure)
    problems.init_app(app)
    rendering.init_app(app)
    links.init_app(app)
    static_files.init_app(app, STATIC)
    access.init_app(app)
    # After `access`, because this reads the form, and so the whole body.
    CSRFProtect(app)  # type: ignore[no-untyped-call]
    for page in PAGES:
        app.register_blueprint(page.blueprint)


def _settings(gallery: Gallery) -> dict[str, object]:
    config = gallery.config
    lifetime = timedelta(milliseconds=config.session_lifetime)
    return {
        "SECRET_KEY": gallery.store.secret("pixstore/v1/session"),
        # A browser accepts a __Host- cookie only over HTTPS, and only from the host itself.
        "SESSION_COOKIE_NAME": "__Host-pixstore" if config.cookie_secure else "pixstore",
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_SECURE": config.cookie_secure,
        "SESSION_REFRESH_EACH_REQUEST": False,
        "PERMANENT_SESSION_LIFETIME": lifetime,
        # A form stays valid as long as its login.
        "WTF_CSRF_TIME_LIMIT": int(lifetime.total_seconds()),
        "MAX_CONTENT_LENGTH": access.MAX_FORM_BYTES,
        "TRUSTED_HOSTS": list(config.trusted_hosts) or None,
    }
