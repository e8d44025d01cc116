"""
The application: a private photo gallery. This module connects configuration, store, gallery and Flask.

    gunicorn app:app          serves it
    create_app(config)        makes one, for tests and for servers of your own

``app`` is made when it is first used, so importing this module opens nothing.
"""

import os
from typing import TYPE_CHECKING

import click
from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from pixstore.config import Config
from pixstore.endpoint import ImageEndpoint
from pixstore.gallery import Gallery, setup_link
from pixstore.gallery.web import pages
from pixstore.gallery.web.hosts import for_hosts
from pixstore.package_files import TEMPLATES
from pixstore.parts import Clock, clock_ms
from pixstore.store import ImageStore

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def create_app(config: Config | None = None, *, now: Clock = clock_ms) -> Flask:
    """Return the application over the store that *config* (or the environment) names."""
    store = ImageStore.open(config or Config.from_env(), now=now)
    gallery = Gallery.open(store)
    app = Flask(__name__, template_folder=TEMPLATES, static_folder=None)
    pages.init_app(app, gallery)
    _wrap(app, store)
    if _is_serving():
        with store.connected():
            setup_link.announce(gallery, _base_url())
    return app


def _wrap(app: Flask, store: ImageStore) -> None:
    """Wrap *app* in WSGI layers: the image endpoint, the check of its host names, and trusted proxies."""
    config = store.config
    wrapped: WSGIApplication = app.wsgi_app
    if config.default_endpoint_enabled:
        with_images = ImageEndpoint(store).mounted_on(wrapped)
        wrapped = for_hosts(config.trusted_hosts, with_images, otherwise=wrapped)
    if config.proxy_hops:
        hops = config.proxy_hops
        wrapped = ProxyFix(wrapped, x_for=hops, x_proto=hops, x_host=hops)
    app.wsgi_app = wrapped  # type: ignore[method-assign, assignment]


def _is_serving() -> bool:
    """Tell whether a server is starting. `flask pixstore …` also makes the application, but does not serve it."""
    command = click.get_current_context(silent=True)
    return command is None or command.info_name == "run"


def _base_url() -> str:
    """Return the server's address: host and port as in gunicorn.conf.py, and gunicorn's path prefix."""
    host, port = os.environ.get("HOST") or "127.0.0.1", os.environ.get("PORT") or "8000"
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}{os.environ.get('SCRIPT_NAME', '')}"


def __getattr__(name: str) -> Flask:
    if name == "app":
        # Keep it as an attribute of the module, so that it is made once.
        globals()[name] = made = create_app()
        return made
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
