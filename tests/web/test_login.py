"""Logging in and out."""

import re

import pytest

from pixstore.gallery import accounts, passwords, sessions, throttle
from pixstore.gallery.web.access import own_path
from tests.web.visitor import PASSWORD, Visitor


def attempt(visitor, name, password, **options):
    """Try to log in."""
    return visitor.post("/login", {"name": name, "password": password}, **options)


def test_right_password_opens_the_gallery(anna):
    """After logging in the pictures are shown."""
    assert "No pictures yet" in anna.get("/").text


def test_name_is_found_however_it_is_typed(app, anna):
    """Case and blanks around a name make no difference."""
    Visitor(app).logs_in("  ANNA ")


@pytest.mark.parametrize(
    ("name", "password"), (("anna", "wrong"), ("nobody", PASSWORD), ("", ""), ("anna", "")), ids=str
)
def test_wrong_name_and_wrong_password_look_the_same(anna, stranger, name, password):
    """The answer does not tell which of the two was wrong."""
    answer = attempt(stranger, name, password)

    assert answer.status_code == 422
    assert "The name or the password is not right." in answer.text


def test_unknown_name_costs_the_same_work(gallery, monkeypatch):
    """A password is verified against today's parameters for a name that does not exist, too."""
    verified = []

    class Watched:
        """Notes what is verified, and finds it wrong."""

        @staticmethod
        def verify_phc_encoded(_password, phc):
            verified.append(phc)
            raise passwords.InvalidKey

    monkeypatch.setattr(passwords, "Argon2id", Watched)

    assert accounts.authenticate(gallery, "nobody", PASSWORD) is None
    assert [phc.rpartition("=1$")[0] for phc in verified] == ["$argon2id$v=19$m=19456,t=2,p"]


def test_passwords_are_argon2id_by_owasp(gallery):
    """A stored password is Argon2id with 19 MiB, 2 passes and 1 lane, under its own salt."""
    hashes = [accounts.create_user(gallery, name, PASSWORD).password_hash for name in ("one", "two")]

    assert all(text.startswith("$argon2id$v=19$m=19456,t=2,p=1$") for text in hashes)
    assert hashes[0] != hashes[1]


def test_old_parameters_are_renewed_at_login(anna, app, gallery, monkeypatch):
    """A hash with other parameters is replaced when its password is given, and logs in before and after."""
    weak = passwords.Argon2id(salt=b"0" * 16, length=32, iterations=1, lanes=1, memory_cost=64)
    gallery.models.user.update(password_hash=weak.derive_phc_encoded(PASSWORD.encode())).execute()

    Visitor(app).logs_in("anna")

    assert not passwords.needs_rehash(accounts.find_user(gallery, "anna").password_hash)
    Visitor(app).logs_in("anna")


def test_session_id_is_new_after_login(app, gallery, stranger):
    """A cookie planted before the login is worth nothing after it: no session fixation."""
    accounts.create_user(gallery, "anna", PASSWORD)
    stranger.get("/login")
    planted = stranger.cookie

    stranger.logs_in("anna")

    assert stranger.cookie != planted
    attacker = Visitor(app)
    attacker.client.set_cookie("pixstore", planted)
    assert attacker.get("/").status_code == 303


def test_second_login_ends_the_first_of_the_same_browser(anna, app, gallery):
    """Logging in again with a live session leaves no second one behind."""
    before = anna.cookie

    anna.post("/login", {"name": "anna", "password": PASSWORD})

    assert gallery.models.login_session.select().count() == 1
    old = Visitor(app)
    old.client.set_cookie("pixstore", before)
    assert old.get("/").status_code == 303


def test_logout_ends_the_login_on_the_server(anna, app):
    """A cookie copied before the logout opens nothing after it."""
    copied = anna.cookie

    answer = anna.post("/logout")

    assert answer.location == "/login"
    assert answer.headers["Clear-Site-Data"] == '"storage"'
    thief = Visitor(app)
    thief.client.set_cookie("pixstore", copied)
    assert thief.get("/").status_code == 303


