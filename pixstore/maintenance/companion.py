"""
What maintenance needs to know about an application that uses the store. Imports ``rebuild``.

An application may have its own tables in the store's database, and texts sealed by the store's keys. Its
``Companion`` says how maintenance treats them.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pixstore.maintenance.rebuild import RebuiltImage
from pixstore.store import ImageStore


class Recovery(NamedTuple):
    """What an application has made again from the details, in *words*, and *hints* for the operator's next steps."""

    words: str
    hints: Sequence[str] = ()


@dataclass(frozen=True)
class Companion:
    """An application beside the store."""

    tables_of_a_first_start: Collection[str] = ()
    """Tables that may hold rows even if the store was never used."""

    tables_not_backed_up: Collection[str] = ()
    """Tables whose rows are not part of a backup, such as open logins."""

    text_purposes: Collection[str] = ()
    """The purposes of the texts that ``reseal_texts`` seals again."""

    reseal_texts: Callable[[ImageStore], int] | None = None
    """Seals every text again under the active store key; returns how many there are."""

    recover: Callable[[ImageStore, Sequence[RebuiltImage]], Recovery] | None = None
    """Makes the application's rows again from the details of rebuilt images."""


NO_COMPANION = Companion()
"""For a store without an application."""
