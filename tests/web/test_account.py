"""The own account, and the accounts of others for an owner."""

import pytest

from pixstore.gallery import accounts, throttle
from pixstore.gallery.errors import InvalidInput
from tests.web.visitor import PASSWORD, Visitor

NEW = "another good phrase"


def change(visitor, **fields):
    """Send the form that changes the own password."""
    form = {"current": PASSWORD, "password": NEW, "repeated": NEW, **fields}
    return visitor.post("/account/password", form)


def test_change_password(anna, app):
    """The new password logs in, the old one does not."""
    assert change(anna).location == "/account"

    Visitor(app).logs_in("anna", NEW)
    old = Visitor(app).post("/login", {"name": "anna", "password": PASSWORD})
    assert old.status_code == 422


def test_change_of_password_ends_other_logins_only(anna, app):
    """Other browsers are logged out; this one stays logged in, under a new session."""
    elsewhere, before = Visitor(app).logs_in("anna"), anna.cookie

    change(anna)

    assert elsewhere.get("/").status_code == 303
    assert anna.get("/").status_code == 200
    assert anna.cookie != before


@pytest.mark.parametrize(
    ("fields", "words"),
    (
        ({"current": "wrong"}, "not your current password"),
        ({"repeated": "different"}, "not the same"),
        ({"password": "short", "repeated": "short"}, "at least 10 characters"),
        ({"password": "x" * 1025, "repeated": "x" * 1025}, "at most 1024 characters"),
    ),
    ids=("wrong", "mistyped", "short", "long"),
)
def test_bad_change_is_refused_with_the_reason(anna, app, fields, words):
    """A change that is not acceptable says why and changes nothing."""
    answer = change(anna, **fields)

    assert answer.status_code == 422
    assert words in answer.text
    Visitor(app).logs_in("anna")


def test_guessing_the_current_password_stops(anna):
    """Whoever finds an open browser cannot try passwords in it without end."""
    for _ in range(throttle.MAX_PER_NAME):
        change(anna, current="wrong")

    assert change(anna).status_code == 429


def test_end_other_logins(anna, app):
    """The other logins end, this one stays."""
    elsewhere = Visitor(app).logs_in("anna")
    assert "1 other place." in anna.get("/account").text

    anna.post("/account/sessions/end")

    assert elsewhere.get("/").status_code == 303
    assert "logged in here only" in anna.get("/account").text


def test_owner_makes_accounts(olga, app):
    """An account made by an owner can log in, and is no owner unless the form says so."""
    form = {"password": PASSWORD, "repeated": PASSWORD}

    answers = [
        olga.post("/users", {"name": "carl", **form}),
        olga.post("/users", {"name": "dora", "is_owner": "yes", **form}),
    ]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert Visitor(app).logs_in("carl").get("/users").status_code == 403
    assert Visitor(app).logs_in("dora").get("/users").status_code == 200


@pytest.mark.parametrize("name", ("OLGA", "", "a b", "-a", "x" * 41, "a/b", "<b>"), ids=ascii)
def test_impossible_name_is_refused(olga, gallery, name):
    """A name that is taken or cannot be one is refused beside its field."""
    answer = olga.post("/users", {"name": name, "password": PASSWORD, "repeated": PASSWORD})

    assert answer.status_code == 422
    assert 'aria-describedby="fault-name"' in answer.text
    assert len(accounts.list_users(gallery)) == 1


def test_names_are_alike_however_they_are_typed(gallery):
    """Full-width letters, accents in two parts and capitals do not make another account."""
    accounts.create_user(gallery, "Zoe\u0308", PASSWORD)

    with pytest.raises(InvalidInput):
        accounts.create_user(gallery, "ZO\u00cb", PASSWORD)


def test_owner_resets_a_password(olga, anna, app, gallery):
    """The new password logs in, and earlier logins have ended."""
    user = accounts.find_user(gallery, "anna")

    answer = olga.post(f"/users/{user.id}/password", {"password": NEW, "repeated": NEW})

    assert "anna has a new password" in answer.text
    assert anna.get("/").status_code == 303
    Visitor(app).logs_in("anna", NEW)


def test_bad_reset_is_refused_with_the_reason(olga, anna, gallery):
    """A password that is not acceptable changes nothing."""
    user = accounts.find_user(gallery, "anna")

    answer = olga.post(f"/users/{user.id}/password", {"password": "short", "repeated": "short"})

    assert answer.status_code == 422
    assert anna.get("/").status_code == 200


def test_disabled_account_keeps_its_pictures(olga, anna, gallery, add_pictures, app):
    """A disabled account is let in again as it was."""
    add_pictures("anna")
    user = accounts.find_user(gallery, "anna")

    olga.post(f"/users/{user.id}/disable")
    assert "cannot log in" in olga.get("/users").text
    olga.post(f"/users/{user.id}/enable")

    assert Visitor(app).logs_in("anna").get("/").text.count('<li class="card') == 1


def test_owner_cannot_lock_the_own_account(olga, gallery):
    """Nobody is left outside of the own installation."""
    user = accounts.find_user(gallery, "olga")

    answer = olga.post(f"/users/{user.id}/disable")

    assert answer.status_code == 422
    assert olga.get("/users").status_code == 200


def test_account_without_password_is_not_let_in(olga, gallery):
    """An account that came back without its password needs one first."""
    user = accounts.add_user(gallery, "anna")

    answer = olga.post(f"/users/{user.id}/enable")

    assert answer.status_code == 422
    assert "has no password yet" in answer.text


def test_account_that_does_not_exist(olga):
    """A change of nobody is 404."""
    assert olga.post("/users/nobody/disable").status_code == 404


def test_page_has_a_place_for_the_storage_panel(anna):
    """The script finds where to show how much this browser keeps."""
    assert 'id="pixstore-storage"' in anna.get("/account").text
