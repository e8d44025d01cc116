"""Wrong passwords: they cost a growing wait, close no door, and keep nobody out of the own account."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from app import create_app
from pixstore.config import Config
from pixstore.gallery import accounts, devices, sessions, setup_link, throttle
from pixstore.gallery.errors import TooManyAttempts
from pixstore.gallery.throttle import NAME, NETWORK, PAIR
from pixstore.plausible_times import SLACK
from tests.gallery_client import PASSWORD, GalleryClient

SECOND, MINUTE = 1000, 60_000
DEVICE = "pixstore-device"


def attempt(visitor, name, password="wrong", *, address="192.0.2.1"):
    """Try to log in from *address*; return the answer."""
    form = {"csrf_token": visitor.token(), "name": name, "password": password}
    return visitor.flask.post("/login", data=form, environ_base={"REMOTE_ADDR": address})


def addresses(count, *, first=1):
    """Return so many addresses, each in a network of its own."""
    return [f"10.0.{number // 250}.{number % 250}" for number in range(first, first + count)]


def guess(gallery, name, address="192.0.2.1"):
    """Try a wrong password; return the seconds to wait if it was not let through."""
    try:
        throttle.begin(gallery, name, address)
    except TooManyAttempts as error:
        return error.retry_after
    return 0


def waits(gallery, now, name, count, address="192.0.2.1"):
    """Try as early as is let through, *count* times; return the seconds waited before each."""
    waited = []
    for _ in range(count):
        seconds = guess(gallery, name, address)
        now.forward(seconds * SECOND)
        if seconds:
            assert guess(gallery, name, address) == 0
        waited.append(seconds)
    return waited


def stolen(app, visitor):
    """Return another browser, with the device cookie of *visitor* and nothing else."""
    thief = GalleryClient(app)
    thief.flask.set_cookie(DEVICE, visitor.flask.get_cookie(DEVICE).value)
    return thief


# --- a growing wait


def test_wait_grows_with_wrong_passwords_for_one_account_from_one_place(gallery, now):
    """Five are free; then 1 s, 2 s, 4 s, … up to 15 minutes."""
    assert waits(gallery, now, "anna", 15) == [0] * 5 + [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]


def test_wait_is_never_longer_than_a_quarter_of_an_hour(gallery, now):
    """However many there were, a quarter of an hour later the next one is let through."""
    waited = waits(gallery, now, "anna", 40)

    assert max(waited) <= 900
    assert sum(waited) / 40 > 60


def test_wait_for_one_account_from_many_places_stays_short(gallery, now):
    """Twenty are free, from wherever; then the wait grows to 30 s and no further."""
    free, *guesses = addresses(20), *addresses(8, first=100)
    waited = [guess(gallery, "anna", address) for address in free]

    for address in guesses:
        waited += waits(gallery, now, "anna", 1, address)

    assert waited == [0] * 20 + [1, 2, 4, 8, 16, 30, 30, 30]


def test_wait_grows_with_guessing_at_many_accounts_from_one_place(gallery, now):
    """Fifty are free, a household or an office shares a network; then 1 s, 2 s, … whatever names are tried."""
    waited = []
    for number in range(54):
        waited += waits(gallery, now, f"name{number}", 1)

    assert waited == [0] * 50 + [1, 2, 4, 8]


def test_refused_attempt_prolongs_nothing(anna, stranger, gallery, now):
    """Whoever asks too early is told how long to wait; asking a hundred times does not make it longer."""
    for _ in range(PAIR.free + 3):
        waits(gallery, now, "anna", 1)
    first = attempt(stranger, "anna", PASSWORD)

    for _ in range(100):
        guess(gallery, "anna")

    refused = attempt(stranger, "anna", PASSWORD)
    assert [answer.status_code for answer in (first, refused)] == [429, 429]
    assert [answer.headers["Retry-After"] for answer in (first, refused)] == ["8", "8"]
    assert "Please wait 8 seconds and try again." in refused.text
    now.forward(8 * SECOND)
    assert attempt(stranger, "anna", PASSWORD).status_code == 303


def test_attempts_are_forgotten(gallery, now):
    """After a while without any, wrong passwords count no more."""
    waits(gallery, now, "anna", 12)

    now.forward(throttle.WINDOW)

    assert waits(gallery, now, "anna", 6) == [0, 0, 0, 0, 0, 1]
    assert gallery.models.login_attempt.select().count() == 6 * 3


def test_right_password_forgives_what_was_mistyped(anna, stranger, gallery):
    """After the right password the wrong ones before it, for that account and from that place, cost nothing more."""
    for _ in range(PAIR.free - 1):
        attempt(stranger, "anna")
    attempt(GalleryClient(anna.app), "anna", PASSWORD)

    assert [attempt(stranger, "anna").status_code for _ in range(PAIR.free)] == [422] * PAIR.free


def test_right_password_forgives_no_guesses_of_others(anna, gallery, now):
    """A right password does not give attempts back to those who guess elsewhere, nor at other accounts."""
    for address in addresses(NAME.free):
        guess(gallery, "anna", address)
    for number in range(NETWORK.free - 2):
        guess(gallery, f"name{number}")
    now.forward(SECOND)

    attempt(GalleryClient(anna.app), "anna", PASSWORD)

    assert guess(gallery, "anna", "198.51.100.1") == 0  # the 21st, a second after the 20th
    assert guess(gallery, "anna", "198.51.100.2") == 2
    assert guess(gallery, "someone") == 0
    assert guess(gallery, "somebody") == 0
    assert guess(gallery, "nobody") == 1


def test_attempts_at_once_are_counted_one_by_one(gallery):
    """However many try at the same moment, no more are let through than one after another."""

    def try_once(_):
        with gallery.store.connected():
            return guess(gallery, "anna")

    with ThreadPoolExecutor(16) as pool:
        waited = list(pool.map(try_once, range(32)))

    assert sorted(waited) == [0] * PAIR.free + [1] * (32 - PAIR.free)


# --- what is counted


@pytest.mark.parametrize(
    "spellings",
    (
        ("anna", "ANNA", " anna ", "\uff21\uff4e\uff4e\uff41", "A\uff2e\uff2eA", "\u1d2cnna"),
        ("mu\u0308ller", "m\u00fcller", "M\u00dcLLER", "\uff2d\u00fc\uff4c\uff4cer"),
        ("\ufb01nn", "finn", "FINN", "\uff26inn"),
        ("stra\u00dfe", "strasse", "STRASSE", "stra\u1e9ee"),
        ("not a name!", "NOT A NAME!", "\uff2eot a name!"),
    ),
    ids=ascii,
)
def test_every_spelling_of_a_name_counts_alike(gallery, spellings):
    """What finds the same account counts as the same name, and so do the spellings of what can be no name."""
    for number in range(PAIR.free):
        assert guess(gallery, spellings[number % len(spellings)]) == 0

    assert [guess(gallery, spelling) for spelling in spellings] == [1] * len(spellings)


def test_guessing_in_many_spellings_is_stopped_on_the_page(anna, stranger):
    """Letters that look like others to a computer give nobody who guesses on the login page another try."""
    spellings = ("anna", "\uff41nna", "a\uff4ena", "an\uff4ea", "ann\uff41")
    assert [attempt(stranger, name).status_code for name in spellings] == [422] * 5

    assert attempt(stranger, "\uff21\uff2e\uff2e\uff21", PASSWORD).status_code == 429


def test_attempts_are_unreadable(stranger, gallery):
    """Names and addresses are kept as keyed hashes: a password typed as a name is not kept."""
    attempt(stranger, "my secret passphrase")

    assert gallery.models.login_attempt.select().count() == 3
    assert all(re.fullmatch("[0-9a-f]{64}", row.subject) for row in gallery.models.login_attempt.select())


def test_one_customer_of_ipv6_is_one_network(gallery):
    """Whoever has 2**64 addresses has no more attempts than whoever has one."""
    for number in range(NETWORK.free):
        guess(gallery, f"name{number}", f"2001:db8::{number:x}")

    assert guess(gallery, "another", "2001:db8::ffff") == 1
    assert guess(gallery, "another", "2001:db8:0:1::1") == 0


# --- nobody is kept out


def hammered(gallery):
    """Let everybody guess at Anna's password, from everywhere, as often as they are let."""
    for address in (*addresses(NAME.free + 10), "192.0.2.1"):
        for _ in range(PAIR.free + 1):
            guess(gallery, "anna", address)


