"""
The description of a picture: its title, and the format, dimensions and size of its file, sealed in one text.

Because it is one text, a card of the gallery needs one unsealing. It is padded, so its length does not tell
how long a title is. Rows of earlier releases hold the values in separate columns, until `flask pixstore
upgrade-pictures` or a change of the picture seals them.
"""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from pixstore.gallery import Gallery, titles
from pixstore.gallery.models import Picture

DESCRIPTION = "gallery/picture-description"
"""The purpose that descriptions are sealed for. The row id is that of the picture."""

_BLOCK = 64


@dataclass(frozen=True)
class Description:
    """
    The values that pages show.

    Width and height are those of the picture as shown; *size* is that of the original in bytes.
    """

    title: str
    format: str
    width: int
    height: int
    size: int

    def to_json(self) -> str:
        """Return the description as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Description":
        """
        Undo ``to_json``.

        Fields that another version of this program wrote, and this one does not know, are left out.
        """
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in json.loads(text).items() if name in known})


def open_description(gallery: Gallery, row: Picture) -> Description:
    """Return the description of the picture in *row*."""
    if row.description_sealed is None:
        title = titles.open_title(gallery, row.title_sealed, of=titles.PICTURE, row_id=row.id)
        return Description(title, row.format, row.width, row.height, row.size)
    text = gallery.store.open_text(row.description_sealed, purpose=DESCRIPTION, row_id=row.id)
    return Description.from_json(text)


def columns(gallery: Gallery, description: Description, *, picture_id: str) -> dict[str, Any]:
    """Return the columns that hold *description*. The columns of earlier releases are emptied."""
    text = titles.padded(description.to_json(), _BLOCK)
    sealed = gallery.store.seal_text(text, purpose=DESCRIPTION, row_id=picture_id)
    emptied = {"title_sealed": b"", "format": "", "width": 0, "height": 0, "size": 0}
    return {"description_sealed": sealed, **emptied}
