"""
Compares every record with its blob, and repairs what can be repaired.

Imports ``store``, ``sweep``, ``sealed_blobs``.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pixstore import formats
from pixstore.database import connected
from pixstore.errors import (
    BlobFormatError,
    BlobNotFound,
    DecryptionFailed,
    KeyringError,
    PixstoreError,
    RecordDamaged,
    StorageError,
)
from pixstore.files import replace_file, storage_errors
from pixstore.maintenance import Progress, no_progress
from pixstore.maintenance.findings import Finding, FindingKind
from pixstore.maintenance.sealed_blobs import SealedBlob, open_sealed, unseal_image
from pixstore.maintenance.sweep import Orphans, find_orphans, may_mend_an_image, refuse_mass_removal, unnamed
from pixstore.models import ImageRow
from pixstore.store import ImageStore

BATCH = 500
STATE_FILE = "check.json"
TOKEN_MARGIN = 60_000
"""How far (ms) the new token of a repaired record lies above every token that clients can have seen."""


@dataclass
class CheckReport:
    """The result of a check."""

    images: int = 0
    blobs: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether every finding was repaired, or there is none."""
        return all(finding.repaired for finding in self.findings)


def check(
    store: ImageStore,
    *,
    deep: bool = False,
    repair: bool = False,
    resume: bool = False,
    progress: Progress = no_progress,
) -> CheckReport:
    """
    Compare every record with its blob, and every blob with the records.

    With *deep*, also decrypt every image.

    With *repair*, a record that disagrees with its sound blob is written again from the blob. If the blob of
    an image is missing or damaged, the newest other blob of the same image that opens takes its place.
    Orphans are removed. What cannot be repaired is left as it is. With *resume*, an interrupted check
    continues where it stopped.

    Raises:
        TooManyOrphans: If *repair* would remove most blobs.
    """
    return _Check(store, deep=deep, repair=repair).run(resume=resume, progress=progress)


