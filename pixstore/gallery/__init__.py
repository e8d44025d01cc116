"""
The private photo gallery: accounts, albums and pictures over one ``ImageStore``.

The domain (``accounts``, ``sessions``, ``albums``, ``pictures``, …) does not use Flask. Its functions take
the ``Gallery`` they work on, so several galleries can be open in one process. The pages are in ``web``.
Titles and file names never reach the database unsealed (``titles``).
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pixstore.config import Config
from pixstore.database import apply_migrations
from pixstore.gallery.models import MIGRATION_TABLE, MIGRATIONS, GalleryModels
from pixstore.store import ImageStore

__all__ = ["Gallery"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gallery:
    """An image store, and the gallery's own tables in the store's database."""

    store: ImageStore
    models: GalleryModels

    @classmethod
    def open(cls, store: ImageStore) -> "Gallery":
        """Bring the gallery's tables up to date, and return the gallery over *store*."""
        applied, models = (
            apply_migrations(store.database, MIGRATIONS, MIGRATION_TABLE),
            GalleryModels(store.database),
        )
        with store.connected():
            if applied and models.picture.select().exists():
                logger.warning(
                    "the gallery comes from an earlier release: run `flask pixstore upgrade-pictures` once"
                )
        return cls(store, models)

    @property
    def config(self) -> Config:
        """The settings of the store and of the gallery."""
        return self.store.config

    def now(self) -> int:
        """Return the time in ms since 1970."""
        return self.store.now()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything that the block writes, or nothing."""
        with self.store.database.atomic():
            yield
