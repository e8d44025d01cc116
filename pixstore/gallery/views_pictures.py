"""The pictures: all of them, one of them, and what can be done with one."""

from flask import Blueprint, jsonify, request, url_for
from werkzeug.wrappers import Response

from pixstore.config import Config
from pixstore.errors import ImageRejected
from pixstore.gallery import albums, forms, pictures
from pixstore.gallery.access import MAX_FORM_BYTES, access, current_user, get_store
from pixstore.gallery.errors import InvalidInput
from pixstore.gallery.models import Album, Picture
from pixstore.gallery.web import go_to, is_fragment, render

blueprint = Blueprint("pictures", __name__)


def one_file_limit(config: Config) -> int:
    """Return the size of a form with one picture."""
    return config.max_image_bytes + MAX_FORM_BYTES


@blueprint.get("/")
def index() -> Response:
    """Show every picture, newest first."""
    shown = pictures.page(get_store(), current_user(), before=cursor())
    return render("pictures", fragment="cards", page=shown, context=None, more_url=url_for("pictures.index"))


@blueprint.get("/pictures/records")
@access(for_programs=True)
def records() -> Response:
    """Return the records of images whose proofs have become too old, as JSON."""
    found = pictures.records(get_store(), current_user(), request.args.getlist("id"))
    return jsonify(records=[record.to_json(with_meta=False) for record in found])


@blueprint.get("/pictures/<picture_id>")
def show(picture_id: str) -> Response:
    """Show one picture, among all or among those of the album it was opened from."""
    return _page(pictures.get_picture(current_user(), picture_id))


@blueprint.post("/pictures/<picture_id>/rename")
def rename(picture_id: str) -> Response:
    """Give the picture another title."""
    store, user = get_store(), current_user()
    picture = pictures.get_picture(user, picture_id)
    try:
        pictures.rename_picture(store, user, picture, forms.text("title"))
    except InvalidInput as error:
        return _page(picture, open_form="rename", error=error)
    return _changed(picture_id, "The picture has been renamed.")


@blueprint.post("/pictures/<picture_id>/move")
def move(picture_id: str) -> Response:
    """Put the picture into another album, which may be new."""
    store, user = get_store(), current_user()
    picture = pictures.get_picture(user, picture_id)
    try:
        pictures.move_picture(store, user, picture, chosen_album())
    except InvalidInput as error:
        return _page(picture, open_form="move", error=error)
    return _changed(picture_id, "The picture has been moved.")


@blueprint.post("/pictures/<picture_id>/replace")
@access(body_limit=one_file_limit)
def replace(picture_id: str) -> Response:
    """Put another image in the place of the picture."""
    store, user = get_store(), current_user()
    picture = pictures.get_picture(user, picture_id)
    try:
        pictures.replace_picture(store, user, picture, forms.one_file("file").read())
    except InvalidInput as error:
        return _page(picture, open_form="replace", error=error)
    except ImageRejected as error:
        return _page(picture, open_form="replace", error=InvalidInput("file", str(error)))
    return _changed(picture_id, "The picture has been replaced.")


@blueprint.get("/pictures/<picture_id>/delete")
def ask_delete(picture_id: str) -> Response:
    """Ask before deleting the picture."""
    row = pictures.get_picture(current_user(), picture_id)
    return render(
        "delete_picture",
        fragment="delete_picture",
        picture=pictures.original(get_store(), row),
        image_ids=[row.original_id, row.thumbnail_id],
        context=_context_dir(),
    )


@blueprint.post("/pictures/<picture_id>/delete")
def delete(picture_id: str) -> Response:
    """Delete the picture."""
    store, user = get_store(), current_user()
    pictures.delete_picture(store, user, pictures.get_picture(user, picture_id))
    context = _context()
    back = url_for("pictures.index") if context is None else url_for("albums.show", album_dir=context.dir)
    return go_to(back, "The picture has been deleted.")


def cursor() -> pictures.Cursor | None:
    """Return where the page asked for begins."""
    before = request.args.get("before")
    return None if before is None else pictures.Cursor.parse(before)


def chosen_album() -> Album:
    """
    Return the album that the form names: a new one by title, or one of those there are.

    Raises:
        InvalidInput: If the title is not acceptable.
        NotThere: If it names none of the user's albums.
    """
    store, user = get_store(), current_user()
    if forms.text("new_album").strip():
        return albums.find_or_create_album(store, user, forms.text("new_album"), field="new_album")
    if not forms.text("album"):
        return albums.default_album(user)
    return albums.get_album(user, forms.text("album"))


def _page(
    picture: Picture,
    *,
    open_form: str | None = None,
    error: InvalidInput | None = None,
    notice: str | None = None,
) -> Response:
    store, user, context = get_store(), current_user(), _context()
    return render(
        "picture",
        fragment="picture",
        status=200 if error is None else 422,
        picture=pictures.original(store, picture),
        neighbours=pictures.neighbours(user, picture, album=context),
        albums=albums.list_albums(store, user),
        context=None if context is None else context.dir,
        open_form=open_form,
        error=error,
        notice=notice,
    )


def _changed(picture_id: str, notice: str) -> Response:
    """Show the changed picture in place, or by a redirect where there is no htmx."""
    if is_fragment():
        return _page(pictures.get_picture(current_user(), picture_id), notice=notice)
    return go_to(url_for("pictures.show", picture_id=picture_id, album=_context_dir()), notice)


def _context() -> Album | None:
    """Return the album among whose pictures the user looks, if it is not all of them."""
    album_dir = request.args.get("album")
    return None if not album_dir else albums.get_album(current_user(), album_dir)


def _context_dir() -> str | None:
    context = _context()
    return None if context is None else context.dir
