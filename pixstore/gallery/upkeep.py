"""
What becomes of the gallery's rows when keys are rotated, and when a new release keeps more of a picture than the one that
added it.

Both go through the rows in portions and may be interrupted: run again, they go on.
"""

from dataclasses import dataclass, field
from typing import cast

from peewee import BlobField, Model, ModelSelect, TextField, fn

from pixstore.database import lock_rows
from pixstore.errors import PixstoreError
from pixstore.formats import InspectedImage
from pixstore.gallery import Gallery, descriptions, titles
from pixstore.gallery.descriptions import DESCRIPTION, open_description
from pixstore.gallery.models import Picture
from pixstore.gallery.pictures import FACTS, photo_columns
from pixstore.gallery.thumbnails import read_photo_facts
from pixstore.maintenance import Progress, no_progress

BATCH = 500

TEXT_PURPOSES = (titles.ALBUM, titles.PICTURE, DESCRIPTION, FACTS)
"""What the gallery seals texts for."""


@dataclass
class UpgradeReport:
    """How many pictures were brought up to date, and which could not be, each with the reason."""

    pictures: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def reseal_texts(gallery: Gallery) -> int:
    """Seal every text again, under the store key that is active now; return how many there were."""
    album, picture = gallery.models.album, gallery.models.picture
    return sum(
        (
            _reseal(gallery, album, album.dir, album.title_sealed, titles.ALBUM),
            _reseal(gallery, picture, picture.id, picture.title_sealed, titles.PICTURE),
            _reseal(gallery, picture, picture.id, picture.description_sealed, DESCRIPTION),
            _reseal(gallery, picture, picture.id, picture.facts_sealed, FACTS),
        )
    )


def count_outdated(gallery: Gallery) -> int:
    """Return how many pictures were added by an earlier release, and lack what this one keeps of them."""
    with gallery.store.connected():
        return int(_outdated(gallery).count())


def upgrade_pictures(gallery: Gallery, *, progress: Progress = no_progress) -> UpgradeReport:
    """
    Bring outdated pictures up to date.

    What stood readable in the database is sealed; from their files is read when, where and how a photo was taken.
    """
    report, total, last = UpgradeReport(), count_outdated(gallery), ""
    picture = gallery.models.picture
    while True:
        with gallery.store.connected():
            ids = _outdated(gallery).where(picture.id > last).order_by(picture.id).limit(BATCH)
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
    """Bring one picture up to date; return whether that was needed: it may have been replaced or deleted meanwhile."""
    was_described = _seal_description(gallery, picture_id)
    return _read_facts(gallery, picture_id) or was_described


def _seal_description(gallery: Gallery, picture_id: str) -> bool:
    """Seal what stands in columns of their own, and empty those; return whether there was anything."""
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


def _read_facts(gallery: Gallery, picture_id: str) -> bool:
    """Read what the file says of the photo, if nobody has yet; return whether that was so."""
    row = _row_without_facts(gallery, picture_id)
    if row is None:
        return False
    shown = open_description(gallery, row)
    try:
        data = gallery.store.load(row.original_id)
        facts = read_photo_facts(InspectedImage(data, shown.format, shown.width, shown.height))
    except PixstoreError:
        if _row_without_facts(gallery, picture_id) is None:
            return False
        raise
    columns = photo_columns(gallery, picture_id, facts, added_at=row.created_at)
    picture = gallery.models.picture
    with gallery.store.connected(), gallery.transaction():
        # Not over what a replacement has read from its own file meanwhile.
        is_same = (picture.id == picture_id) & picture.facts_sealed.is_null()
        return bool(picture.update(**columns).where(is_same).execute())


def _outdated(gallery: Gallery) -> "ModelSelect[Picture]":
    picture = gallery.models.picture
    return picture.select().where(picture.facts_sealed.is_null() | picture.description_sealed.is_null())


def _row_without_facts(gallery: Gallery, picture_id: str) -> Picture | None:
    picture = gallery.models.picture
    with gallery.store.connected():
        return picture.get_or_none((picture.id == picture_id) & picture.facts_sealed.is_null())


def _reseal(
    gallery: Gallery, model: type[Model], key: "TextField[str]", column: BlobField, purpose: str
) -> int:
    """Seal *column* again, in every row in which it is not empty."""
    store, done, last = gallery.store, 0, ""
    while True:
        with store.connected(), gallery.transaction():
            query = model.select(key, column).where((key > last) & (fn.LENGTH(column) > 0))
            rows = cast("list[tuple[str, bytes]]", list(query.order_by(key).limit(BATCH).tuples()))
            for row_id, sealed in rows:
                text = store.open_text(sealed, purpose=purpose, row_id=row_id)
                again = store.seal_text(text, purpose=purpose, row_id=row_id)
                # Not over a text that was changed since it was read.
                is_same = (key == row_id) & (column == sealed)
                model.update({column: again}).where(is_same).execute()
                last = row_id
        if not rows:
            return done
        done += len(rows)
