"""What is wrong with a store, one thing at a time. Imports nothing of ours."""

from dataclasses import dataclass
from typing import Literal

FindingKind = Literal["missing", "orphan", "unreadable", "disagrees", "wrong_key", "damaged", "plaintext"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be, and whether it was repaired."""

    kind: FindingKind
    image_id: str | None
    blob_id: str
    message: str
    repaired: bool = False
