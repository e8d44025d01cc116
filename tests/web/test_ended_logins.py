"""Logins: none is made by a password that is no longer right, and none outlives what ends it."""

from threading import Event, Thread

import pytest

from app import create_app
from pixstore.config import Config
from pixstore.gallery import accounts, passwords, sessions
from pixstore.gallery.errors import AccountChanged
from pixstore.plausible_times import SLACK
from tests.gallery_client import PASSWORD, GalleryClient

NEW = "another good phrase"


@pytest.fixture
def right_after_the_check(monkeypatch):
    """Return a function that lets something happen once, right after a password was found right."""
    verify = passwords.verify_password

    def arrange(change):
        waiting = [change]

        def verified(password, password_hash):
            is_right = verify(password, password_hash)
            if is_right and waiting:
                waiting.pop()()
            return is_right

        monkeypatch.setattr(passwords, "verify_password", verified)

    return arrange


def changes_of(gallery, olga):
    """Return what ends every login of Anna, by name."""
    user = accounts.find_user(gallery, "anna")
    form = {"password": NEW, "repeated": NEW}
    return {
        "a new password": lambda: accounts.set_password(gallery, user, NEW),
        "a reset by the owner": lambda: olga.post(f"/users/{user.id}/password", form),
        "a disabled account": lambda: olga.post(f"/users/{user.id}/disable"),
        "the others ended": lambda: sessions.end_others(gallery, user, "of another browser"),
    }


# --- a login and what ends it, at the same time


@pytest.mark.parametrize(
    "change", ("a new password", "a reset by the owner", "a disabled account", "the others ended")
)
def test_no_login_by_a_password_that_was_checked_before(
    anna, olga, stranger, gallery, right_after_the_check, change
):
    """What ends every login also ends one whose password was checked just before: it is refused."""
    right_after_the_check(changes_of(gallery, olga)[change])

    answer = stranger.post("/login", {"name": "anna", "password": PASSWORD})

    assert answer.status_code == 422
    assert "Please log in again." in answer.text
    assert stranger.get("/").location == "/login"
    user = accounts.find_user(gallery, "anna")
    assert sessions.count(gallery, user) == 0


def test_account_disabled_and_let_in_again(anna, olga, stranger, gallery, right_after_the_check):
    """A password checked before the account was disabled opens nothing after it was let in again, either."""
    user = accounts.find_user(gallery, "anna")

    def disable_and_enable():
        accounts.disable_user(gallery, user, by=accounts.find_user(gallery, "olga"))
        accounts.enable_user(gallery, user)

    right_after_the_check(disable_and_enable)

    assert stranger.post("/login", {"name": "anna", "password": PASSWORD}).status_code == 422


def test_hash_that_was_exchanged_lets_nobody_in(anna, stranger, gallery, right_after_the_check):
    """Whoever writes another hash into the database ends what was checked against the old one."""
    account = gallery.models.user
    other = passwords.hash_password(NEW)
    right_after_the_check(lambda: account.update(password_hash=other).where(account.name == "anna").execute())

    assert stranger.post("/login", {"name": "anna", "password": PASSWORD}).status_code == 422


def test_change_of_password_that_came_too_late(anna, olga, gallery, right_after_the_check):
    """A reset by the owner is not undone by a change whose current password was checked before it."""
    right_after_the_check(changes_of(gallery, olga)["a reset by the owner"])

    answer = anna.post(
        "/account/password",
        {"current": PASSWORD, "password": "a third good phrase", "repeated": "a third good phrase"},
    )

    assert answer.status_code == 422
    assert anna.get("/").location == "/login"
    GalleryClient(anna.app).logs_in("anna", NEW)


def test_change_of_password_and_the_login_behind_it_are_one(anna, gallery, monkeypatch):
    """If the new login cannot be made, the password stays the old one, and so do the logins."""

    def fails(*_):
        raise RuntimeError("in the middle")

    anna.app.config["PROPAGATE_EXCEPTIONS"] = False

    with monkeypatch.context() as patched:
        patched.setattr(sessions, "_add", fails)
        answer = anna.post("/account/password", {"current": PASSWORD, "password": NEW, "repeated": NEW})

    assert answer.status_code == 500
    assert anna.get("/").status_code == 200
    GalleryClient(anna.app).logs_in("anna")


def test_logins_in_threads_do_not_outlive_a_change(tmp_path):
    """Of logins that run while a password is changed, none by the old one is alive after the change."""
    app = create_app(Config(data_dir=tmp_path / "data"))
    gallery = app.extensions["pixstore.gallery"]
    with gallery.store.connected():
        user = accounts.create_user(gallery, "anna", PASSWORD)
    outlived = []

    def logs_in(password, changed):
        while not changed.is_set():
            with gallery.store.connected():
                checked = accounts.authenticate(gallery, "anna", password)
                try:
                    session_id = None if checked is None else sessions.start(gallery, checked)
                except AccountChanged:
                    continue
                changed.wait(5)
                if session_id and sessions.find_user(gallery, session_id) is not None:
                    outlived.append(session_id)

    for turn in range(5):
        changed = Event()
        threads = [Thread(target=logs_in, args=(f"password {turn}", changed)) for _ in range(2)]
        with gallery.store.connected():
            accounts.set_password(gallery, user, f"password {turn}")
            for thread in threads:
                thread.start()
            accounts.set_password(gallery, user, f"password {turn + 1}")
        changed.set()
        for thread in threads:
            thread.join()
    gallery.store.close()

    assert outlived == []


# --- what changes, and what does not


def test_old_hash_is_renewed_by_two_logins_at_once(anna, stranger, gallery, right_after_the_check):
    """A login that finds its outdated hash renewed meanwhile checks the password again, and goes on."""
    weak = passwords.Argon2id(salt=b"0" * 16, length=32, iterations=1, lanes=1, memory_cost=64)
    gallery.models.user.update(password_hash=weak.derive_phc_encoded(PASSWORD.encode())).execute()
    right_after_the_check(lambda: GalleryClient(anna.app).logs_in("anna"))

    stranger.logs_in("anna")

    assert stranger.get("/").status_code == 200


def test_letting_in_again_ends_nothing_else(anna, olga, gallery):
    """Letting an account in again changes nothing for those that are not disabled."""
    user = accounts.find_user(gallery, "anna")

    accounts.enable_user(gallery, user)

    assert anna.get("/").status_code == 200


# --- a clock that was wrong


def test_login_by_a_clock_that_was_ahead_is_over(anna, gallery, now, config):
    """A login that would last longer than any can was made by a wrong clock, and is over."""
    login = gallery.models.login_session
    far = now() + config.session_lifetime + SLACK
    login.update(expires_at=far).execute()
    assert anna.get("/").status_code == 200

    login.update(expires_at=far + 1).execute()

    assert anna.get("/").location == "/login"
    assert sessions.count(gallery, accounts.find_user(gallery, "anna")) == 0


def test_logins_of_a_wrong_clock_are_removed(anna, gallery, now, config):
    """The next login removes the rows of logins that are over, and of those that a wrong clock made."""
    gallery.models.login_session.update(expires_at=now() + 2 * config.session_lifetime).execute()

    GalleryClient(anna.app).logs_in("anna")

    assert gallery.models.login_session.select().count() == 1
