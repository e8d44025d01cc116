"""What views share: rendering a page or a fragment of it, answering a change, and the words of templates."""

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
"""Width : height in hundredths, for which the style sheet has a class: pages carry no inline style."""

HTMX_SETTINGS = {
    # Nothing of a page is kept in the browser's storage; going back asks the server.
    "historyCacheSize": 0,
    "refreshOnHistoryMiss": True,
    "historyRestoreAsHxRequest": False,
    # What the content security policy forbids anyway.
    "allowEval": False,
    "allowScriptTags": False,
    "includeIndicatorStyles": False,
    "selfRequestsOnly": True,
    # Errors come as fragments that say what is wrong, and where to put them.
    "responseHandling": [
        {"code": "204", "swap": False},
        {"code": "[23]..|422", "swap": True},
        {"code": "[45]..", "swap": True, "error": True},
    ],
}


def is_fragment() -> bool:
    """Tell whether htmx asks for a part of the page. What it restores from the history is a page."""
    return bool(htmx()) and not htmx().history_restore_request


def render(page: str, /, *, fragment: str | None = None, status: int = 200, **values: Any) -> Response:
    """Return the page *page*, or to htmx only its *fragment*: the partial that the page includes."""
    as_fragment = fragment is not None and is_fragment()
    name = f"_partials/{fragment}.html" if as_fragment else f"{page}.html"
    return make_response(render_template(name, is_fragment=as_fragment, **values), status)


def go_to(url: str, notice: str | None = None) -> Response:
    """Send the browser to *url* after a change; *notice* is shown there once. It must not name a picture."""
    if notice is not None:
        flash(notice)
    if htmx():
        return make_response("", 204, redirect=url)
    return redirect(url, 303)


def farewell(notice: str) -> Response:
    """Send the browser to the login page after a login has ended, and have it drop everything it keeps of us."""
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
    """Return *size* in bytes as people write it."""
    if size < 1_000_000:
        return f"{max(1, round(size / 1000))} kB"
    return f"{size / 1_000_000:.1f} MB"


def day(ms: int) -> str:
    """Return the day of a time in ms, in UTC."""
    moment = _moment(ms)
    return f"{moment.day} {moment:%B %Y}"


def iso(ms: int) -> str:
    """Return a time in ms as a machine reads it."""
    return f"{local_iso(ms)}Z"


def local_iso(ms: int) -> str:
    """Return a time in ms, told by a clock somewhere, as a machine reads it."""
    return _moment(ms).replace(tzinfo=None).isoformat(timespec="seconds")


def ratio_class(width: int, height: int) -> str:
    """Return the class of the style sheet that comes nearest to *width* : *height*."""
    wanted = 100 * width / height
    nearest = min(RATIOS, key=lambda ratio: max(ratio / wanted, wanted / ratio))
    return f"r{nearest}"


def sentence(text: str) -> str:
    """Return an error's text as a sentence."""
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def format_label(name: str) -> str:
    """Return an image format as people call it."""
    return {"jpg": "JPEG", "webp": "WebP"}.get(name, name.upper())


def _moment(ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)


def _page_values() -> dict[str, Any]:
    """Return what every page needs: who looks at it, what may be uploaded, and the settings of the scripts in it."""
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
    """Return a name for the browser's cache of *user*: opaque, and different for every server."""
    return hmac.digest(
        get_gallery().store.secret("pixstore/v1/cache-owner"), user.id.encode(), "sha256"
    ).hex()
