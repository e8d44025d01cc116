"""``Finding``: one fault of a store. Imports nothing of ours."""

from dataclasses import dataclass
from typing import Literal

FindingKind = Literal["missing", "orphan", "unreadable", "disagrees", "wrong_key", "damaged", "plaintext"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault, and whether it was repaired."""

    kind: FindingKind
    image_id: str | None
    blob_id: str
    message: str
    repaired: bool = False
