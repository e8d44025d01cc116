"""How many requests a page of the gallery takes: each one more is a round trip for somebody far away."""

import pytest

pytestmark = pytest.mark.browser

PAGE_REQUESTS = 34
"""The page, its style sheet and icon, htmx, and 30 modules. (That its thumbnails come in one: `test_module_fetching.py`.)"""


def test_a_page_of_pictures_takes_few_requests(maria):
    """The number of files that a page of the gallery consists of does not grow unnoticed."""
    maria.page.wait_for_load_state("networkidle")
    urls = []
    maria.page.on("request", lambda request: urls.append(request.url))

    maria.opens("Pictures")
    maria.page.wait_for_load_state("networkidle")

    files = [url for url in urls if not url.startswith("blob:") and "/pixstore-image" not in url]
    assert len(files) <= PAGE_REQUESTS, files
