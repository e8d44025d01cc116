"""The pages of pictures: the list, one picture, and the forms that change it."""

from flask import Blueprint, jsonify, request
from werkzeug.wrappers import Response

from pixstore.config import Config
from pixstore.errors import ImageRejected
from pixstore.gallery import albums, pictures
from pixstore.gallery.albums import AlbumView
from pixstore.gallery.errors import InvalidInput
from pixstore.gallery.models import Picture
from pixstore.gallery.scopes import Scope
from pixstore.gallery.web import forms
from pixstore.gallery.web.access import MAX_FORM_BYTES, access, current_user, get_gallery
from pixstore.gallery.web.links import picture_url, requested_place, requested_scope, scope_url
from pixstore.gallery.web.rendering import go_to, is_fragment, render

blueprint = Blueprint("pictures", __name__)


def one_file_limit(config: Config) -> int:
    """Return the largest size of a form with one picture, in bytes."""
    return config.max_image_bytes + MAX_FORM_BYTES


@blueprint.get("/")
def index() -> Response:
    """Show every picture, newest first."""
    scope = Scope(current_user().id)
    shown = pictures.page(get_gallery(), scope, before=requested_place())
    return render("pictures", fragment="cards", page=shown, scope=scope)


@blueprint.get("/pictures/records")
@access(for_programs=True)
def records() -> Response:
    """Return fresh records as JSON, for pages whose proofs have become too old."""
    found = pictures.records(get_gallery(), current_user(), request.args.getlist("id"))
    return jsonify(records=[record.to_json(with_meta=False) for record in found])


@blueprint.get("/pictures/<picture_id>")
def show(picture_id: str) -> Response:
    """Show one picture, in the scope it was opened from."""
    return _page(_picture(picture_id))


@blueprint.post("/pictures/<picture_id>/rename")
def rename(picture_id: str) -> Response:
    """Give the picture another title."""
    picture = _picture(picture_id)
    try:
        pictures.rename_picture(get_gallery(), current_user(), picture, forms.text("title"))
    except InvalidInput as error:
        return _page(picture, open_form="rename", error=error)
    return _changed(picture_id, "The picture has been renamed.")


@blueprint.post("/pictures/<picture_id>/move")
def move(picture_id: str) -> Response:
    """Put the picture into another album, which may be new."""
    picture = _picture(picture_id)
    try:
        pictures.move_picture(get_gallery(), current_user(), picture, chosen_album())
    except InvalidInput as error:
        return _page(picture, open_form="move", error=error)
    return _changed(picture_id, "The picture has been moved.")


@blueprint.post("/pictures/<picture_id>/replace")
@access(body_limit=one_file_limit)
def replace(picture_id: str) -> Response:
    """Put another image in the place of the picture."""
    picture = _picture(picture_id)
    try:
        with forms.content(forms.one_file("file")) as data:
            pictures.replace_picture(get_gallery(), current_user(), picture, data)
    except InvalidInput as error:
        return _page(picture, open_form="replace", error=error)
    except ImageRejected as error:
        return _page(picture, open_form="replace", error=InvalidInput("file", str(error)))
    return _changed(picture_id, "The picture has been replaced.")


@blueprint.get("/pictures/<picture_id>/delete")
def ask_delete(picture_id: str) -> Response:
    """Ask for confirmation before deleting the picture."""
    row = _picture(picture_id)
    return render(
        "delete_picture",
        fragment="delete_picture",
        picture=pictures.view(get_gallery(), row),
        image_ids=[row.original_id, row.thumbnail_id],
        scope=requested_scope(),
    )


@blueprint.post("/pictures/<picture_id>/delete")
def delete(picture_id: str) -> Response:
    """Delete the picture."""
    pictures.delete_picture(get_gallery(), current_user(), _picture(picture_id))
    return go_to(scope_url(requested_scope()), "The picture has been deleted.")


def chosen_album() -> AlbumView:
    """
    Return the album that the form names: a new one by its title, an existing one, or the default album.

    Raises:
        InvalidInput: If the title is not acceptable.
        NotThere: If it names an album that the user does not have.
    """
    gallery, user = get_gallery(), current_user()
    if forms.text("new_album").strip():
        return albums.find_or_create_album(gallery, user, forms.text("new_album"), field="new_album")
    if not forms.text("album"):
        return albums.default_album(gallery, user)
    return albums.get_album(gallery, user, forms.text("album"))


def _picture(picture_id: str) -> Picture:
    return pictures.get_picture(get_gallery(), current_user(), picture_id)


def _page(
    picture: Picture,
    *,
    open_form: str | None = None,
    error: InvalidInput | None = None,
    notice: str | None = None,
) -> Response:
    gallery, scope = get_gallery(), requested_scope()
    return render(
        "picture",
        fragment="picture",
        status=200 if error is None else 422,
        picture=pictures.view(gallery, picture),
        facts=pictures.facts_of(gallery, picture),
        neighbours=pictures.neighbours(gallery, scope, picture),
        albums=albums.list_albums(gallery, current_user()),
        scope=scope,
        open_form=open_form,
        error=error,
        notice=notice,
    )


def _changed(picture_id: str, notice: str) -> Response:
    """Show the changed picture in place. Without htmx, redirect to its page."""
    if is_fragment():
        return _page(_picture(picture_id), notice=notice)
    return go_to(picture_url("show", picture_id, requested_scope()), notice)
