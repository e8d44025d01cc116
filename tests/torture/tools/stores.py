"""Stores for reliability tests: opened without a background thread, and looked over after something went wrong."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pixstore.database
from pixstore.config import Config
from pixstore.errors import ImageNotFound, PixstoreError
from pixstore.maintenance.check import check
from pixstore.maintenance.sweep import sweep
from pixstore.store import ImageStore, clock_ms
from tests.labelled import NotLabelled, label_of


def quiet_store(directory: Path, *, now: Callable[[], int] = clock_ms, **settings: Any) -> ImageStore:
    """Return the store in *directory*; it removes replaced images when its reaper is told to, and not by itself."""
    store = ImageStore.open(settings_of(directory, **settings), now=now)
    store.parts.reaper.wake = lambda: None  # type: ignore[method-assign]
    return store


def settings_of(directory: Path, **settings: Any) -> Config:
    """Return the settings of the store in *directory*."""
    return Config(data_dir=directory, orphan_grace=settings.pop("orphan_grace", 0), **settings)


def later() -> int:
    """Return a time at which everything that lies on the disk now is older than ``orphan_grace``."""
    return clock_ms() + 60_000


@dataclass
class Expected:
    """The images a store must hold: for each id the allowed labels, with ``None`` if it may be missing."""

    images: dict[str, Collection[str | None]] = field(default_factory=dict)
    new: Collection[str] = ()
    """Labels of images whose ids were never reported. They may exist or not."""
    at_most: int = 0
    """How many such images there may be."""


def anomalies(directory: Path, expected: Expected, **settings: Any) -> list[str]:
    """
    Open the store in *directory* and return what breaks the promises, in words.

    Everything committed is readable byte for byte; what was interrupted is old or new; a deep check finds orphans at
    most, and ``sweep`` removes those and every unfinished file.
    """
    try:
        store = quiet_store(directory, now=later, **settings)
    except PixstoreError as error:
        return [f"the store does not open: {error}"]
    try:
        return [*wrong_images(store, expected), *_unclean(store)]
    finally:
        store.close()


def wrong_images(store: ImageStore, expected: Expected) -> list[str]:
    """Return the faults of the images in *store*."""
    found = [
        f"{image_id} is {shown!r}, expected {sorted(map(str, allowed))}"
        for image_id, allowed in expected.images.items()
        if (shown := shown_label(store, image_id)) not in allowed
    ]
    image = store.parts.models.image
    with store.connected():
        others = [row.id for row in image.select(image.id) if row.id not in expected.images]
    if len(others) > expected.at_most:
        found.append(f"{len(others)} images that nobody saved")
    found += [
        f"a new image is {shown!r}"
        for image_id in others
        if (shown := shown_label(store, image_id)) not in expected.new
    ]
    return found


def shown_label(store: ImageStore, image_id: str) -> str | None:
    """Return the label of the image, ``None`` if there is none, or words that no image is labelled with."""
    try:
        return label_of(store.load(image_id))
    except ImageNotFound:
        return None
    except (PixstoreError, NotLabelled) as error:
        return f"!! {type(error).__name__}: {error}"


def _unclean(store: ImageStore) -> list[str]:
    store.parts.reaper.drain()
    report = check(store, deep=True)
    found = [
        f"check: {finding.kind}: {finding.message}" for finding in report.findings if finding.kind != "orphan"
    ]
    sweep(store, force=True)
    found += [f"after sweep: {finding.kind}" for finding in check(store).findings]
    unfinished = list((store.config.blobs_path / "unfinished").iterdir())
    return found + [f"after sweep: unfinished {path.name}" for path in unfinished]


def labels_of(store: ImageStore, image_ids: Iterable[str]) -> Mapping[str, str | None]:
    """Return the label of each image."""
    return {image_id: shown_label(store, image_id) for image_id in image_ids}


def shorten_busy_timeout(seconds: float) -> None:
    """Let stores opened from now on in this process wait only *seconds* for a busy database."""
    pixstore.database.BUSY_TIMEOUT = seconds  # type: ignore[assignment]
