"""Sessions: a login lasts until it ends, and its cookie is worth nothing to anybody else."""

import re

from app import create_app
from pixstore.gallery import accounts, sessions
from tests.gallery_client import PASSWORD, GalleryClient
from tests.web.logins import attempt, change_password


def test_session_id_is_new_after_login(app, gallery, stranger):
    """A login gets a new session id, so a cookie that was planted before it opens nothing."""
    accounts.create_user(gallery, "anna", PASSWORD)
    stranger.get("/login")
    planted = stranger.cookie

    stranger.logs_in("anna")

    assert stranger.cookie != planted
    attacker = GalleryClient(app).takes_over(planted)
    assert attacker.get("/").status_code == 303


def test_second_login_ends_the_first_of_the_same_browser(anna, app, gallery):
    """A second login in the same browser ends the first one."""
    before = anna.cookie

    anna.post("/login", {"name": "anna", "password": PASSWORD})

    assert gallery.models.login_session.select().count() == 1
    old = GalleryClient(app).takes_over(before)
    assert old.get("/").status_code == 303


def test_all_processes_agree_on_sessions(config, anna, now):
    """A login made in one worker is good in another: no secret belongs to a process."""
    other = create_app(config, now=now)

    elsewhere = GalleryClient(other).takes_over(anna.cookie)

    assert elsewhere.get("/").status_code == 200
    other.extensions["pixstore"].close()


# --- how a session ends


def test_expired_login_is_nobody(anna, now, config):
    """When the login's time is over, its cookie opens nothing."""
    now.forward(config.session_lifetime)

    assert anna.get("/").location == "/login"


def test_logout_ends_the_login_on_the_server(anna, app):
    """A cookie copied before the logout opens nothing after it."""
    copied = anna.cookie

    answer = anna.post("/logout")

    assert answer.location == "/login"
    assert answer.headers["Clear-Site-Data"] == '"storage"'
    thief = GalleryClient(app).takes_over(copied)
    assert thief.get("/").status_code == 303


def test_change_of_password_ends_other_logins_only(anna, app):
    """Other browsers are logged out; this one stays logged in, under a new session."""
    elsewhere, before = GalleryClient(app).logs_in("anna"), anna.cookie

    change_password(anna)

    assert elsewhere.get("/").status_code == 303
    assert anna.get("/").status_code == 200
    assert anna.cookie != before


def test_end_other_logins(anna, app):
    """The button on the account page ends all other logins and keeps this one."""
    elsewhere = GalleryClient(app).logs_in("anna")
    assert "1 other place." in anna.get("/account").text

    anna.post("/account/sessions/end")

    assert elsewhere.get("/").status_code == 303
    assert "logged in here only" in anna.get("/account").text


# --- what is kept where


def test_database_does_not_hold_session_ids(anna, gallery):
    """The database holds hashes of session ids, and with a hash nobody is logged in."""
    (row,) = gallery.models.login_session.select()

    assert re.fullmatch("[0-9a-f]{64}", row.id_hash)
    assert sessions.find_user(gallery, row.id_hash) is None


def test_cookie_flags(app, anna):
    """The cookie is out of reach for scripts and for other sites' forms."""
    flags = GalleryClient(app).get("/login").headers["Set-Cookie"]

    assert "HttpOnly" in flags
    assert "SameSite=Lax" in flags
    assert "Path=/" in flags
    assert "Secure" not in flags


def test_cookie_lasts_as_long_as_the_login(app, gallery, stranger):
    """The cookie of a login has an expiry date."""
    accounts.create_user(gallery, "anna", PASSWORD)

    answer = attempt(stranger, "anna", PASSWORD)

    assert "Expires=" in answer.headers["Set-Cookie"]
