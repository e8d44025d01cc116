"""
What becomes of the gallery's rows when keys are rotated, and when a new release keeps more of a picture than the one that
added it.

Both go through the rows in portions and may be interrupted: run again, they go on.
"""

from dataclasses import dataclass, field
from typing import Any, cast

from peewee import BlobField, Expression, Model, ModelSelect, TextField, fn

from pixstore.database import lock_rows
from pixstore.errors import PixstoreError
from pixstore.formats import InspectedImage
from pixstore.gallery import Gallery, accounts, content_ids, descriptions, titles
from pixstore.gallery.content_ids import CONTENT_KEY
from pixstore.gallery.descriptions import DESCRIPTION, open_description
from pixstore.gallery.models import Picture, User
from pixstore.gallery.pictures import FACTS, photo_columns
from pixstore.gallery.thumbnails import read_photo_facts
from pixstore.maintenance import Progress, no_progress

BATCH = 500

TEXT_PURPOSES = (titles.ALBUM, titles.PICTURE, DESCRIPTION, FACTS, CONTENT_KEY)
"""The purposes that the gallery seals texts for."""


@dataclass
class UpgradeReport:
    """How many pictures were brought up to date, and which failed, each with the reason."""

    pictures: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def reseal_texts(gallery: Gallery) -> int:
    """Seal every text again, under the store key that is active now; return how many there were."""
    album, picture, user = gallery.models.album, gallery.models.picture, gallery.models.user
    return sum(
        (
            _reseal(gallery, album, album.dir, album.title_sealed, titles.ALBUM),
            _reseal(gallery, picture, picture.id, picture.title_sealed, titles.PICTURE),
            _reseal(gallery, picture, picture.id, picture.description_sealed, DESCRIPTION),
            _reseal(gallery, picture, picture.id, picture.facts_sealed, FACTS),
            _reseal(gallery, user, user.id, user.content_key_sealed, CONTENT_KEY),
        )
    )


def count_outdated(gallery: Gallery, *, of: User | None = None) -> int:
    """Return how many pictures, *of* one account or all, lack data that this release stores."""
    with gallery.store.connected():
        return int(_outdated(gallery, of).count())


def upgrade_pictures(
    gallery: Gallery, *, of: User | None = None, progress: Progress = no_progress
) -> UpgradeReport:
    """
    Bring outdated pictures, those *of* one account or all, up to date.

    Readable data in the database is sealed. Time, place and camera of photos, and their content ids, are read from their files.
    """
    report, total, last = UpgradeReport(), count_outdated(gallery, of=of), ""
    picture = gallery.models.picture
    while True:
        with gallery.store.connected():
            ids = _outdated(gallery, of).where(picture.id > last).order_by(picture.id).limit(BATCH)
            picture_ids = [row.id for row in ids]
        if not picture_ids:
            return report
        for picture_id in picture_ids:
            try:
                report.pictures += _upgrade(gallery, picture_id)
            except PixstoreError as error:
                report.failed[picture_id] = str(error)
            progress(report.pictures + len(report.failed), total)
        last = picture_ids[-1]


def _upgrade(gallery: Gallery, picture_id: str) -> bool:
    """Bring one picture up to date; return whether that was still needed."""
    was_described = _seal_description(gallery, picture_id)
    return _read_file(gallery, picture_id) or was_described


def _seal_description(gallery: Gallery, picture_id: str) -> bool:
    """Seal the values of the readable columns, and empty the columns; return whether that was needed."""
    picture = gallery.models.picture
    with gallery.store.connected(), gallery.transaction():
        is_readable = (picture.id == picture_id) & picture.description_sealed.is_null()
        row = lock_rows(picture.select().where(is_readable), gallery.store.database).first()
        if row is None:
            return False
        description = open_description(gallery, row)
        sealed = descriptions.columns(gallery, description, picture_id=picture_id)
        picture.update(**sealed).where(picture.id == picture_id).execute()
        return True


def _read_file(gallery: Gallery, picture_id: str) -> bool:
    """Read the facts and the content id from the file, unless that was done already; return whether they were read."""
    row = _unread_row(gallery, picture_id)
    if row is None:
        return False
    try:
        columns = _columns_of_file(gallery, row)
    except PixstoreError:
        if _unread_row(gallery, picture_id) is None:
            return False
        raise
    picture = gallery.models.picture
    with gallery.store.connected(), gallery.transaction():
        # Do not overwrite the facts of a replacement that came in the meantime.
        is_same = (picture.id == picture_id) & _is_unread(gallery)
        return bool(picture.update(**columns).where(is_same).execute())


def _columns_of_file(gallery: Gallery, row: Picture) -> dict[str, Any]:
    """Return what the file of *row* says of the photo, and its content id."""
    shown, data = open_description(gallery, row), gallery.store.load(row.original_id)
    facts = read_photo_facts(InspectedImage(data, shown.format, shown.width, shown.height))
    with gallery.store.connected():
        key = content_ids.key_of(gallery, accounts.get_user(gallery, row.user_id))
    photo = photo_columns(gallery, row.id, facts, added_at=row.created_at)
    return {"content_id": content_ids.content_id(key, data), **photo}


def _outdated(gallery: Gallery, of: User | None = None) -> "ModelSelect[Picture]":
    picture = gallery.models.picture
    outdated = picture.select().where(_is_unread(gallery) | picture.description_sealed.is_null())
    return outdated if of is None else outdated.where(picture.user == of.id)


def _is_unread(gallery: Gallery) -> Expression:
    picture = gallery.models.picture
    condition: Expression = picture.facts_sealed.is_null() | picture.content_id.is_null()
    return condition


def _unread_row(gallery: Gallery, picture_id: str) -> Picture | None:
    with gallery.store.connected():
        return gallery.models.picture.get_or_none(
            (gallery.models.picture.id == picture_id) & _is_unread(gallery)
        )


def _reseal(
    gallery: Gallery, model: type[Model], key: "TextField[str]", column: BlobField, purpose: str
) -> int:
    """Seal *column* again, in every row where it is not empty."""
    store, done, last = gallery.store, 0, ""
    while True:
        with store.connected(), gallery.transaction():
            query = model.select(key, column).where((key > last) & (fn.LENGTH(column) > 0))
            rows = cast("list[tuple[str, bytes]]", list(query.order_by(key).limit(BATCH).tuples()))
            for row_id, sealed in rows:
                text = store.open_text(sealed, purpose=purpose, row_id=row_id)
                again = store.seal_text(text, purpose=purpose, row_id=row_id)
                # Do not overwrite a text that was changed after it was read.
                is_same = (key == row_id) & (column == sealed)
                model.update({column: again}).where(is_same).execute()
                last = row_id
        if not rows:
            return done
        done += len(rows)
