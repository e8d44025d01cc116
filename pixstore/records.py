"""``ImageRecord``: what a client needs to know about an image. Imports nothing of ours."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ImageMeta:
    """Key, IV and tag that decrypt one version of an image, each in base64. Never printed."""

    key: str = field(repr=False)
    iv: str = field(repr=False)
    tag: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """
    One version of one image.

    *token* is its version number, below 2**53. *stateless_proof* lets its holder fetch the image for a short time.
    If *meta* is ``None``, the client gets the key together with the image.
    """

    id: str
    token: int
    image_format: str
    meta: ImageMeta | None
    stateless_proof: str = field(repr=False)

    def to_json(self, *, with_meta: bool = True) -> dict[str, Any]:
        """
        Return the dictionary that browsers read.

        Pass ``with_meta=False`` for everything that becomes part of a page.
        """
        fields: dict[str, Any] = {
            "id": self.id,
            "token": self.token,
            "imageFormat": self.image_format,
            "statelessProof": self.stateless_proof,
        }
        if with_meta and self.meta is not None:
            fields["meta"] = {"key": self.meta.key, "iv": self.meta.iv, "tag": self.meta.tag}
        return fields