def test_logout_by_link_does_nothing(anna):
    """A link or an image on another site cannot log anybody out."""
    assert anna.get("/logout").status_code == 405
    assert anna.get("/").status_code == 200


def test_database_does_not_hold_session_ids(anna, gallery):
    """What stands in the table is a hash: reading the database logs nobody in."""
    (row,) = gallery.models.login_session.select()

    assert re.fullmatch("[0-9a-f]{64}", row.id_hash)
    assert sessions.find_user(gallery, row.id_hash) is None


def test_cookie_flags(app, anna):
    """The cookie is out of reach for scripts and for other sites' forms."""
    flags = Visitor(app).get("/login").headers["Set-Cookie"]

    assert "HttpOnly" in flags
    assert "SameSite=Lax" in flags
    assert "Path=/" in flags
    assert "Secure" not in flags


def test_cookie_lasts_as_long_as_the_login(app, gallery, stranger):
    """After logging in the cookie has an end, that of the login."""
    accounts.create_user(gallery, "anna", PASSWORD)

    answer = attempt(stranger, "anna", PASSWORD)

    assert "Expires=" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize(
    "target", ("/albums", "/albums/abc?before=1-a", "/pictures/%41", "/"), ids=lambda target: target
)
def test_login_leads_back(app, gallery, stranger, target):
    """After logging in one is where one wanted to go."""
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
    """Only a path of this site is a place to go on to."""
    assert own_path(target) is None


def test_ten_wrong_passwords_close_the_account_for_a_while(anna, stranger, now):
    """Guessing at one account stops, also for the right password, and starts again when the time is over."""
    for _ in range(throttle.MAX_PER_NAME):
        assert attempt(stranger, "anna", "wrong").status_code == 422

    refused = attempt(stranger, "ANNA", PASSWORD)

    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "900"
    assert "Please wait 15 minutes" in refused.text
    now.forward(throttle.WINDOW)
    stranger.logs_in("anna")


def test_guessing_at_many_accounts_from_one_address_stops(stranger):
    """An address has a limit of its own, whatever names are tried."""
    answers = [attempt(stranger, f"name{number}", "wrong") for number in range(throttle.MAX_PER_ADDRESS + 1)]

    assert {answer.status_code for answer in answers[:-1]} == {422}
    assert answers[-1].status_code == 429


def test_right_password_forgives(anna, stranger, app):
    """Mistyping before the right password does not count any more after it."""
    for _ in range(throttle.MAX_PER_NAME - 1):
        attempt(stranger, "anna", "wrong")
    Visitor(app).logs_in("anna")

    assert attempt(stranger, "anna", "wrong").status_code == 422


def test_attempts_are_shared_and_unreadable(stranger, app, gallery):
    """Attempts are counted in the database, under keyed hashes: a password typed as a name is not kept."""
    attempt(stranger, "my secret passphrase", "x")

    assert gallery.models.login_attempt.select().count() == 2
    assert all(re.fullmatch("[0-9a-f]{64}", row.subject) for row in gallery.models.login_attempt.select())


def test_one_customer_of_ipv6_is_one_address(gallery):
    """Whoever has 2**64 addresses has no more attempts than whoever has one."""
    for number in range(throttle.MAX_PER_ADDRESS):
        throttle.begin(gallery, f"name{number}", f"2001:db8::{number:x}")

    with pytest.raises(throttle.TooManyAttempts):
        throttle.begin(gallery, "another", "2001:db8::ffff")
    throttle.begin(gallery, "another", "2001:db8:0:1::1")


def test_disabled_account_cannot_log_in(anna, olga, stranger, gallery):
    """A disabled account is refused in the words for a wrong password, and its login has ended."""
    user = accounts.find_user(gallery, "anna")

    olga.post(f"/users/{user.id}/disable")

    assert anna.get("/").status_code == 303
    assert attempt(stranger, "anna", PASSWORD).status_code == 422
