"""The upload page. One form may hold many files, and each is stored or refused separately."""

import logging
from dataclasses import dataclass, field

from flask import Blueprint, request, url_for
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Response

from pixstore.config import Config
from pixstore.errors import ImageRejected, StorageError
from pixstore.gallery import albums, pictures
from pixstore.gallery.albums import AlbumView
from pixstore.gallery.errors import InvalidInput
from pixstore.gallery.pictures import PictureView
from pixstore.gallery.scopes import Scope
from pixstore.gallery.web import forms
from pixstore.gallery.web.access import MAX_FORM_BYTES, access, current_user, get_gallery
from pixstore.gallery.web.pictures import chosen_album
from pixstore.gallery.web.problems import PROBLEMS, status_of
from pixstore.gallery.web.rendering import go_to, is_fragment, render

blueprint = Blueprint("upload", __name__)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Refusal:
    """A refused file, and the reason."""

    file_name: str
    reason: str


@dataclass
class Outcome:
    """The results for the files of one form. ``status`` is the highest HTTP status among them."""

    added: list[PictureView] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    status: int = 200

    def refuse(self, file_name: str, reason: str, status: int) -> None:
        """Note a file that was refused."""
        self.refused.append(Refusal(file_name, reason))
        self.status = max(self.status, status)


def _whole_form_limit(config: Config) -> int:
    return config.max_upload_bytes + MAX_FORM_BYTES


@blueprint.get("/upload")
def show() -> Response:
    """Show the form."""
    return _form(chosen=request.args.get("album"))


@blueprint.post("/upload")
@access(body_limit=_whole_form_limit)
def send() -> Response:
    """Store the files of the form, and show which were added and which were refused."""
    try:
        album, files = chosen_album(), forms.files("files")
        if not files:
            raise InvalidInput("files", "Please choose at least one picture.")
    except InvalidInput as error:
        return _form(chosen=forms.text("album"), new_album=forms.text("new_album"), error=error, status=422)
    outcome = Outcome()
    for file in files:
        _keep(album, file, outcome)
    return _answer(album, outcome)


def _keep(album: AlbumView, file: FileStorage, outcome: Outcome) -> None:
    name = file.filename or ""
    try:
        with forms.content(file) as data:
            outcome.added.append(
                pictures.add_picture(get_gallery(), current_user(), album, data, file_name=name)
            )
    except ImageRejected as error:
        outcome.refuse(name, str(error), 422)
    except StorageError as error:
        logger.exception("an upload could not be stored")
        status = status_of(error)
        outcome.refuse(name, PROBLEMS[status].text, status)


def _answer(album: AlbumView, outcome: Outcome) -> Response:
    count = len(outcome.added)
    if not outcome.refused and not is_fragment():
        added = "1 picture has been added." if count == 1 else f"{count} pictures have been added."
        return go_to(url_for("albums.show", album_dir=album.dir), added)
    return render(
        "uploaded",
        fragment="upload_results",
        # If any file was stored, the form counts as accepted, and the page names the refused files.
        status=200 if outcome.added else outcome.status,
        album=album,
        added=outcome.added,
        refused=outcome.refused,
        scope=Scope(current_user().id, album),
    )


def _form(*, status: int = 200, **values: object) -> Response:
    return render(
        "upload",
        fragment="upload_form",
        status=status,
        albums=albums.list_albums(get_gallery(), current_user()),
        **values,
    )
