"""The pages of albums: the list, one album, and the forms that change it."""

from flask import Blueprint, url_for
from werkzeug.wrappers import Response

from pixstore.gallery import albums, pictures
from pixstore.gallery.albums import AlbumView
from pixstore.gallery.errors import InvalidInput
from pixstore.gallery.scopes import Scope
from pixstore.gallery.web import forms
from pixstore.gallery.web.access import current_user, get_gallery
from pixstore.gallery.web.links import requested_place
from pixstore.gallery.web.rendering import go_to, is_fragment, render

blueprint = Blueprint("albums", __name__)


@blueprint.get("/albums")
def index() -> Response:
    """Show every album with its newest picture."""
    return _list()


@blueprint.post("/albums")
def create() -> Response:
    """Make an album."""
    title = forms.text("title")
    try:
        album = albums.create_album(get_gallery(), current_user(), title)
    except InvalidInput as error:
        return _list(error=error, title=title)
    if is_fragment():
        return _list(notice="The album has been made.")
    return go_to(url_for("albums.show", album_dir=album.dir), "The album has been made.")


@blueprint.get("/albums/<album_dir>")
def show(album_dir: str) -> Response:
    """Show the pictures of one album, newest first."""
    album = albums.get_album(get_gallery(), current_user(), album_dir)
    return _page(album, fragment="cards")


@blueprint.post("/albums/<album_dir>/rename")
def rename(album_dir: str) -> Response:
    """Give the album another title."""
    gallery, user = get_gallery(), current_user()
    album = albums.get_album(gallery, user, album_dir)
    try:
        albums.rename_album(gallery, user, album, forms.text("title"))
    except InvalidInput as error:
        return _page(album, fragment="album_head", error=error)
    if is_fragment():
        renamed = albums.get_album(gallery, user, album_dir)
        return _page(renamed, fragment="album_head", notice="The album has been renamed.")
    return go_to(url_for("albums.show", album_dir=album_dir), "The album has been renamed.")


@blueprint.get("/albums/<album_dir>/delete")
def ask_delete(album_dir: str) -> Response:
    """Ask for confirmation before deleting the album, and whether to delete its pictures too."""
    return _confirmation(albums.get_album(get_gallery(), current_user(), album_dir))


@blueprint.post("/albums/<album_dir>/delete")
def delete(album_dir: str) -> Response:
    """Delete the album, and its pictures if the form says so."""
    gallery, user = get_gallery(), current_user()
    album = albums.get_album(gallery, user, album_dir)
    try:
        albums.delete_album(gallery, user, album, with_pictures=forms.text("pictures") == "delete")
    except InvalidInput as error:
        return _confirmation(album, error=error)
    return go_to(url_for("albums.index"), "The album has been deleted.")


def _list(*, error: InvalidInput | None = None, **values: object) -> Response:
    gallery, user = get_gallery(), current_user()
    summaries = albums.summarize(gallery, user)
    covers = pictures.views(gallery, [summary.cover for summary in summaries if summary.cover is not None])
    return render(
        "albums",
        fragment="albums",
        status=200 if error is None else 422,
        summaries=summaries,
        covers={cover.id: cover for cover in covers},
        error=error,
        **values,
    )


def _page(
    album: AlbumView, *, fragment: str, error: InvalidInput | None = None, **values: object
) -> Response:
    gallery, scope, before = get_gallery(), Scope(current_user().id, album), requested_place()
    return render(
        "album",
        fragment=fragment,
        status=200 if error is None else 422,
        album=album,
        picture_count=albums.count_pictures(gallery, album) if before is None else None,
        page=pictures.page(gallery, scope, before=before),
        scope=scope,
        error=error,
        **values,
    )


def _confirmation(album: AlbumView, *, error: InvalidInput | None = None) -> Response:
    gallery, user = get_gallery(), current_user()
    return render(
        "delete_album",
        fragment="delete_album",
        status=200 if error is None else 422,
        album=album,
        picture_count=albums.count_pictures(gallery, album),
        default_album=albums.default_album(gallery, user),
        error=error,
    )
