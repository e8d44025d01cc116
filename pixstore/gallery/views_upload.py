"""Uploading: many files in one form, each kept or refused on its own."""

import logging
from dataclasses import dataclass, field

from flask import Blueprint, request, url_for
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Response

from pixstore.config import Config
from pixstore.errors import ImageRejected, StorageError
from pixstore.gallery import albums, forms, pictures
from pixstore.gallery.access import MAX_FORM_BYTES, access, current_user, get_store
from pixstore.gallery.errors import InvalidInput
from pixstore.gallery.models import Album, Picture
from pixstore.gallery.problems import PROBLEMS, status_of
from pixstore.gallery.views_pictures import chosen_album
from pixstore.gallery.web import go_to, is_fragment, render

blueprint = Blueprint("upload", __name__)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Refusal:
    """A file that was not kept, and why."""

    file_name: str
    reason: str


@dataclass
class Outcome:
    """What became of the files of one form. ``status`` is that of the worst."""

    added: list[Picture] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    status: int = 200

    def refuse(self, file_name: str, reason: str, status: int) -> None:
        """Note a file that was not kept."""
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
    """Keep what is sent, and name what is refused."""
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


def _keep(album: Album, file: FileStorage, outcome: Outcome) -> None:
    name = file.filename or ""
    try:
        outcome.added.append(
            pictures.add_picture(get_store(), current_user(), album, file.read(), file_name=name)
        )
    except ImageRejected as error:
        outcome.refuse(name, str(error), 422)
    except StorageError as error:
        logger.exception("an upload could not be stored")
        status = status_of(error)
        outcome.refuse(name, PROBLEMS[status].text, status)
    finally:
        file.close()  # frees the memory: the next file may be as large


def _answer(album: Album, outcome: Outcome) -> Response:
    count = len(outcome.added)
    if not outcome.refused and not is_fragment():
        added = "1 picture has been added." if count == 1 else f"{count} pictures have been added."
        return go_to(url_for("albums.show", album_dir=album.dir), added)
    store = get_store()
    return render(
        "uploaded",
        fragment="upload_results",
        # Something was kept: the form was accepted, and the page says what was not.
        status=200 if outcome.added else outcome.status,
        album=albums.view(store, album),
        added=pictures.thumbnails(store, outcome.added),
        refused=outcome.refused,
        context=album.dir,
    )


def _form(*, status: int = 200, **values: object) -> Response:
    return render(
        "upload",
        fragment="upload_form",
        status=status,
        albums=albums.list_albums(get_store(), current_user()),
        **values,
    )