def test_a_browser_that_has_logged_in_before_is_let_in(anna, gallery):
    """Whatever others guess, and from the same place, the right password from a browser that was let in before logs in."""
    anna.post("/logout")
    hammered(gallery)

    assert attempt(GalleryClient(anna.app), "anna", PASSWORD).status_code == 429
    assert attempt(anna, "anna", PASSWORD).status_code == 303


def test_the_browser_of_the_set_up_is_known(app, gallery, stranger):
    """The browser in which the owner's account was made counts as one that was let in."""
    token = setup_link.issue(gallery)
    stranger.post(f"/setup/{token}", {"name": "anna", "password": PASSWORD, "repeated": PASSWORD})
    stranger.post("/logout")
    hammered(gallery)

    assert attempt(stranger, "anna", PASSWORD).status_code == 303


def test_a_stolen_device_cookie_is_worth_a_few_guesses(anna, app, gallery, now):
    """With the cookie of such a browser the wait grows as without; and others may go on meanwhile."""
    thief = stolen(app, anna)

    answers = []
    for _ in range(PAIR.free + 2):
        now.forward(SECOND)
        answers.append(attempt(thief, "anna"))

    assert [answer.status_code for answer in answers] == [422] * 6 + [429]
    assert attempt(thief, "anna", PASSWORD).status_code == 429
    assert attempt(GalleryClient(app), "anna", PASSWORD).status_code == 303


