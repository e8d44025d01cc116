"""
Time two pages of the gallery that `fill.py` has made, in a process of its own; see `gallery_page.py`.

    python gallery_side.py '{"directory", "page"}'     prints [ms of page 1, ms of page *page*]
"""

import json
import statistics
import sys
import time

from fill import ACCOUNT, PASSWORD
from flask.testing import FlaskClient

from app import create_app
from pixstore.config import Config
from pixstore.gallery import Gallery, accounts, pictures
from pixstore.gallery.scopes import Scope

TIMES = 30


def main() -> None:
    """Print what both pages cost."""
    given = json.loads(sys.argv[1])
    app = create_app(Config.from_env(None, data_dir=given["directory"]))
    gallery: Gallery = app.extensions["pixstore.gallery"]
    app.config["WTF_CSRF_ENABLED"] = False
    browser = app.test_client()
    entered = browser.post("/login", data={"name": ACCOUNT, "password": PASSWORD})
    if entered.status_code != 303:
        raise SystemExit(f"bench: the login was answered with {entered.status_code}")
    with gallery.store.connected():
        cursor = _cursor_of(gallery, given["page"])
    print(json.dumps([_cost(browser, "/"), _cost(browser, f"/?before={cursor}")]))
    gallery.store.close()


def _cursor_of(gallery: Gallery, page: int) -> str:
    """Return where the page *page* begins."""
    user = accounts.find_user(gallery, ACCOUNT)
    if user is None:
        raise SystemExit("bench: the account is gone")
    scope = Scope(user.id)
    last_before = scope.newest(gallery.models.picture).offset((page - 1) * pictures.PAGE_SIZE - 1).first()
    return str(scope.place_of(last_before))


def _cost(browser: FlaskClient, path: str) -> float:
    times = []
    for _ in range(TIMES):
        start = time.perf_counter()
        answer = browser.get(path)
        page = answer.get_data()
        times.append((time.perf_counter() - start) * 1000)
        if answer.status_code != 200 or page.count(b"<pixstore-image") < pictures.PAGE_SIZE:
            raise SystemExit(f"bench: {path} is not a page of pictures: {answer.status_code}")
    return statistics.median(times)


if __name__ == "__main__":
    main()