class _Check:
    def __init__(self, store: ImageStore, *, deep: bool, repair: bool) -> None:
        self._parts = store.parts
        self._deep = deep
        self._repair = repair
        self._state = store.config.data_dir / STATE_FILE

    def run(self, *, resume: bool, progress: Progress) -> CheckReport:
        report, after = _load_state(self._state) if resume else (CheckReport(), "")
        orphans = find_orphans(self._parts)
        report.blobs = orphans.all_count
        if self._repair:
            refuse_mass_removal(self._parts, orphans)
        spares = self._spares(orphans) if self._repair else {}
        image = self._parts.models.image
        with connected(self._parts.database):
            total = image.select().count()
        while image_ids := self._ids_after(after):
            rows = self._parts.models.read_images(image_ids)
            for image_id in image_ids:
                report.images += 1
                self._check_row(image_id, rows.get(image_id), spares, report)
                progress(report.images, total)
            after = image_ids[-1]
            _save_state(self._state, report, after)
        self._report_orphans(orphans, report)
        with storage_errors(f"{self._state} could not be removed"):
            self._state.unlink(missing_ok=True)
        return report

    def _ids_after(self, after: str) -> list[str]:
        image = self._parts.models.image
        with connected(self._parts.database):
            query = image.select(image.id).where(image.id > after).order_by(image.id).limit(BATCH)
            return [row.id for row in query]

    def _check_row(
        self,
        image_id: str,
        row: ImageRow | RecordDamaged | None,
        spares: dict[str, list[str]],
        report: CheckReport,
    ) -> None:
        if row is None:
            return  # deleted during the check
        if isinstance(row, RecordDamaged):
            blob_id = self._blob_id_of(image_id)
            fault: tuple[FindingKind, str] | None = ("disagrees", "the record is damaged")
        else:
            blob_id = row.blob_id
            fault = self._fault(row)
        if blob_id is None or fault is None or blob_id != self._blob_id_of(image_id):
            return  # all is well, or the image was replaced or deleted during the check
        kind, message = fault
        repaired = self._repair and self._mend(image_id, blob_id, spares)
        report.findings.append(Finding(kind, image_id, blob_id, message, repaired))

    def _blob_id_of(self, image_id: str) -> str | None:
        """Return the blob id in the row, valid or not, or ``None`` if there is no row."""
        image = self._parts.models.image
        with connected(self._parts.database):
            query = image.select(image.blob_id).where(image.id == image_id)
            found = self._parts.database.execute(query).fetchone()
        return None if found is None else str(found[0])

    def _fault(self, row: ImageRow) -> tuple[FindingKind, str] | None:
        """Return the fault of *row* or its blob, or ``None``."""
        try:
            sealed = open_sealed(self._parts.blobs, row.blob_id, self._parts.keyring.latest())
        except BlobNotFound:
            return "missing", "the blob is missing"
        except (KeyringError, DecryptionFailed) as error:
            return "wrong_key", f"the key of the image does not open: {error}"
        except (BlobFormatError, StorageError) as error:
            return "unreadable", str(error)
        wrong = [name for name, value in sealed.row_fields.items() if getattr(row, name) != value]
        if wrong:
            return "disagrees", f"the record and the blob disagree on {', '.join(wrong)}"
        return self._deep_fault(sealed) if self._deep else None

    def _deep_fault(self, sealed: SealedBlob) -> tuple[FindingKind, str] | None:
        try:
            format_byte, image = unseal_image(self._parts.blobs, sealed)
            image_format = formats.format_of_byte(format_byte, self._parts.config.image_formats)
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
        with self._parts.blobs.open(sealed.header.head.blob_id) as file:
            file.seek(sealed.header.payload_offset)
            start = file.read(64)
        return any(formats.detect(start[skipped:]) for skipped in range(3))

    def _report_orphans(self, orphans: Orphans, report: CheckReport) -> None:
        for blob_id in unnamed(
            self._parts, orphans.blob_ids
        ):  # look again: a repair may have given a blob its record
            try:
                self._parts.blobs.open(blob_id).close()
            except BlobNotFound:  # it belonged to an image that was replaced during the check
                continue
            repaired = self._repair and self._remove_orphan(blob_id)
            report.findings.append(Finding("orphan", None, blob_id, "no record names this blob", repaired))

    def _remove_orphan(self, blob_id: str) -> bool:
        return not may_mend_an_image(self._parts, blob_id) and self._parts.blobs.delete(blob_id)

    def _spares(self, orphans: Orphans) -> dict[str, list[str]]:
        """Return the orphans that open, by image id, newest first."""
        found: dict[str, list[tuple[int, str]]] = {}
        for blob_id in orphans.blob_ids:
            try:
                head = open_sealed(self._parts.blobs, blob_id, self._parts.keyring.latest()).header.head
            except PixstoreError:
                continue
            found.setdefault(head.image_id, []).append((head.written_at, blob_id))
        return {
            image_id: [blob_id for _, blob_id in sorted(blobs, reverse=True)]
            for image_id, blobs in found.items()
        }

    def _mend(self, image_id: str, blob_id: str, spares: dict[str, list[str]]) -> bool:
        """
        Write the row again from its own blob, or else from the newest spare blob that opens.

        Return whether that was possible.
        """
        for candidate in (blob_id, *spares.get(image_id, [])):
            try:
                sealed = open_sealed(self._parts.blobs, candidate, self._parts.keyring.latest())
                unseal_image(self._parts.blobs, sealed)
            except PixstoreError:
                continue
            if sealed.header.head.image_id == image_id:
                return self._rewrite(blob_id, sealed)
        return False

    def _rewrite(self, blob_id: str, sealed: SealedBlob) -> bool:
        """Write the row again from *sealed*, unless the row names another blob than *blob_id* by now."""
        image, fields = self._parts.models.image, sealed.row_fields
        with connected(self._parts.database), self._parts.database.atomic():
            if self._blob_id_of(fields["id"]) != blob_id:
                return False
            # The row's own token may be damaged.
            token = max(self._parts.now(), fields["written_at"]) + TOKEN_MARGIN
            image.update(**fields, token=token).where(image.id == fields["id"]).execute()
        return True


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
    with storage_errors(f"the progress of the check could not be written to {path}"):
        replace_file(path, json.dumps(state).encode())