def test_a_device_cookie_is_for_one_account(anna, ben, app, gallery):
    """With Anna's cookie, guesses at Ben's password count as anybody's."""
    for address in addresses(NAME.free):
        guess(gallery, "ben", address)

    assert attempt(stolen(app, anna), "ben", PASSWORD).status_code == 429


def test_a_browser_knows_several_accounts(anna, gallery, app):
    """Of those who share a browser, nobody can be kept out of it."""
    for name in ("ben", "carl"):
        accounts.create_user(gallery, name, PASSWORD)
        anna.post("/logout")
        anna.logs_in(name)
    anna.post("/logout")
    hammered(gallery)

    assert attempt(anna, "anna", PASSWORD).status_code == 303


@pytest.mark.parametrize("change", ("password", "reset", "end the others"))
def test_what_ends_logins_ends_device_cookies(anna, olga, app, gallery, change):
    """A new password, a reset and "end the others" take the cookie's worth from other browsers, and leave it to this one."""
    elsewhere = GalleryClient(app).logs_in("anna")
    elsewhere.post("/logout")
    user = accounts.find_user(gallery, "anna")
    new = PASSWORD if change == "end the others" else "another good phrase"
    if change == "password":
        anna.post("/account/password", {"current": PASSWORD, "password": new, "repeated": new})
    elif change == "reset":
        olga.post(f"/users/{user.id}/password", {"password": new, "repeated": new})
    else:
        anna.post("/account/sessions/end")
    hammered(gallery)

    assert attempt(elsewhere, "anna", new).status_code == 429
    if change != "reset":
        assert attempt(anna, "anna", new).status_code == 303


@pytest.mark.parametrize(
    "damage",
    (
        lambda value: value[:-1] + ("0" if value[-1] != "0" else "1"),
        lambda value: value.replace(".", ""),
        lambda value: "x" * 3000,
        lambda value: f"~~{value[:40]}~",
        lambda value: "",
    ),
    ids=("another signature", "no parts", "long", "pieces", "empty"),
)
def test_a_forged_device_cookie_is_worth_nothing(anna, app, gallery, damage):
    """A device cookie that this gallery has not made counts as none."""
    forger = GalleryClient(app)
    forger.flask.set_cookie(DEVICE, damage(anna.flask.get_cookie(DEVICE).value))
    hammered(gallery)

    assert attempt(forger, "anna", PASSWORD).status_code == 429


