"""What all views share: rendering a page or one fragment of it, redirects after a change, and template filters."""

import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask, flash, g, redirect, render_template, request, url_for
from htmx_flask import make_response
from werkzeug.wrappers import Response

from pixstore import formats
from pixstore.gallery import passwords, titles
from pixstore.gallery.models import User
from pixstore.gallery.web.access import get_gallery, htmx

RATIOS = (50, 56, 67, 75, 80, 90, 100, 110, 120, 133, 150, 167, 178, 200, 235, 300)
"""Ratios (width : height, times 100) for which the style sheet has a class: pages carry no inline style."""

HTMX_SETTINGS = {
    # Keep no page in the browser's storage: going back asks the server.
    "historyCacheSize": 0,
    "refreshOnHistoryMiss": True,
    "historyRestoreAsHxRequest": False,
    # The content security policy forbids these anyway.
    "allowEval": False,
    "allowScriptTags": False,
    "includeIndicatorStyles": False,
    "selfRequestsOnly": True,
    # An error is a fragment that explains what is wrong and names its own target.
    "responseHandling": [
        {"code": "204", "swap": False},
        {"code": "[23]..|422", "swap": True},
        {"code": "[45]..", "swap": True, "error": True},
    ],
}


def is_fragment() -> bool:
    """Tell whether htmx asks for a fragment. When it restores a page from the history, it needs the whole page."""
    return bool(htmx()) and not htmx().history_restore_request


def render(page: str, /, *, fragment: str | None = None, status: int = 200, **values: Any) -> Response:
    """Return the page *page*. If htmx asks, return only *fragment*: a partial that the page includes."""
    as_fragment = fragment is not None and is_fragment()
    name = f"_partials/{fragment}.html" if as_fragment else f"{page}.html"
    return make_response(render_template(name, is_fragment=as_fragment, **values), status)


def go_to(url: str, notice: str | None = None) -> Response:
    """Redirect the browser to *url* after a change. *notice* is shown there once; it must not name a picture."""
    if notice is not None:
        flash(notice)
    if htmx():
        return make_response("", 204, redirect=url)
    return redirect(url, 303)


def farewell(notice: str) -> Response:
    """Redirect to the login page after a logout, and make the browser delete everything this site stored in it."""
    answer = go_to(url_for("login.show"), notice)
    answer.headers["Clear-Site-Data"] = '"storage"'
    return answer


def init_app(app: Flask) -> None:
    """Give templates their helpers."""
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(
        file_size=file_size, day=day, iso=iso, local_iso=local_iso, ratio=ratio_class, sentence=sentence
    )
    app.jinja_env.globals.update(
        MIN_PASSWORD_LENGTH=passwords.MIN_LENGTH,
        MAX_TITLE_LENGTH=titles.MAX_LENGTH,
        format_label=format_label,
    )
    app.context_processor(_page_values)


def file_size(size: int) -> str:
    """Return *size* (bytes) for people to read, such as ``1.5 MB``."""
    if size < 1_000_000:
        return f"{max(1, round(size / 1000))} kB"
    return f"{size / 1_000_000:.1f} MB"


def day(ms: int) -> str:
    """Return the UTC date of a time in ms, such as ``5 March 2026``."""
    moment = _moment(ms)
    return f"{moment.day} {moment:%B %Y}"


def iso(ms: int) -> str:
    """Return a time in ms in ISO 8601, in UTC."""
    return f"{local_iso(ms)}Z"


def local_iso(ms: int) -> str:
    """Return a time in ms in ISO 8601, without a time zone."""
    return _moment(ms).replace(tzinfo=None).isoformat(timespec="seconds")


def ratio_class(width: int, height: int) -> str:
    """Return the style sheet's class for the ratio nearest to *width* : *height*."""
    wanted = 100 * width / height
    nearest = min(RATIOS, key=lambda ratio: max(ratio / wanted, wanted / ratio))
    return f"r{nearest}"


def sentence(text: str) -> str:
    """Return an error's text with a capital at the start and a full stop at the end."""
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def format_label(name: str) -> str:
    """Return the usual name of an image format, such as ``JPEG``."""
    return {"jpg": "JPEG", "webp": "WebP"}.get(name, name.upper())


def _moment(ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)


def _page_values() -> dict[str, Any]:
    """Return what every page needs: the user, the upload limits, and the settings of its scripts."""
    gallery = get_gallery()
    user: User | None = g.get("user")
    accepted = [name for name in gallery.config.image_formats if name != "jpeg"]
    page_settings = {
        "imageFormats": gallery.config.image_formats,
        "defaultEndpointRoute": request.script_root + gallery.config.default_endpoint_route,
        "recordUrl": url_for("pictures.records"),
    }
    if user is not None:
        page_settings["cacheOwner"] = _cache_owner(user)
    return {
        "user": user,
        "page_settings": page_settings,
        "htmx_settings": HTMX_SETTINGS,
        "accepted_labels": [format_label(name) for name in accepted],
        "accepted_types": ",".join(formats.MIME_TYPES[name] for name in accepted),
        "max_image_bytes": gallery.config.max_image_bytes,
        "max_image_size": f"{gallery.config.max_image_bytes / 2**20:.3g} MiB",
    }


def _cache_owner(user: User) -> str:
    """
    Return a name for *user* in the browser's cache.

    It tells nothing about the user, and differs between servers.
    """
    return hmac.digest(
        get_gallery().store.secret("pixstore/v1/cache-owner"), user.id.encode(), "sha256"
    ).hex()
