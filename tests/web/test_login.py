"""The login page: who is let in, and where to."""

import pytest

from pixstore.gallery import accounts
from pixstore.gallery.web.access import own_path
from tests.gallery_client import PASSWORD, GalleryClient
from tests.web.logins import attempt


def test_right_password_opens_the_gallery(anna):
    """After logging in the pictures are shown."""
    assert "No pictures yet" in anna.get("/").text


def test_name_is_found_however_it_is_typed(app, anna):
    """Case and white space around a name make no difference."""
    GalleryClient(app).logs_in("  ANNA ")


@pytest.mark.parametrize(
    ("name", "password"), (("anna", "wrong"), ("nobody", PASSWORD), ("", ""), ("anna", "")), ids=str
)
def test_wrong_name_and_wrong_password_look_the_same(anna, stranger, name, password):
    """The answer does not tell which of the two was wrong."""
    answer = attempt(stranger, name, password)

    assert answer.status_code == 422
    assert "The name or the password is not right." in answer.text


@pytest.mark.parametrize(
    "target", ("/albums", "/albums/abc?before=1-a", "/pictures/%41", "/"), ids=lambda target: target
)
def test_login_leads_back(app, gallery, stranger, target):
    """After the login one is sent to the page that one had asked for."""
    accounts.create_user(gallery, "anna", PASSWORD)

    answer = stranger.post("/login", {"name": "anna", "password": PASSWORD, "next": target})

    assert answer.location == target


@pytest.mark.parametrize(
    "target",
    (
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "\\\\evil.example",
        "javascript:alert(1)",
        "http:evil.example",
        " //evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "albums",
        "",
        None,
    ),
    ids=repr,
)
def test_login_leads_nowhere_else(target):
    """A login leads only to a path of this site."""
    assert own_path(target, root="") is None


def test_logout_by_link_does_nothing(anna):
    """A link or an image on another site cannot log anybody out."""
    assert anna.get("/logout").status_code == 405
    assert anna.get("/").status_code == 200
