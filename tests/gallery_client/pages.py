"""What stands in the gallery's pages, taken out of their HTML."""

import re
from html import unescape
from typing import NamedTuple

_CSRF_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
_IMAGE = re.compile(r'<pixstore-image image-id="([^"]+)" token="([0-9]+)" proof="([^"]+)"')
_CARD = re.compile(rf'href="/pictures/([a-z0-9]+)[^"]*">\s*{_IMAGE.pattern}')
_PICTURE_ID = re.compile(r'id="picture-([a-z0-9]+)"')
_TITLE_OF_IMAGE = re.compile(r'alt="([^"]+)"')
_HEADING = re.compile(r"<h1>([^<]*)</h1>")
_NEXT_PAGE = re.compile(r'<li class="more">\s*<a href="([^"]+)"')
_NEWER = re.compile(r'class="newer" href="([^"]+)"')
_ALBUM_LINK = re.compile(r'href="/albums/([a-z0-9_-]+)"')
_ALBUM_SIZE = re.compile(
    r'class="album-title">([^<]*)</span>\s*<span class="album-count">(\d+) picture', re.DOTALL
)
_USER_LINK = re.compile(r"/users/([a-z0-9]+)/")


class Shown(NamedTuple):
    """An image as a page names it."""

    image_id: str
    token: int
    proof: str


class Card(NamedTuple):
    """A picture as a page shows it small."""

    picture_id: str
    thumbnail: Shown


def csrf_token(page: str) -> str | None:
    """Return the token of the first form on *page*, or ``None`` if it has no form."""
    found = _CSRF_TOKEN.search(page)
    return None if found is None else unescape(found[1])


def images(page: str) -> list[Shown]:
    """Return the images on *page*, in its order."""
    return [_shown(*groups) for groups in _IMAGE.findall(page)]


def cards(page: str) -> list[Card]:
    """Return the pictures that *page* shows small, in its order."""
    return [Card(picture_id, _shown(*groups)) for picture_id, *groups in _CARD.findall(page)]


def picture_ids(page: str) -> list[str]:
    """Return the ids of the pictures in the grid of *page*, also of those whose image is missing."""
    found: list[str] = _PICTURE_ID.findall(page)
    return found


def titles_of_images(page: str) -> list[str]:
    """Return the titles of the images on *page*, as they stand in its source."""
    found: list[str] = _TITLE_OF_IMAGE.findall(page)
    return found


def heading(page: str) -> str | None:
    """Return the heading of *page* as it stands in its source."""
    found = _HEADING.search(page)
    return None if found is None else found[1]


def next_page(page: str) -> str | None:
    """Return the path that "load more" leads to, or ``None`` on the last page."""
    found = _NEXT_PAGE.search(page)
    return None if found is None else unescape(found[1])


def newer_picture(page: str) -> str | None:
    """Return the path that leads from the *page* of a picture to the next newer one."""
    found = _NEWER.search(page)
    return None if found is None else unescape(found[1])


def albums(page: str) -> list[str]:
    """Return the albums that *page* links to, as their addresses name them."""
    return list(dict.fromkeys(_ALBUM_LINK.findall(page)))


def album_sizes(page: str) -> list[tuple[str, str]]:
    """Return title and number of pictures of each album in the list of albums."""
    found: list[tuple[str, str]] = _ALBUM_SIZE.findall(page)
    return found


def user_ids(page: str) -> list[str]:
    """Return the ids of the accounts on the owner's *page* of accounts."""
    return list(dict.fromkeys(_USER_LINK.findall(page)))


def count_refused(page: str) -> int:
    """Return how many files an answer to an upload says to have refused."""
    return page.count('class="result refused"')


def _shown(image_id: str, token: str, proof: str) -> Shown:
    return Shown(unescape(image_id), int(token), unescape(proof))
