"""Albums: the list of them, one of them, and what can be done with one."""

from flask import Blueprint, url_for
from werkzeug.wrappers import Response

from pixstore.gallery import albums, forms, pictures
from pixstore.gallery.access import current_user, get_store
from pixstore.gallery.errors import InvalidInput
from pixstore.gallery.models import Album
from pixstore.gallery.views_pictures import cursor
from pixstore.gallery.web import go_to, is_fragment, render

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
        album = albums.create_album(get_store(), current_user(), title)
    except InvalidInput as error:
        return _list(error=error, title=title)
    if is_fragment():
        return _list(notice="The album has been made.")
    return go_to(url_for("albums.show", album_dir=album.dir), "The album has been made.")


@blueprint.get("/albums/<album_dir>")
def show(album_dir: str) -> Response:
    """Show the pictures of one album, newest first."""
    store, user = get_store(), current_user()
    album, before = albums.get_album(user, album_dir), cursor()
    return render(
        "album",
        fragment="cards",
        album=albums.view(store, album),
        picture_count=albums.count_pictures(album) if before is None else None,
        page=pictures.page(store, user, album=album, before=before),
        context=album.dir,
        more_url=url_for("albums.show", album_dir=album.dir),
    )


@blueprint.post("/albums/<album_dir>/rename")
def rename(album_dir: str) -> Response:
    """Give the album another title."""
    store, user = get_store(), current_user()
    album = albums.get_album(user, album_dir)
    try:
        albums.rename_album(store, user, album, forms.text("title"))
    except InvalidInput as error:
        return _head(album, error=error)
    if is_fragment():
        return _head(albums.get_album(user, album_dir), notice="The album has been renamed.")
    return go_to(url_for("albums.show", album_dir=album_dir), "The album has been renamed.")


@blueprint.get("/albums/<album_dir>/delete")
def ask_delete(album_dir: str) -> Response:
    """Ask before deleting the album, and what is to become of its pictures."""
    return _confirmation(albums.get_album(current_user(), album_dir))


@blueprint.post("/albums/<album_dir>/delete")
def delete(album_dir: str) -> Response:
    """Delete the album, and its pictures if the form says so."""
    store, user = get_store(), current_user()
    album = albums.get_album(user, album_dir)
    try:
        albums.delete_album(store, user, album, with_pictures=forms.text("pictures") == "delete")
    except InvalidInput as error:
        return _confirmation(album, error=error)
    return go_to(url_for("albums.index"), "The album has been deleted.")


def _list(*, error: InvalidInput | None = None, **values: object) -> Response:
    store, user = get_store(), current_user()
    summaries = albums.summarize(store, user)
    covers = pictures.thumbnails(store, [summary.cover for summary in summaries if summary.cover is not None])
    return render(
        "albums",
        fragment="albums",
        status=200 if error is None else 422,
        summaries=summaries,
        covers={cover.id: cover for cover in covers},
        error=error,
        **values,
    )


def _head(album: Album, *, error: InvalidInput | None = None, notice: str | None = None) -> Response:
    store = get_store()
    return render(
        "album",
        fragment="album_head",
        status=200 if error is None else 422,
        album=albums.view(store, album),
        picture_count=albums.count_pictures(album),
        page=pictures.page(store, current_user(), album=album),
        context=album.dir,
        more_url=url_for("albums.show", album_dir=album.dir),
        error=error,
        notice=notice,
    )


def _confirmation(album: Album, *, error: InvalidInput | None = None) -> Response:
    store, user = get_store(), current_user()
    return render(
        "delete_album",
        fragment="delete_album",
        status=200 if error is None else 422,
        album=albums.view(store, album),
        picture_count=albums.count_pictures(album),
        default_album=albums.view(store, albums.default_album(user)),
        error=error,
    )
