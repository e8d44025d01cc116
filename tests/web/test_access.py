"""Who may call what. A route that is added without a row in ``routes`` fails the first test."""

import pytest

from pixstore.gallery import accounts, albums, pictures
from pixstore.gallery.scopes import Scope
from tests.gallery_client import GalleryClient
from tests.images import jpeg
from tests.web.routes import LOGIN, ROLES, TABLE, address, new_arguments


def test_every_route_has_a_row(world):
    """A new route is in the table, or this fails."""
    routes = {
        (rule.endpoint, method)
        for rule in world.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }

    assert routes == {(row.endpoint, row.method) for row in TABLE}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.method}-{row.endpoint}")
def test_access(world, row, role):
    """Each route answers each kind of visitor as the table says; other people's things do not exist."""
    url = address(world, row.endpoint, new_arguments(world.extensions["pixstore.gallery"]))
    visitor = GalleryClient(world)
    if role != "nobody":
        visitor.logs_in(role)

    answer = visitor.post(url) if row.method == "POST" else visitor.get(url)

    expected = getattr(row, role)
    if expected == LOGIN:
        assert (answer.status_code, answer.location.partition("?")[0]) == (303, "/login")
    else:
        assert answer.status_code == expected


@pytest.mark.parametrize("path", ("/pictures/{}", "/pictures/{}/delete", "/albums/{}", "/albums/{}/delete"))
def test_foreign_and_missing_look_the_same(world, path):
    """The answer for somebody else's picture or album is that for one that does not exist, byte for byte."""
    given = new_arguments(world.extensions["pixstore.gallery"])
    visitor = GalleryClient(world).logs_in("other")
    foreign = given["picture_id" if "pictures" in path else "album_dir"]
    missing = "a" * len(foreign)

    answers = [visitor.get(path.format(key)) for key in (foreign, missing)]

    assert answers[0].status_code == 404
    assert answers[0].text == answers[1].text


def test_context_album_must_be_own(anna, ben, gallery, add_pictures):
    """The album among whose pictures one looks is checked like the picture itself."""
    foreign = albums.default_album(gallery, accounts.find_user(gallery, "ben"))
    (picture,) = add_pictures("anna")

    assert anna.get(f"/pictures/{picture.id}?album={foreign.dir}").status_code == 404


def test_pictures_do_not_move_into_foreign_albums(anna, ben, gallery, add_pictures, reload_picture):
    """Somebody else's album cannot be chosen, neither for a move nor for an upload."""
    of_ben = accounts.find_user(gallery, "ben")
    foreign = albums.default_album(gallery, of_ben)
    (picture,) = add_pictures("anna")

    assert anna.post(f"/pictures/{picture.id}/move", {"album": foreign.dir}).status_code == 404
    assert anna.sends_upload(("a.jpg", jpeg()), album=foreign.dir).status_code == 404
    assert reload_picture(picture).album_id == picture.album_id
    assert pictures.page(gallery, Scope(of_ben.id)).pictures == []


def test_htmx_is_sent_to_the_login_page_whole(stranger):
    """An htmx request without a login gets 401 and a redirect of the whole page, back to where it was."""
    answer = stranger.flask.get(
        "/?before=1-abc", headers={"HX-Request": "true", "HX-Current-URL": "http://localhost/albums?x=1"}
    )

    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == "/login?next=/albums?x%3D1"


def test_unknown_path_is_404_for_everybody(stranger, anna):
    """A path that does not exist is 404 whether or not one is logged in."""
    assert stranger.get("/nothing").status_code == 404
    assert anna.get("/nothing").status_code == 404
