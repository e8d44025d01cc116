"""
The application: a private photo gallery. This is where everything meets: configuration, store, blueprints, Flask.

    gunicorn app:app          serves it
    create_app(config)        makes one, for tests and for servers of your own

``app`` is made when somebody asks for it: importing this module opens nothing.
"""

import os
from datetime import timedelta
from pathlib import Path

import click
from flask import Flask
from flask_wtf import CSRFProtect
from htmx_flask import Htmx
from werkzeug.middleware.proxy_fix import ProxyFix

from pixstore.cli import commands
from pixstore.config import Config
from pixstore.endpoint import ImageEndpoint
from pixstore.gallery import (
    access,
    headers,
    models,
    problems,
    setup_link,
    static_files,
    uploads,
    views_account,
    views_albums,
    views_health,
    views_login,
    views_pictures,
    views_upload,
    views_users,
    web,
)
from pixstore.models import apply_migrations
from pixstore.store import ImageStore

ROOT = Path(__file__).resolve().parent

VIEWS = (views_account, views_albums, views_health, views_login, views_pictures, views_upload, views_users)


def create_app(config: Config | None = None) -> Flask:
    """Return the application over the store that *config* (or the environment) names."""
    store = ImageStore.open(config or Config.from_env())
    apply_migrations(store.database, models.MIGRATIONS, models.MIGRATION_TABLE)
    models.bind(store.database)

    app = Flask(__name__, root_path=str(ROOT), static_folder=None)
    app.config.update(_flask_settings(store))
    app.extensions["pixstore"] = store
    app.cli.add_command(commands)
    _add_parts(app)
    for views in VIEWS:
        app.register_blueprint(views.blueprint)
    _wrap(app)

    if _is_serving():
        with store.connected():
            setup_link.announce(store, _base_url())
    return app


def _flask_settings(store: ImageStore) -> dict[str, object]:
    config = store.config
    lifetime = timedelta(milliseconds=config.session_lifetime)
    return {
        "SECRET_KEY": store.secret("pixstore/v1/session"),
        # A browser takes a __Host- cookie only from this very host, over HTTPS.
        "SESSION_COOKIE_NAME": "__Host-pixstore" if config.cookie_secure else "pixstore",
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_SECURE": config.cookie_secure,
        "SESSION_REFRESH_EACH_REQUEST": False,
        "PERMANENT_SESSION_LIFETIME": lifetime,
        # A form may stand open as long as the login it belongs to.
        "WTF_CSRF_TIME_LIMIT": int(lifetime.total_seconds()),
        "MAX_CONTENT_LENGTH": access.MAX_FORM_BYTES,
        "TRUSTED_HOSTS": list(config.trusted_hosts) or None,
    }


def _add_parts(app: Flask) -> None:
    Htmx(app)
    app.request_class = uploads.GalleryRequest
    headers.init_app(app, is_https=app.config["SESSION_COOKIE_SECURE"])
    problems.init_app(app)
    web.init_app(app)
    static_files.init_app(app, ROOT / "static")
    access.init_app(app)
    # After the gate: it reads the form, and so the whole body.
    CSRFProtect(app)  # type: ignore[no-untyped-call]


def _wrap(app: Flask) -> None:
    store: ImageStore = app.extensions["pixstore"]
    hops = store.config.proxy_hops
    if hops:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    if store.config.default_endpoint_enabled:
        app.wsgi_app = ImageEndpoint(store).mounted_on(app.wsgi_app)  # type: ignore[method-assign, assignment]


def _is_serving() -> bool:
    """Tell whether this is a server's start: `flask pixstore …` also makes the application, but serves nobody."""
    command = click.get_current_context(silent=True)
    return command is None or command.info_name == "run"


def _base_url() -> str:
    """Return where gunicorn.conf.py lets the server listen."""
    host, port = os.environ.get("HOST") or "127.0.0.1", os.environ.get("PORT") or "8000"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def __getattr__(name: str) -> Flask:
    if name == "app":
        # Kept as a real attribute, so it is made once.
        globals()[name] = made = create_app()
        return made
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
