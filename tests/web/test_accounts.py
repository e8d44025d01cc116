"""Accounts: how an owner or a command makes them, and what a disabled one may do."""

import pytest

from pixstore.gallery import accounts
from pixstore.gallery.errors import InvalidInput
from tests.gallery_client import PASSWORD, GalleryClient
from tests.web.logins import attempt


def test_owner_makes_accounts(olga, app):
    """An account that an owner makes can log in, and is an owner only if the form says so."""
    form = {"password": PASSWORD, "repeated": PASSWORD}

    answers = [
        olga.post("/users", {"name": "carl", **form}),
        olga.post("/users", {"name": "dora", "is_owner": "yes", **form}),
    ]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert GalleryClient(app).logs_in("carl").get("/users").status_code == 403
    assert GalleryClient(app).logs_in("dora").get("/users").status_code == 200


@pytest.mark.parametrize("name", ("OLGA", "", "a b", "-a", "x" * 41, "a/b", "<b>"), ids=ascii)
def test_impossible_name_is_refused(olga, gallery, name):
    """A name that is taken or cannot be one is refused beside its field."""
    answer = olga.post("/users", {"name": name, "password": PASSWORD, "repeated": PASSWORD})

    assert answer.status_code == 422
    assert 'aria-describedby="fault-name"' in answer.text
    assert len(accounts.list_users(gallery)) == 1


def test_names_are_alike_however_they_are_typed(gallery):
    """Names that differ only in capitals, width of letters or parts of accents are the same name."""
    accounts.create_user(gallery, "Zoe\u0308", PASSWORD)

    with pytest.raises(InvalidInput):
        accounts.create_user(gallery, "ZO\u00cb", PASSWORD)


def test_account_that_does_not_exist(olga):
    """A change of an account that does not exist is 404."""
    assert olga.post("/users/nobody/disable").status_code == 404


# --- disabled accounts


def test_disabled_account_cannot_log_in(anna, olga, stranger, gallery):
    """A disabled account is logged out, and its login is refused in the words for a wrong password."""
    user = accounts.find_user(gallery, "anna")

    olga.post(f"/users/{user.id}/disable")

    assert anna.get("/").status_code == 303
    assert attempt(stranger, "anna", PASSWORD).status_code == 422


def test_disabled_account_keeps_its_pictures(olga, anna, gallery, add_pictures, app):
    """An account that is enabled again has the pictures it had."""
    add_pictures("anna")
    user = accounts.find_user(gallery, "anna")

    olga.post(f"/users/{user.id}/disable")
    assert "cannot log in" in olga.get("/users").text
    olga.post(f"/users/{user.id}/enable")

    assert GalleryClient(app).logs_in("anna").get("/").text.count('<li class="card') == 1


def test_owner_cannot_lock_the_own_account(olga, gallery):
    """An owner cannot disable the own account."""
    user = accounts.find_user(gallery, "olga")

    answer = olga.post(f"/users/{user.id}/disable")

    assert answer.status_code == 422
    assert olga.get("/users").status_code == 200


def test_account_without_password_is_not_let_in(olga, gallery):
    """An account that came back without a password cannot be enabled before it has one."""
    user = accounts.add_user(gallery, "anna")

    answer = olga.post(f"/users/{user.id}/enable")

    assert answer.status_code == 422
    assert "has no password yet" in answer.text


# --- by a command


def test_create_user(run, app, gallery):
    """An account is made with the password of the first line of standard input."""
    result = run("create-user", "Anna", "--password-stdin", typed=f"{PASSWORD}\nmore\n")

    assert (result.exit_code, result.stdout) == (0, "account anna made\n")
    assert GalleryClient(app).logs_in("anna").get("/users").status_code == 403


def test_create_owner(run, app, gallery):
    """With --owner the account manages the others, and the set-up link is void."""
    run("create-user", "olga", "--owner", "--password-stdin", typed=PASSWORD)

    assert GalleryClient(app).logs_in("olga").get("/users").status_code == 200
    assert gallery.models.setup_link.select().count() == 1
    assert GalleryClient(app).get("/setup/whatever").status_code == 404


@pytest.mark.parametrize(
    ("words", "typed", "complaint"),
    (
        (("create-user", "anna"), "short", "pixstore: a password needs at least 10 characters\n"),
        (
            ("create-user", "a b"),
            PASSWORD,
            "pixstore: a name has at most 40 letters and digits, and . - _ between them\n",
        ),
        (("create-user", "olga"), PASSWORD, "pixstore: there is already an account called olga\n"),
        (("reset-password", "nobody"), PASSWORD, "pixstore: there is no such account\n"),
        (("reset-password", "olga"), "", "pixstore: a password needs at least 10 characters\n"),
    ),
    ids=("short", "name", "taken", "nobody", "empty"),
)
def test_refusals(run, gallery, words, typed, complaint):
    """A command that is refused says why on standard error, with exit code 1 and nothing on standard output."""
    accounts.create_user(gallery, "olga", PASSWORD)

    result = run(*words, "--password-stdin", typed=typed)

    assert (result.exit_code, result.stdout, result.stderr) == (1, "", complaint)


# --- the page of one's own account


def test_page_has_a_place_for_the_storage_panel(anna):
    """The account page has the element in which the script shows how much this browser keeps."""
    assert 'id="pixstore-storage"' in anna.get("/account").text
