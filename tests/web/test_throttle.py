"""Limits on wrong passwords: by account, and by address."""

import re

import pytest

from pixstore.gallery import throttle
from tests.gallery_client import PASSWORD, GalleryClient
from tests.web.logins import attempt, change_password


def test_ten_wrong_passwords_close_the_account_for_a_while(anna, stranger, now):
    """After ten wrong passwords even the right one is refused, until the window has passed."""
    for _ in range(throttle.MAX_PER_NAME):
        assert attempt(stranger, "anna", "wrong").status_code == 422

    refused = attempt(stranger, "ANNA", PASSWORD)

    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "900"
    assert "Please wait 15 minutes" in refused.text
    now.forward(throttle.WINDOW)
    stranger.logs_in("anna")


def test_guessing_at_many_accounts_from_one_address_stops(stranger):
    """An address has a limit of its own, whatever names it tries."""
    answers = [attempt(stranger, f"name{number}", "wrong") for number in range(throttle.MAX_PER_ADDRESS + 1)]

    assert {answer.status_code for answer in answers[:-1]} == {422}
    assert answers[-1].status_code == 429


def test_address_for_the_login_limit_cannot_be_chosen(app, gallery):
    """Without a proxy, a forwarded address does not get fresh attempts."""
    visitor = GalleryClient(app)
    answers = [
        visitor.flask.post(
            "/login",
            data={"csrf_token": visitor.token(), "name": f"n{number}", "password": "x"},
            headers={"X-Forwarded-For": f"10.0.0.{number}"},
        ).status_code
        for number in range(throttle.MAX_PER_ADDRESS + 1)
    ]

    assert answers[-1] == 429


def test_one_customer_of_ipv6_is_one_address(gallery):
    """All addresses of one IPv6 network of 64 bits count as one."""
    for number in range(throttle.MAX_PER_ADDRESS):
        throttle.begin(gallery, f"name{number}", f"2001:db8::{number:x}")

    with pytest.raises(throttle.TooManyAttempts):
        throttle.begin(gallery, "another", "2001:db8::ffff")
    throttle.begin(gallery, "another", "2001:db8:0:1::1")


def test_guessing_the_current_password_stops(anna):
    """The form that changes a password has the same limit on wrong ones."""
    for _ in range(throttle.MAX_PER_NAME):
        change_password(anna, current="wrong")

    assert change_password(anna).status_code == 429


def test_right_password_forgives(anna, stranger, app):
    """After the right password, earlier wrong ones do not count."""
    for _ in range(throttle.MAX_PER_NAME - 1):
        attempt(stranger, "anna", "wrong")
    GalleryClient(app).logs_in("anna")

    assert attempt(stranger, "anna", "wrong").status_code == 422


def test_attempts_are_shared_and_unreadable(stranger, app, gallery):
    """Attempts are counted in the database under keyed hashes, so a password typed as a name is not kept."""
    attempt(stranger, "my secret passphrase", "x")

    assert gallery.models.login_attempt.select().count() == 2
    assert all(re.fullmatch("[0-9a-f]{64}", row.subject) for row in gallery.models.login_attempt.select())
