"""A form of another site changes nothing here."""

import pytest

from pixstore.gallery import accounts, albums
from tests.gallery_client import PASSWORD, GalleryClient
from tests.web.routes import TABLE, address, new_arguments

CHANGING = tuple(row.endpoint for row in TABLE if row.method == "POST")


@pytest.mark.parametrize("endpoint", CHANGING)
@pytest.mark.parametrize("token", (None, "", "forged", "of somebody else"), ids=repr)
def test_changing_route_needs_the_token(world, endpoint, token):
    """Without the token of this browser's session a changing request is 400, set-up and login included."""
    url = address(world, endpoint, new_arguments(world.extensions["pixstore.gallery"]))
    visitor = GalleryClient(world).logs_in("installer")
    fields = {} if token is None else {"csrf_token": token}
    if token == "of somebody else":
        fields = {"csrf_token": GalleryClient(world).token()}

    answer = visitor.flask.post(url, data=fields)

    assert answer.status_code == 400
    assert "This form is too old" in answer.text


def test_no_route_is_exempt(world):
    """Nothing is excused from the check."""
    protection = world.extensions["csrf"]

    assert not protection._exempt_views
    assert not protection._exempt_blueprints


def test_token_of_before_the_login_is_void(app, gallery, stranger):
    """The token changes with the login, so one that leaked before is worth nothing after."""
    accounts.create_user(gallery, "anna", PASSWORD)
    before = stranger.token()
    stranger.logs_in("anna")

    answer = stranger.flask.post("/albums", data={"csrf_token": before, "title": "x"})

    assert answer.status_code == 400
    assert len(albums.list_albums(gallery, accounts.find_user(gallery, "anna"))) == 1


def test_fragment_says_so_beside_the_page(anna):
    """To htmx the refusal comes as a notice that is put beside the page."""
    answer = anna.flask.post("/albums", data={"title": "x"}, headers={"HX-Request": "true"})

    assert answer.status_code == 400
    assert answer.headers["HX-Retarget"] == "#problem"
    assert "<html" not in answer.text
