"""
Looking after a store: check, sweep, rebuild. Imports ``store`` and what it imports.

None of these needs the server to stop. *progress* is called with the number of things done and the number there are.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from peewee import chunked

from pixstore import formats
from pixstore.details import Details
from pixstore.errors import (
    BlobFormatError,
    BlobNotFound,
    DecryptionFailed,
    KeyringError,
    PixstoreError,
    StorageError,
)
from pixstore.files import replace_file, storage_errors
from pixstore.models import Image
from pixstore.sealed_blobs import SealedBlob, open_sealed, unseal_image
from pixstore.store import ImageStore

Progress = Callable[[int, int], object]

FindingKind = Literal["missing", "orphan", "unreadable", "disagrees", "wrong_key", "damaged", "plaintext"]

BATCH = 500
CHECK_STATE = "check.json"
TOKEN_MARGIN = 60_000
FEW_ORPHANS = 20


class TooManyOrphans(PixstoreError):
    """Most blobs have no record: the database is more likely wrong than the blobs."""


class DatabaseInUse(PixstoreError):
    """The database holds images, so it was not lost."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be, and whether it was repaired."""

    kind: FindingKind
    image_id: str | None
    blob_id: str
    message: str
    repaired: bool = False


@dataclass
class CheckReport:
    """What a check found."""

    images: int = 0
    blobs: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong, or all of it was repaired."""
        return all(finding.repaired for finding in self.findings)


class SweepReport(NamedTuple):
    """How many orphaned blobs and unfinished files were removed."""

    orphans: int
    unfinished: int


class RebuiltImage(NamedTuple):
    """An image that is back, with the details its blob held."""

    image_id: str
    details: Details


class RebuildReport(NamedTuple):
    """How many images are back, and the blobs that could not be opened, each with the reason."""

    images: int
    unreadable: list[Finding]


def _no_progress(_done: int, _total: int) -> None:
    pass


# --- sweep


def sweep(store: ImageStore, *, force: bool = False, progress: Progress = _no_progress) -> SweepReport:
    """
    Remove blobs that no record names and that are older than any upload can last (``orphan_grace``).

    Raises:
        TooManyOrphans: If most blobs would go, which a lost or wrong database explains better; *force* goes on.
    """
    while store.reap():
        pass
    before = store.now() - store.config.orphan_grace
    all_blobs = [blob for blob in store.blobs.blobs() if blob.put_at < before]
    orphans = list(_unnamed(store, [blob.blob_id for blob in all_blobs]))
    if not force:
        _refuse_mass_removal(store, len(orphans), len(all_blobs))
    for done, blob_id in enumerate(orphans, start=1):
        store.blobs.delete(blob_id)
        progress(done, len(orphans))
    return SweepReport(len(orphans), store.blobs.discard_unfinished(before=before))


def _refuse_mass_removal(store: ImageStore, orphans: int, blobs: int) -> None:
    with store.connected():
        has_images = store.models.image.select().exists()
    if orphans and (not has_images or (orphans > FEW_ORPHANS and orphans * 2 > blobs)):
        raise TooManyOrphans(
            f"{orphans} of the {blobs} blobs older than PIXSTORE_ORPHAN_GRACE have no record. Is this the right database? "
            "If it was lost, rebuild it; if it is the right one and its images are younger than that, sweep again later; "
            "if the blobs are really to go, sweep with force"
        )


def _unnamed(store: ImageStore, blob_ids: Iterable[str]) -> Iterator[str]:
    """Yield those of *blob_ids* that neither a record nor the list of dead blobs names."""
    image, dead_blob = store.models.image, store.models.dead_blob
    for batch in chunked(blob_ids, BATCH):
        with store.connected():
            rows = image.select(image.blob_id).where(image.blob_id.in_(batch))
            dead = dead_blob.select(dead_blob.blob_id).where(dead_blob.blob_id.in_(batch))
            named = {row.blob_id for row in rows} | {row.blob_id for row in dead}
        yield from (blob_id for blob_id in batch if blob_id not in named)


# --- check


def check(
    store: ImageStore,
    *,
    deep: bool = False,
    repair: bool = False,
    resume: bool = False,
    progress: Progress = _no_progress,
) -> CheckReport:
    """
    Compare every record with its blob, and every blob with the records; *deep* decrypts every image as well.

    With *repair*, a record that disagrees with its sound blob is written anew from it, an image whose blob is gone or
    damaged takes the newest other blob of its id that opens, and orphans are swept. What cannot be mended is left alone.
    A check that was interrupted goes on where it was with *resume*.

    Raises:
        TooManyOrphans: If *repair* would remove most blobs.
    """
    return _Check(store, deep=deep, repair=repair).run(resume=resume, progress=progress)


class _Check:
    def __init__(self, store: ImageStore, *, deep: bool, repair: bool) -> None:
        self._store = store
        self._deep = deep
        self._repair = repair
        self._state = store.config.data_dir / CHECK_STATE

    def run(self, *, resume: bool, progress: Progress) -> CheckReport:
        report, after = _load_state(self._state) if resume else (CheckReport(), "")
        orphans, old_blobs = self._find_orphans(report)
        if self._repair:
            _refuse_mass_removal(self._store, len(orphans), old_blobs)
        spares = self._spares(orphans) if self._repair else {}
        image = self._store.models.image
        with self._store.connected():
            total = image.select().count()
        while rows := self._rows_after(after):
            for image_id, row in rows:
                report.images += 1
                self._check_row(image_id, row, spares, report)
                progress(report.images, total)
            after = rows[-1][0]
            _save_state(self._state, report, after)
        self._add_orphans(orphans, report)
        with storage_errors(f"{self._state} could not be removed"):
            self._state.unlink(missing_ok=True)
        return report

    def _rows_after(self, after: str) -> list[tuple[str, Image | None]]:
        image = self._store.models.image
        with self._store.connected():
            query = image.select(image.id).where(image.id > after).order_by(image.id).limit(BATCH)
            image_ids = [row.id for row in query]
        rows = self._store.rows(image_ids)
        return [(image_id, rows.get(image_id)) for image_id in image_ids]

    def _check_row(
        self, image_id: str, row: Image | None, spares: dict[str, list[str]], report: CheckReport
    ) -> None:
        blob_id = self._blob_id_of(image_id) if row is None else row.blob_id
        fault: tuple[FindingKind, str] | None
        fault = ("disagrees", "the record is damaged") if row is None else self._fault(row)
        if blob_id is None or fault is None or blob_id != self._blob_id_of(image_id):
            return  # all is well, or the image was replaced or deleted while we looked
        kind, message = fault
        repaired = self._repair and self._mend(image_id, blob_id, spares)
        report.findings.append(Finding(kind, image_id, blob_id, message, repaired))

    def _blob_id_of(self, image_id: str) -> str | None:
        """Return what the row names as its blob, "" where that is not even text, ``None`` where the row is gone."""
        image = self._store.models.image
        with self._store.connected():
            try:
                found = image.select(image.blob_id).where(image.id == image_id).tuples().first()
            except ValueError:
                return ""
        return None if found is None else str(found[0])

    def _fault(self, row: Image) -> tuple[FindingKind, str] | None:
        """Return what is wrong with *row* or its blob, or ``None``."""
        store = self._store
        try:
            sealed = open_sealed(store.blobs, row.blob_id, store.current_keyring())
        except BlobNotFound:
            return "missing", "the blob is missing"
        except (KeyringError, DecryptionFailed) as error:
            return "wrong_key", f"the key of the image does not open: {error}"
        except (BlobFormatError, StorageError) as error:
            return "unreadable", str(error)
        wrong = [name for name, value in sealed.row_fields.items() if _plain(getattr(row, name)) != value]
        if wrong:
            return "disagrees", f"the record and the blob disagree on {', '.join(wrong)}"
        return self._deep_fault(sealed) if self._deep else None

    def _deep_fault(self, sealed: SealedBlob) -> tuple[FindingKind, str] | None:
        try:
            format_byte, image = unseal_image(self._store.blobs, sealed)
            image_format = formats.format_of_byte(format_byte, self._store.config.image_formats)
        except DecryptionFailed:
            if self._is_plaintext(sealed):
                return "plaintext", "the image lies unencrypted in its blob"
            return "damaged", "the image was damaged or altered"
        except PixstoreError as error:
            return "unreadable", str(error)
        if image_format != sealed.details.format or formats.detect(image) != image_format:
            return "disagrees", "the blob holds an image of another format than it says"
        return None

    def _is_plaintext(self, sealed: SealedBlob) -> bool:
        with self._store.blobs.open(sealed.header.head.blob_id) as file:
            file.seek(sealed.header.payload_offset)
            start = file.read(64)
        return any(formats.detect(start[skipped:]) for skipped in range(3))

    def _find_orphans(self, report: CheckReport) -> tuple[list[str], int]:
        """Return the orphans older than any upload can last (younger ones may still get their record), of how many."""
        before = self._store.now() - self._store.config.orphan_grace
        old = []
        report.blobs = 0
        for blob in self._store.blobs.blobs():
            report.blobs += 1
            if blob.put_at <= before:
                old.append(blob.blob_id)
        return list(_unnamed(self._store, old)), len(old)

    def _add_orphans(self, orphans: list[str], report: CheckReport) -> None:
        for blob_id in _unnamed(self._store, orphans):  # again: a repair may have given one its record
            try:
                self._store.blobs.open(blob_id).close()
            except BlobNotFound:  # it was the last version of an image that was replaced while we looked
                continue
            repaired = self._repair and self._store.blobs.delete(blob_id)
            report.findings.append(Finding("orphan", None, blob_id, "no record names this blob", repaired))

    def _spares(self, orphans: list[str]) -> dict[str, list[str]]:
        """Return the orphans that open, by image id, newest first."""
        found: dict[str, list[tuple[int, str]]] = {}
        for blob_id in orphans:
            try:
                head = open_sealed(self._store.blobs, blob_id, self._store.current_keyring()).header.head
            except PixstoreError:
                continue
            found.setdefault(head.image_id, []).append((head.written_at, blob_id))
        return {
            image_id: [blob_id for _, blob_id in sorted(blobs)[::-1]] for image_id, blobs in found.items()
        }

    def _mend(self, image_id: str, blob_id: str, spares: dict[str, list[str]]) -> bool:
        """Give the row its own blob again, or else the newest spare one that opens; return whether one did."""
        for candidate in (blob_id, *spares.get(image_id, [])):
            try:
                sealed = open_sealed(self._store.blobs, candidate, self._store.current_keyring())
                unseal_image(self._store.blobs, sealed)
            except PixstoreError:
                continue
            if sealed.header.head.image_id == image_id:
                return self._rewrite(blob_id, sealed)
        return False

    def _rewrite(self, blob_id: str, sealed: SealedBlob) -> bool:
        """Write the row anew from *sealed*, unless it names another blob than *blob_id* by now."""
        image, fields = self._store.models.image, sealed.row_fields
        with self._store.connected(), self._store.database.atomic():
            if self._blob_id_of(fields["id"]) != blob_id:
                return False
            token = (
                max(self._store.now(), fields["written_at"]) + TOKEN_MARGIN
            )  # the row's own may be damaged
            image.update(**fields, token=token).where(image.id == fields["id"]).execute()
        return True


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


def _load_state(path: Path) -> tuple[CheckReport, str]:
    try:
        state = json.loads(path.read_bytes())
        findings = [Finding(**finding) for finding in state["findings"]]
        return CheckReport(state["images"], 0, findings), state["after"]
    except FileNotFoundError:
        return CheckReport(), ""
    except (ValueError, KeyError, TypeError):
        raise StorageError(f"{path} is damaged: remove it and check from the start") from None


def _save_state(path: Path, report: CheckReport, after: str) -> None:
    state = {
        "after": after,
        "images": report.images,
        "findings": [asdict(finding) for finding in report.findings],
    }
    with storage_errors(f"how far the check came could not be kept in {path}"):
        replace_file(path, json.dumps(state).encode())


# --- rebuild


def rebuild(
    store: ImageStore,
    *,
    restore: Callable[[list[RebuiltImage]], object] | None = None,
    merge: bool = False,
    progress: Progress = _no_progress,
) -> RebuildReport:
    """
    Bring back every record of a lost database from blobs, keyring and master key.

    Of several blobs of one image the newest whose image opens wins. *restore* is given the images that are back, to bring
    back what else their details tell.

    Raises:
        DatabaseInUse: If the database holds images, so that it was not lost. *merge* adds what it lacks all the same: it
            goes on with a rebuild that was interrupted.
    """
    with store.connected():
        if not merge and store.models.image.select().exists():
            raise DatabaseInUse(
                "the database holds images, and rebuilding is for a lost one: move it away first, "
                "or merge, if this goes on with a rebuild that was interrupted"
            )
    newest, unreadable = _newest_blobs(store, progress)
    token = max([store.now(), *(blobs[0][0] for blobs in newest.values())]) + TOKEN_MARGIN
    rebuilt: list[RebuiltImage] = []
    for batch in chunked(newest.items(), BATCH):
        chosen = [
            sealed for _, blobs in batch if (sealed := _first_sound(store, blobs, unreadable)) is not None
        ]
        with store.connected(), store.database.atomic():
            for sealed in chosen:
                image = store.models.image
                image.insert(**sealed.row_fields, token=token).on_conflict_ignore().execute()
        rebuilt += [RebuiltImage(sealed.header.head.image_id, sealed.details) for sealed in chosen]
    if restore is not None:
        restore(rebuilt)
    return RebuildReport(len(rebuilt), unreadable)


def _newest_blobs(
    store: ImageStore, progress: Progress
) -> tuple[dict[str, list[tuple[int, str]]], list[Finding]]:
    """Return the blobs of every image id as ``(written at, blob id)``, newest first, and those that do not open."""
    dead_blob = store.models.dead_blob
    with store.connected():
        dead = {row.blob_id for row in dead_blob.select()}
    blob_ids = [blob.blob_id for blob in store.blobs.blobs() if blob.blob_id not in dead]
    found: dict[str, list[tuple[int, str]]] = {}
    unreadable = []
    for done, blob_id in enumerate(blob_ids, start=1):
        try:
            head = open_sealed(store.blobs, blob_id, store.current_keyring()).header.head
            found.setdefault(head.image_id, []).append((head.written_at, blob_id))
        except PixstoreError as error:
            unreadable.append(Finding("unreadable", None, blob_id, str(error)))
        progress(done, len(blob_ids))
    for blobs in found.values():
        blobs.sort(reverse=True)
    return found, unreadable


def _first_sound(
    store: ImageStore, blobs: list[tuple[int, str]], unreadable: list[Finding]
) -> SealedBlob | None:
    for _, blob_id in blobs:
        sealed = open_sealed(store.blobs, blob_id, store.current_keyring())
        try:
            unseal_image(store.blobs, sealed)
        except PixstoreError as error:
            unreadable.append(Finding("damaged", sealed.header.head.image_id, blob_id, str(error)))
            continue
        return sealed
    return None
