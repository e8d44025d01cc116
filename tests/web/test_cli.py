"""The commands for accounts."""

import pytest

from pixstore.gallery import accounts
from tests.web.visitor import PASSWORD, Visitor


@pytest.fixture
def run(app):
    """Return a function that runs a command, with what is typed, and returns its result."""
    runner = app.test_cli_runner()
    return lambda *words, typed="": runner.invoke(args=["pixstore", *words], input=typed)


def test_create_user(run, app, gallery):
    """An account is made with the password of the first line of standard input."""
    result = run("create-user", "Anna", "--password-stdin", typed=f"{PASSWORD}\nmore\n")

    assert (result.exit_code, result.stdout) == (0, "account anna made\n")
    assert Visitor(app).logs_in("anna").get("/users").status_code == 403


def test_create_owner(run, app, gallery):
    """With --owner the account manages the others, and the set-up link is void."""
    run("create-user", "olga", "--owner", "--password-stdin", typed=PASSWORD)

    assert Visitor(app).logs_in("olga").get("/users").status_code == 200
    assert gallery.models.setup_link.select().count() == 1
    assert Visitor(app).get("/setup/whatever").status_code == 404


def test_password_by_prompt(run, app):
    """Without the option the password is asked for twice, and not shown."""
    result = run("create-user", "anna", typed=f"{PASSWORD}\n{PASSWORD}\n")

    assert result.exit_code == 0
    assert PASSWORD not in result.output
    Visitor(app).logs_in("anna")


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
    """What is refused is said on standard error, with exit code 1 and nothing on standard output."""
    accounts.create_user(gallery, "olga", PASSWORD)

    result = run(*words, "--password-stdin", typed=typed)

    assert (result.exit_code, result.stdout, result.stderr) == (1, "", complaint)


def test_reset_password(run, anna, app, gallery):
    """The new password logs in, earlier logins have ended, and a disabled account is let in again."""
    user = accounts.find_user(gallery, "anna")
    account = gallery.models.user
    account.update(disabled_at=1).where(account.id == user.id).execute()

    result = run("reset-password", "ANNA", "--password-stdin", typed="another good phrase\n")

    assert (result.exit_code, result.stdout) == (0, "account anna has a new password\n")
    assert anna.get("/").status_code == 303
    Visitor(app).logs_in("anna", "another good phrase")
