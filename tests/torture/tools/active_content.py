"""Finds everything in a page that would run or load something, except what the gallery's own pages have."""

from html.parser import HTMLParser

_LOADING = {
    "iframe",
    "frame",
    "object",
    "embed",
    "applet",
    "base",
    "style",
    "portal",
    "audio",
    "video",
    "img",
}
_ADDRESSES = {"href", "src", "action", "formaction", "xlink:href", "data", "srcset", "hx-get", "hx-post"}


def active_elements(page: bytes) -> list[str]:
    """Return each element of *page* that the gallery would not have written."""
    parser = _Parser()
    parser.feed(page.decode("utf-8", "replace"))
    parser.close()
    return parser.found


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Judge one element."""
        values = {name: value or "" for name, value in attrs}
        if self._is_active(tag, values):
            self.found.append((self.get_starttag_text() or tag)[:100])

    @staticmethod
    def _is_active(tag: str, values: dict[str, str]) -> bool:
        addresses = [value for name, value in values.items() if name in _ADDRESSES]
        return (
            tag in _LOADING
            or (tag == "script" and not values.get("src", "").startswith("/static/"))
            or (tag == "meta" and "http-equiv" in values)
            or any(name.startswith(("on", "hx-on")) or name == "style" for name in values)
            or not all(_leads_to_the_gallery(address) for address in addresses)
        )


def _leads_to_the_gallery(address: str) -> bool:
    return address.startswith(("/", "#", "?", "http://localhost/")) and not address.startswith("//")
