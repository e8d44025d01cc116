"""The application below a path prefix (``SCRIPT_NAME``): everything stays below it."""

import json
import re
from html import unescape
from urllib.parse import urlsplit

import pytest

from pixstore.gallery import accounts
from pixstore.gallery.web.access import own_path
from tests.gallery_client import PASSWORD, GalleryClient
from tests.images import jpeg
from tests.web.routes import TABLE, address

PREFIX = "/photos"
ADDRESSES = re.compile(r'\s(?:href|src|action|hx-get|hx-post)="([^"]*)"')
SETTINGS = re.compile(r"<meta name=\"pixstore\" content='([^']*)'>")


@pytest.fixture
def below(app):
    """Return the application behind a server that passes on what is below the prefix, and nothing else."""
    inner = app.wsgi_app

    def server(environ, start_response):
        path = environ["PATH_INFO"]
        if not path.startswith(f"{PREFIX}/") and path != PREFIX:
            start_response("418 Outside", [("Content-Type", "text/plain")])
            return [b"outside\n"]
        environ |= {"SCRIPT_NAME": PREFIX, "PATH_INFO": path[len(PREFIX) :]}
        return inner(environ, start_response)

    app.wsgi_app = server
    return app


class Guest(GalleryClient):
    """Somebody who asks below the prefix."""

    def ask(self, method, path, *args, **options):
        """Send one request to *path*, given as the browser has it or without the prefix."""
        return super().ask(method, _prefixed(path), *args, **options)


def _prefixed(path):
    return path if path.startswith(PREFIX) else PREFIX + path


@pytest.fixture
def anna(below, gallery):
    """Return somebody with an account, logged in."""
    accounts.create_user(gallery, "anna", PASSWORD)
    return Guest(below).logs_in("anna")


def places_in(text):
    """Return every address on a page that is one of this site."""
    found = [unescape(place) for place in ADDRESSES.findall(text)]
    return [place for place in found if not place.startswith("#")]


# --- a visit


def test_a_visit_from_login_to_logout(below, gallery):
    """Logging in, uploading, looking at a picture and logging out leads from one address below the prefix to another."""
    accounts.create_user(gallery, "anna", PASSWORD)
    anna = Guest(below)

    first = anna.get("/")
    wanted = anna.get("/albums?x=1")
    entered = anna.post("/login", {"name": "anna", "password": PASSWORD, "next": f"{PREFIX}/albums?x=1"})
    added = anna.sends_upload(("sea.jpg", jpeg()), new_album="Walks")
    album = anna.get(added.location)
    picture = next(place for place in places_in(album.text) if "/pictures/" in place)
    shown = anna.get(picture)
    left = anna.post("/logout")

    assert first.location == f"{PREFIX}/login"
    assert wanted.location == f"{PREFIX}/login?next={PREFIX}/albums?x%3D1"
    assert entered.location == f"{PREFIX}/albums?x=1"
    assert added.location.startswith(f"{PREFIX}/albums/")
    assert (album.status_code, shown.status_code) == (200, 200)
    assert left.location == f"{PREFIX}/login"
    assert anna.get("/").location == f"{PREFIX}/login"


def test_images_are_served_below_the_prefix(anna, gallery):
    """The page names the endpoint where it is, and the endpoint answers there."""
    anna.sends_upload(("sea.jpg", jpeg()))
    settings = json.loads(unescape(SETTINGS.search(anna.get("/").text)[1]))
    image_id = gallery.models.picture.get().original_id
    proof = gallery.store.record(image_id).stateless_proof

    answer = anna.flask.get(
        f"{settings['defaultEndpointRoute']}/{image_id}", headers={"x-pixstore-proof": proof}, buffered=True
    )
    records = anna.flask.get(settings["recordUrl"], query_string={"id": image_id})

    assert settings["defaultEndpointRoute"] == f"{PREFIX}/pixstore-image"
    assert (answer.status_code, answer.data[0]) == (200, 1)
    assert [record["id"] for record in records.get_json()["records"]] == [image_id]


def test_every_address_on_every_page_is_below_the_prefix(anna, gallery):
    """Links, forms, scripts and styles of every page and fragment stay below the prefix, and scripts and styles are there."""
    anna.sends_upload(("sea.jpg", jpeg()), new_album="Walks")
    row = gallery.models.picture.get()
    arguments = {"picture_id": row.id, "album_dir": row.album_id}
    places = set()
    for entry in TABLE:
        needed = {name for rule in anna.app.url_map.iter_rules(entry.endpoint) for name in rule.arguments}
        if entry.method == "GET" and needed <= arguments.keys():
            path = address(anna.app, entry.endpoint, arguments)
            places |= {place for htmx in (False, True) for place in places_in(anna.get(path, htmx=htmx).text)}

    assert len(places) > 25
    assert [place for place in places if not place.startswith(f"{PREFIX}/")] == []
    static = [place for place in places if "/static/" in place]
    assert len(static) > 15
    assert {anna.get(place).status_code for place in static} == {200}


def test_redirects_of_htmx_stay_below_the_prefix(anna, below):
    """Where htmx is told to go, it goes below the prefix, and back to where it was."""
    stranger = Guest(below)
    headers = {"HX-Request": "true", "HX-Current-URL": f"http://localhost{PREFIX}/albums?x=1"}
    outside = {"HX-Request": "true", "HX-Current-URL": "http://localhost/elsewhere"}

    sent = [stranger.flask.get(f"{PREFIX}/", headers=each) for each in (headers, outside)]
    renamed = anna.post("/albums", {"title": "Walks"})

    assert [answer.headers["HX-Redirect"] for answer in sent] == [
        f"{PREFIX}/login?next={PREFIX}/albums?x%3D1",
        f"{PREFIX}/login",
    ]
    assert renamed.location.startswith(f"{PREFIX}/albums/")


def test_the_prefix_alone_is_the_start(below, gallery):
    """The prefix without a slash behind it leads to the gallery."""
    answer = Guest(below).flask.get(PREFIX)

    assert answer.status_code in {303, 308}
    assert urlsplit(answer.location).path in {f"{PREFIX}/", f"{PREFIX}/login"}


# --- the way back behind a login


@pytest.mark.parametrize(
    "target",
    (
        "/",
        "/elsewhere",
        "/photos",
        "/photosets/",
        "/photos/../elsewhere",
        "/photos/%2e%2e/elsewhere",
        "/photos/.%2E/elsewhere",
        "/photos/./../../elsewhere",
        "/photos/..",
        "//photos/",
        "https://photos/",
    ),
)
def test_login_does_not_lead_outside(below, gallery, target):
    """A way back that leaves the prefix, as browsers read it, is none: after logging in one is at the start."""
    accounts.create_user(gallery, "anna", PASSWORD)
    anna = Guest(below)

    answer = anna.post("/login", {"name": "anna", "password": PASSWORD, "next": target})

    assert answer.location == f"{PREFIX}/"
    assert anna.flask.get(f"{PREFIX}/login", query_string={"next": target}).location == f"{PREFIX}/"


@pytest.mark.parametrize(
    "target", ("/photos/", "/photos/albums", "/photos/albums/..a?x=../y", "/photos/a%20b")
)
def test_ways_that_stay_inside(target):
    """What stays below the prefix is a place to go on to."""
    assert own_path(target, root=PREFIX) == target


@pytest.mark.parametrize("target", ("/..", "/../x", "/a/%2e%2e/%2e%2e/x"))
def test_no_way_climbs(target):
    """Without a prefix, too, a way back that climbs is none."""
    assert own_path(target, root="") is None
