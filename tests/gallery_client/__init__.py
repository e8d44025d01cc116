"""
Somebody with a browser at a gallery. Every test that uses the gallery over HTTP, but for those in a real browser, uses this.

    client.py        GalleryClient: what people do, as verbs
    transports.py    how its requests are sent: to an application in this process, or to a running server
    pages.py         what stands in the gallery's pages, taken out of their HTML
    forms.py         forms as browsers encode them
"""

from tests.gallery_client.client import PASSWORD, GalleryClient, ImageMissing, Refused, Seen
from tests.gallery_client.forms import File
from tests.gallery_client.pages import Card, Shown
from tests.gallery_client.transports import HTMX, NoAnswer, TurnedAway

__all__ = [
    "HTMX",
    "PASSWORD",
    "Card",
    "File",
    "GalleryClient",
    "ImageMissing",
    "NoAnswer",
    "Refused",
    "Seen",
    "Shown",
    "TurnedAway",
]
