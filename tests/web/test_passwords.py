"""How passwords are kept, and how they are changed: on the own page, by an owner of the installation, by a command."""

import pytest

from pixstore.gallery import accounts, passwords
from tests.gallery_client import PASSWORD, GalleryClient
from tests.web.logins import NEW_PASSWORD, change_password


def test_passwords_are_argon2id_by_owasp(gallery):
    """A stored password is Argon2id with 19 MiB, 2 passes and 1 lane, under its own salt."""
    hashes = [accounts.create_user(gallery, name, PASSWORD).password_hash for name in ("one", "two")]

    assert all(text.startswith("$argon2id$v=19$m=19456,t=2,p=1$") for text in hashes)
    assert hashes[0] != hashes[1]


def test_old_parameters_are_renewed_at_login(anna, app, gallery, monkeypatch):
    """A hash with old parameters still logs in, and the login replaces it."""
    weak = passwords.Argon2id(salt=b"0" * 16, length=32, iterations=1, lanes=1, memory_cost=64)
    gallery.models.user.update(password_hash=weak.derive_phc_encoded(PASSWORD.encode())).execute()

    GalleryClient(app).logs_in("anna")

    assert not passwords.needs_rehash(accounts.find_user(gallery, "anna").password_hash)
    GalleryClient(app).logs_in("anna")


def test_unknown_name_costs_the_same_work(gallery, monkeypatch):
    """For a name that does not exist a password is verified as well, with the same parameters."""
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


# --- changing a password


def test_change_password(anna, app):
    """The new password logs in, the old one does not."""
    assert change_password(anna).location == "/account"

    GalleryClient(app).logs_in("anna", NEW_PASSWORD)
    old = GalleryClient(app).post("/login", {"name": "anna", "password": PASSWORD})
    assert old.status_code == 422


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
    answer = change_password(anna, **fields)

    assert answer.status_code == 422
    assert words in answer.text
    GalleryClient(app).logs_in("anna")


def test_owner_resets_a_password(olga, anna, app, gallery):
    """After a reset the new password logs in, and earlier logins have ended."""
    user = accounts.find_user(gallery, "anna")

    answer = olga.post(f"/users/{user.id}/password", {"password": NEW_PASSWORD, "repeated": NEW_PASSWORD})

    assert "anna has a new password" in answer.text
    assert anna.get("/").status_code == 303
    GalleryClient(app).logs_in("anna", NEW_PASSWORD)


def test_bad_reset_is_refused_with_the_reason(olga, anna, gallery):
    """A reset to a password that is too short changes nothing."""
    user = accounts.find_user(gallery, "anna")

    answer = olga.post(f"/users/{user.id}/password", {"password": "short", "repeated": "short"})

    assert answer.status_code == 422
    assert anna.get("/").status_code == 200


# --- by a command


def test_password_by_prompt(run, app):
    """Without --password-stdin the command asks for the password twice, and does not show it."""
    result = run("create-user", "anna", typed=f"{PASSWORD}\n{PASSWORD}\n")

    assert result.exit_code == 0
    assert PASSWORD not in result.output
    GalleryClient(app).logs_in("anna")


def test_reset_password(run, anna, app, gallery):
    """After the command the new password logs in, earlier logins have ended, and a disabled account is let in again."""
    user = accounts.find_user(gallery, "anna")
    account = gallery.models.user
    account.update(disabled_at=1).where(account.id == user.id).execute()

    result = run("reset-password", "ANNA", "--password-stdin", typed="another good phrase\n")

    assert (result.exit_code, result.stdout) == (0, "account anna has a new password\n")
    assert anna.get("/").status_code == 303
    GalleryClient(app).logs_in("anna", "another good phrase")
