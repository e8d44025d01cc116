"""
Removing what interrupted writes left behind: orphaned blobs and unfinished files. Imports ``store``.

An orphan is a blob that neither a record nor the list of dead blobs names. A young one may belong to an upload that is
still going on, so only those older than ``orphan_grace`` go.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from peewee import chunked

from pixstore.database import connected
from pixstore.errors import PixstoreError
from pixstore.maintenance import Progress, no_progress
from pixstore.parts import StoreParts
from pixstore.store import ImageStore

BATCH = 500
FEW_ORPHANS = 20


class TooManyOrphans(PixstoreError):
    """Most blobs have no record: the database is more likely wrong than the blobs."""


class SweepReport(NamedTuple):
    """How many orphaned blobs and unfinished files were removed."""

    orphans: int
    unfinished: int


class Orphans(NamedTuple):
    """The blobs that are old enough to go and have no record, and of how many blobs of that age."""

    blob_ids: list[str]
    old_blobs: int
    all_blobs: int


def sweep(store: ImageStore, *, force: bool = False, progress: Progress = no_progress) -> SweepReport:
    """
    Remove blobs that no record names and that are older than any upload can last (``orphan_grace``).

    Raises:
        TooManyOrphans: If most blobs would go. A lost or wrong database explains that better; *force* removes them.
    """
    parts = store.parts
    parts.reaper.drain()
    orphans = find_orphans(parts)
    if not force:
        refuse_mass_removal(parts, orphans)
    for done, blob_id in enumerate(orphans.blob_ids, start=1):
        parts.blobs.delete(blob_id)
        progress(done, len(orphans.blob_ids))
    unfinished = parts.blobs.discard_unfinished(before=_oldest_kept(parts))
    return SweepReport(len(orphans.blob_ids), unfinished)


def find_orphans(parts: StoreParts) -> Orphans:
    """Look at every blob there is."""
    before, old, every = _oldest_kept(parts), [], 0
    for blob in parts.blobs.blobs():
        every += 1
        if blob.put_at <= before:
            old.append(blob.blob_id)
    return Orphans(list(unnamed(parts, old)), len(old), every)


def unnamed(parts: StoreParts, blob_ids: Iterable[str]) -> Iterator[str]:
    """Yield those of *blob_ids* that neither a record nor the list of dead blobs names."""
    image, dead_blob = parts.models.image, parts.models.dead_blob
    for batch in chunked(blob_ids, BATCH):
        with connected(parts.database):
            rows = image.select(image.blob_id).where(image.blob_id.in_(batch))
            dead = dead_blob.select(dead_blob.blob_id).where(dead_blob.blob_id.in_(batch))
            named = {row.blob_id for row in rows} | {row.blob_id for row in dead}
        yield from (blob_id for blob_id in batch if blob_id not in named)


def refuse_mass_removal(parts: StoreParts, orphans: Orphans) -> None:
    """
    Return if *orphans* may be removed without being asked again.

    Raises:
        TooManyOrphans: If they are most of the blobs, or the database holds no image at all.
    """
    with connected(parts.database):
        has_images = parts.models.image.select().exists()
    found = len(orphans.blob_ids)
    if found and (not has_images or (found > FEW_ORPHANS and found * 2 > orphans.old_blobs)):
        raise TooManyOrphans(
            f"{found} of the {orphans.old_blobs} blobs older than PIXSTORE_ORPHAN_GRACE have no record. "
            "Is this the right database? If it was lost, rebuild it; if it is the right one and its images are younger "
            "than that, sweep again later; if the blobs are really to go, sweep with force"
        )


def _oldest_kept(parts: StoreParts) -> int:
    return parts.now() - parts.config.orphan_grace
