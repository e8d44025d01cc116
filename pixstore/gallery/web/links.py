"""Links that keep the scope of a page: a picture that was opened from an album links back to that album."""

from typing import Any

from flask import Flask, request, url_for

from pixstore.gallery import albums
from pixstore.gallery.scopes import Cursor, Scope
from pixstore.gallery.web.access import current_user, get_gallery


def init_app(app: Flask) -> None:
    """Give templates ``scope_url`` and ``picture_url``."""
    app.jinja_env.globals.update(scope_url=scope_url, picture_url=picture_url)


def requested_scope() -> Scope:
    """
    Return the scope that the address of this page names: an album of the user, or all pictures.

    Raises:
        NotThere: If the user has no such album.
    """
    user, album_dir = current_user(), request.args.get("album")
    album = albums.get_album(get_gallery(), user, album_dir) if album_dir else None
    return Scope(user.id, album)


def requested_place() -> Cursor | None:
    """Return the place in the scope behind which the requested page begins, or ``None`` for the first page."""
    before = request.args.get("before")
    return None if before is None else Cursor.parse(before)


def scope_url(scope: Scope, **more: Any) -> str:
    """Return the address of the page that lists the pictures of *scope*."""
    if scope.album is None:
        return url_for("pictures.index", **more)
    return url_for("albums.show", album_dir=scope.album.dir, **more)


def picture_url(endpoint: str, picture_id: str, scope: Scope, **more: Any) -> str:
    """Return the address of *endpoint* of the module ``pictures`` for a picture. The address keeps *scope*."""
    album = None if scope.album is None else scope.album.dir
    return url_for(f"pictures.{endpoint}", picture_id=picture_id, album=album, **more)
