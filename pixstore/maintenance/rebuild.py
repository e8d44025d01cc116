"""
Rebuilds a lost database from blobs, keyring and master key alone. Imports ``store``, ``sealed_blobs``.

The header of each blob repeats what the database knew about it. If an image has several blobs, the newest one
whose image opens is used. A deleted image does not come back, even if one of its blobs still exists: the
deletion was noted beside the blobs.
"""

from typing import NamedTuple

from peewee import chunked

from pixstore.database import connected
from pixstore.details import Details
from pixstore.errors import PixstoreError, StorageError
from pixstore.maintenance import Progress, no_progress
from pixstore.maintenance.findings import Finding
from pixstore.maintenance.sealed_blobs import SealedBlob, open_sealed, unseal_image
from pixstore.parts import StoreParts
from pixstore.store import ImageStore

BATCH = 500
TOKEN_MARGIN = 60_000
"""How far (ms) the token of a rebuilt record lies above every token that clients can have seen."""


class DatabaseInUse(PixstoreError):
    """The database holds images, so it was not lost."""


class RebuiltImage(NamedTuple):
    """A rebuilt image, with the details from its blob."""

    image_id: str
    details: Details


class RebuildReport(NamedTuple):
    """The rebuilt images, the blobs that did not open (with reasons), and how many images stay deleted."""

    images: list[RebuiltImage]
    unreadable: list[Finding]
    deleted: int


class _Candidate(NamedTuple):
    """A blob that may hold the current version of its image."""

    written_at: int
    blob_id: str


def rebuild(store: ImageStore, *, merge: bool = False, progress: Progress = no_progress) -> RebuildReport:
    """
    Make every record of a lost database again.

    Raises:
        DatabaseInUse: If the database holds images, so it was not lost. With *merge*, the missing records are
            added anyway, which continues an interrupted rebuild.
    """
    parts = store.parts
    with connected(parts.database):
        if not merge and parts.models.image.select().exists():
            raise DatabaseInUse(
                "the database holds images, so it is not lost: move it away first, "
                "or merge, to continue a rebuild that was interrupted"
            )
    unreadable: list[Finding] = []
    candidates, is_complete = _candidates(parts, unreadable, progress)
    deleted = {buried.image_id for buried in parts.blobs.buried()} & candidates.keys()
    for image_id in deleted:
        del candidates[image_id]
    newest = max((blobs[0].written_at for blobs in candidates.values()), default=0)
    token = max(parts.now(), newest) + TOKEN_MARGIN
    rebuilt: list[RebuiltImage] = []
    for batch in chunked(candidates.values(), BATCH):
        chosen = [
            sealed for blobs in batch if (sealed := _newest_sound(parts, blobs, unreadable)) is not None
        ]
        with connected(parts.database), parts.database.atomic():
            for sealed in chosen:
                row = parts.models.image.insert(**sealed.row_fields, token=token)
                row.on_conflict_ignore().execute()
        rebuilt += [RebuiltImage(sealed.header.head.image_id, sealed.details) for sealed in chosen]
    if parts.keyring.latest().held and is_complete:
        # Every blob was read. If one needs a key that came back, it has a row now, which keeps the key.
        parts.keyring.change(lambda keyring: keyring.with_nothing_held())
    return RebuildReport(rebuilt, unreadable, len(deleted))


def _candidates(
    parts: StoreParts, unreadable: list[Finding], progress: Progress
) -> tuple[dict[str, list[_Candidate]], bool]:
    """
    Return the blobs of every image id, newest first, and whether every blob could be read.

    Blobs that do not open are added to *unreadable*.
    """
    is_complete = True
    dead_blob = parts.models.dead_blob
    with connected(parts.database):
        dead = {row.blob_id for row in dead_blob.select()}
    blob_ids = [blob.blob_id for blob in parts.blobs.blobs() if blob.blob_id not in dead]
    found: dict[str, list[_Candidate]] = {}
    for done, blob_id in enumerate(blob_ids, start=1):
        try:
            head = open_sealed(parts.blobs, blob_id, parts.keyring.latest()).header.head
            found.setdefault(head.image_id, []).append(_Candidate(head.written_at, blob_id))
        except PixstoreError as error:
            unreadable.append(Finding("unreadable", None, blob_id, str(error)))
            is_complete = is_complete and not isinstance(error, StorageError)
        progress(done, len(blob_ids))
    for blobs in found.values():
        blobs.sort(reverse=True)
    return found, is_complete


def _newest_sound(parts: StoreParts, blobs: list[_Candidate], unreadable: list[Finding]) -> SealedBlob | None:
    """Return the first of *blobs* whose image opens."""
    for _, blob_id in blobs:
        sealed = open_sealed(parts.blobs, blob_id, parts.keyring.latest())
        try:
            unseal_image(parts.blobs, sealed)
        except PixstoreError as error:
            unreadable.append(Finding("damaged", sealed.header.head.image_id, blob_id, str(error)))
            continue
        return sealed
    return None
