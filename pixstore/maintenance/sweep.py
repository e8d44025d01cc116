"""
Removes what interrupted writes left behind: orphaned blobs and unfinished files.

Imports ``store``, ``sealed_blobs``.

An orphan is a blob that neither a record nor the list of dead blobs names. A young orphan may belong to an
upload that is still running, so only orphans older than ``orphan_grace`` are removed. An orphan stays if the
image's own blob is missing or damaged: ``check`` can repair the image with it.

A deleted image is noted beside the blobs, so that a rebuild does not bring it back. The note is removed when
none of its blobs can exist any more.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from peewee import chunked

from pixstore.database import connected
from pixstore.errors import KeyringError, PixstoreError
from pixstore.maintenance import Progress, no_progress
from pixstore.maintenance.sealed_blobs import open_sealed, read_header, unseal_image
from pixstore.parts import StoreParts
from pixstore.plausible_times import is_implausible
from pixstore.store import ImageStore

BATCH = 500
FEW_ORPHANS = 20


class TooManyOrphans(PixstoreError):
    """Most blobs have no record. The database is more likely to be wrong than the blobs."""


class SweepReport(NamedTuple):
    """The number of orphans and of unfinished files removed, and the orphans kept because a repair may need them."""

    orphans: int
    unfinished: int
    kept: list[str]


class Orphans(NamedTuple):
    """
    Orphans that are old enough to be removed, with the number of all blobs of that age and of all blobs.

    *young* are the orphans that are not old enough. *ahead* are the young ones whose time lies in the future.
    """

    blob_ids: list[str]
    young: list[str]
    ahead: list[str]
    old_count: int
    all_count: int


def sweep(store: ImageStore, *, force: bool = False, progress: Progress = no_progress) -> SweepReport:
    """
    Remove orphans that are older than any upload can last (``orphan_grace``).

    Raises:
        TooManyOrphans: If most blobs would be removed, which suggests a lost or wrong database. With *force*,
            they are removed.
    """
    parts = store.parts
    parts.reaper.drain()
    orphans = find_orphans(parts)
    if not force:
        refuse_mass_removal(parts, orphans)
    kept = []
    for done, blob_id in enumerate(orphans.blob_ids, start=1):
        if may_mend_an_image(parts, blob_id):
            kept.append(blob_id)
        else:
            parts.blobs.delete(blob_id)
        progress(done, len(orphans.blob_ids))
    for blob_id in orphans.ahead:  # a clock was wrong and they may be young, so their wait starts now
        parts.blobs.touch(blob_id)
    unfinished = parts.blobs.discard_unfinished(before=parts.now() - parts.config.orphan_grace)
    _forget_buried(parts, [*kept, *orphans.young])
    return SweepReport(len(orphans.blob_ids) - len(kept), unfinished, kept)


def find_orphans(parts: StoreParts) -> Orphans:
    """Find the orphans among all blobs."""
    old, young, ahead = list[str](), list[str](), list[str]()
    for blob in parts.blobs.blobs():
        is_old = parts.now() - blob.put_at >= parts.config.orphan_grace
        (old if is_old else young).append(blob.blob_id)
        if is_implausible(blob.put_at, now=parts.now()):
            ahead.append(blob.blob_id)
    of_old, of_young = list(unnamed(parts, old)), list(unnamed(parts, young))
    return Orphans(of_old, of_young, sorted({*ahead} & {*of_young}), len(old), len(old) + len(young))


def may_mend_an_image(parts: StoreParts, blob_id: str) -> bool:
    """
    Tell whether the orphan holds an image whose record or own blob is damaged, or may hold one because it
    does not open now.
    """
    try:
        image_id = open_sealed(parts.blobs, blob_id, parts.keyring.latest()).header.head.image_id
    except KeyringError:
        return True  # its store key is missing here; the key may come back, a removed blob cannot
    except PixstoreError:
        return False
    try:
        row = parts.row(image_id)
        if row is not None:
            unseal_image(parts.blobs, open_sealed(parts.blobs, row.blob_id, parts.keyring.latest()))
    except PixstoreError:
        return True
    return False


def _forget_buried(parts: StoreParts, unnamed_blobs: list[str]) -> None:
    """Remove the notes on deleted images whose blobs are all gone."""
    if parts.reaper.has_work():
        return
    still_there = set()
    for blob_id in unnamed_blobs:
        try:
            still_there.add(read_header(parts.blobs, blob_id)[0].head.image_id)
        except PixstoreError:
            continue
    notes = list(parts.blobs.buried())
    grace, now = parts.config.orphan_grace, parts.now()
    old = {note.image_id for note in notes if now - note.buried_at >= grace}
    parts.blobs.forget_buried(sorted(old - still_there))
    parts.blobs.bury([note.image_id for note in notes if is_implausible(note.buried_at, now=now)])


def unnamed(parts: StoreParts, blob_ids: Iterable[str]) -> Iterator[str]:
    """Yield the *blob_ids* that neither a record nor the list of dead blobs names."""
    image, dead_blob = parts.models.image, parts.models.dead_blob
    for batch in chunked(blob_ids, BATCH):
        with connected(parts.database):
            rows = image.select(image.blob_id).where(image.blob_id.in_(batch))
            dead = dead_blob.select(dead_blob.blob_id).where(dead_blob.blob_id.in_(batch))
            named = {row.blob_id for row in rows} | {row.blob_id for row in dead}
        yield from (blob_id for blob_id in batch if blob_id not in named)


def refuse_mass_removal(parts: StoreParts, orphans: Orphans) -> None:
    """
    Check that *orphans* may be removed without ``force``.

    Raises:
        TooManyOrphans: If they are most of the blobs, or if the database holds no image at all.
    """
    with connected(parts.database):
        has_images = parts.models.image.select().exists()
    if _are_most(len(orphans.blob_ids), orphans, has_images=has_images):
        # A sweep keeps an orphan that can repair an image, so do not count it.
        going = sum(not may_mend_an_image(parts, blob_id) for blob_id in orphans.blob_ids)
        if _are_most(going, orphans, has_images=has_images):
            raise TooManyOrphans(
                f"{going} of the {orphans.old_count} blobs older than PIXSTORE_ORPHAN_GRACE have no record. "
                "Is this the right database? If it was lost, rebuild it; if it is the right one and its images are younger "
                "than that, sweep again later; if the blobs should really be removed, sweep with force"
            )


def _are_most(count: int, orphans: Orphans, *, has_images: bool) -> bool:
    """Tell whether *count* orphans are more than interrupted writes leave behind."""
    return bool(count) and (not has_images or (count > FEW_ORPHANS and count * 2 > orphans.old_count))
