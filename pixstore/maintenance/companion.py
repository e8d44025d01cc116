"""
What an application keeps beside its images, as far as maintenance has to know of it. Imports ``rebuild``.

An application may have tables of its own in the store's database, and texts sealed by the store's keys. Its companion says
what becomes of them.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pixstore.maintenance.rebuild import RebuiltImage
from pixstore.store import ImageStore


class Recovery(NamedTuple):
    """What was made again from the details of images, in words; and what the operator should do next."""

    words: str
    hints: Sequence[str] = ()


@dataclass(frozen=True)
class Companion:
    """An application beside the store."""

    tables_of_a_first_start: Collection[str] = ()
    """Tables that hold rows in a database that was made but never used."""

    tables_not_backed_up: Collection[str] = ()
    """Tables whose rows no backup brings back: logins that were open, say."""

    text_purposes: Collection[str] = ()
    """What the texts are sealed for that ``reseal_texts`` seals again."""

    reseal_texts: Callable[[ImageStore], int] | None = None
    """Seals every text again under the active store key; returns how many there are."""

    recover: Callable[[ImageStore, Sequence[RebuiltImage]], Recovery] | None = None
    """Makes rows again from the details of images that are back after a rebuild."""


NO_COMPANION = Companion()
"""For a store that a library uses alone."""