def test_a_device_cookie_of_another_gallery_is_worth_nothing(anna, gallery, tmp_path):
    """The key that signs it belongs to this store alone."""
    other = create_app(Config(data_dir=tmp_path / "other")).extensions["pixstore.gallery"]
    user = accounts.find_user(gallery, "anna")

    foreign = devices.remember(other, user, "")

    assert devices.recognize(other, user, foreign) is not None
    assert devices.recognize(gallery, user, foreign) is None
    other.store.close()


def test_device_cookie_flags(app, gallery, stranger):
    """Scripts cannot read it, other sites' forms do not send it, it lasts a year, and names neither person nor browser."""
    user = accounts.create_user(gallery, "anna", PASSWORD)

    answer = attempt(stranger, "anna", PASSWORD)

    (cookie,) = [line for line in answer.headers.getlist("Set-Cookie") if line.startswith(f"{DEVICE}=")]
    assert {"HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=31536000"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert re.fullmatch(
        rf"{user.id}\.[a-z2-7]{{26}}\.[0-9a-f]{{32}}", stranger.flask.get_cookie(DEVICE).value
    )


def test_device_cookie_over_https(config):
    """Where the gallery is told that TLS is in front, the cookie comes from this host alone, over TLS alone."""
    app = create_app(Config(data_dir=config.data_dir, cookie_secure=True))
    gallery = app.extensions["pixstore.gallery"]
    with gallery.store.connected():
        accounts.create_user(gallery, "anna", PASSWORD)
    client = app.test_client()
    page = client.get("/login", base_url="https://localhost")
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)[1]

    answer = client.post(
        "/login",
        data={"csrf_token": token, "name": "anna", "password": PASSWORD},
        base_url="https://localhost",
        headers={"Referer": "https://localhost/login"},
    )

    (cookie,) = [line for line in answer.headers.getlist("Set-Cookie") if "device=" in line]
    assert cookie.startswith("__Host-pixstore-device=")
    assert {"Secure", "HttpOnly", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    gallery.store.close()


def test_device_cookie_logs_nobody_in(anna, app):
    """The cookie alone opens nothing."""
    assert stolen(app, anna).get("/").location == "/login"


def test_guessing_in_an_open_browser(anna, app, gallery):
    """Whoever finds an open browser cannot try passwords in it without end; the account's person can, in another one."""
    form = {"current": "wrong", "password": "another good phrase", "repeated": "another good phrase"}
    answers = [anna.post("/account/password", form).status_code for _ in range(PAIR.free + 1)]
    elsewhere = GalleryClient(app).logs_in("anna")

    assert answers == [422] * PAIR.free + [429]
    assert elsewhere.post("/account/password", {**form, "current": PASSWORD}).status_code == 303


def test_password_can_be_changed_while_others_guess(anna, gallery):
    """Guesses at the login page do not keep somebody who is logged in from changing the password."""
    hammered(gallery)
    form = {"current": PASSWORD, "password": "another good phrase", "repeated": "another good phrase"}

    assert anna.post("/account/password", form).status_code == 303


# --- a clock that was wrong


def test_attempts_by_a_clock_that_was_ahead_keep_nobody_out(gallery, now):
    """Attempts that lie further ahead than clocks differ are ignored, and removed."""
    now.forward(365 * 24 * 60 * MINUTE)
    waits(gallery, now, "anna", 12)
    now.forward(-400 * 24 * 60 * MINUTE)

    assert waits(gallery, now, "anna", 6) == [0, 0, 0, 0, 0, 1]
    assert gallery.models.login_attempt.select().count() == 6 * 3


def test_attempts_of_a_host_whose_clock_is_a_little_ahead_count(gallery, now):
    """What another host has noted a minute ahead counts; nobody waits for more than that minute longer."""
    now.forward(MINUTE)
    for _ in range(PAIR.free):
        guess(gallery, "anna")
    now.forward(-MINUTE)

    assert MINUTE < SLACK
    assert 1 <= guess(gallery, "anna") <= 61
    now.forward(61 * SECOND)
    assert guess(gallery, "anna") == 0


def test_no_login_is_left_behind_by_a_refusal(anna, stranger, gallery):
    """An attempt that is refused makes no login, although the password is right."""
    hammered(gallery)

    attempt(stranger, "anna", PASSWORD)

    assert sessions.count(gallery, accounts.find_user(gallery, "anna")) == 1
