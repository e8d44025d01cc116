"""The set-up link of the first start."""

import re
import subprocess
import sys

import pytest

from app import create_app
from pixstore.gallery import accounts, setup_link
from tests.gallery_client import PASSWORD, GalleryClient
from tests.gallery_server import ROOT

ACCOUNT = {"name": "olga", "password": PASSWORD, "repeated": PASSWORD}


@pytest.fixture
def link(config, capsys):
    """Start the application for the first time; return its client and the path of the link it printed."""
    app = create_app(config)
    printed = re.findall(
        r"^Set up: http://127\.0\.0\.1:8000(/setup/\S+)$", capsys.readouterr().out, re.MULTILINE
    )
    assert len(printed) == 1
    yield GalleryClient(app), printed[0]
    app.extensions["pixstore"].close()


def test_link_makes_the_owner_once(link):
    """The link makes the owner's account, logs in, and is void then."""
    visitor, path = link
    assert "Welcome" in visitor.get(path).text

    answer = visitor.post(path, ACCOUNT)

    assert answer.location == "/"
    assert visitor.get("/users").status_code == 200
    assert visitor.get(path).status_code == 404
    assert visitor.post(path, {**ACCOUNT, "name": "second"}).status_code == 404


@pytest.mark.parametrize(
    ("change", "words"),
    (
        ({"repeated": "something else"}, "not the same"),
        ({"password": "short", "repeated": "short"}, "at least 10 characters"),
        ({"name": ""}, "enter a name"),
        ({"name": "a b"}, "letters and digits"),
        (
            {"name": "correcthorse", "password": "correcthorse", "repeated": "correcthorse"},
            "must not be the name",
        ),
    ),
    ids=("mistyped", "short", "nameless", "blank", "same"),
)
def test_bad_account_is_refused_with_the_reason(link, change, words):
    """A form that is not acceptable says why and leaves the link valid."""
    visitor, path = link

    answer = visitor.post(path, {**ACCOUNT, **change})

    assert answer.status_code == 422
    assert words in answer.text
    assert visitor.get(path).status_code == 200


def test_wrong_token_is_404(link):
    """A guessed link is like one that does not exist."""
    visitor, path = link

    assert visitor.get(path + "x").status_code == 404
    assert visitor.get("/setup/").status_code == 404


def test_token_is_stored_hashed(link):
    """The database does not hold what the link opens with."""
    visitor, path = link
    gallery = visitor.app.extensions["pixstore.gallery"]
    with gallery.store.connected():
        (row,) = gallery.models.setup_link.select()

    assert path.rpartition("/")[2] not in row.token_hash


def test_later_start_shows_a_new_link(link, config, capsys):
    """While there is no owner each start shows a link, and the one before is void."""
    visitor, old = link

    create_app(config).extensions["pixstore"].close()

    (new,) = re.findall(r"/setup/\S+", capsys.readouterr().out)
    assert visitor.get(old).status_code == 404
    assert visitor.get(new).status_code == 200


def test_no_link_where_there_is_an_owner(gallery, config, capsys):
    """An installation that has an owner shows no link."""
    accounts.create_user(gallery, "olga", PASSWORD, is_owner=True)
    capsys.readouterr()

    create_app(config).extensions["pixstore"].close()

    assert "Set up" not in capsys.readouterr().out


def test_one_link_for_all_workers(config):
    """Of several processes that start together, one shows the link; when it is gone, the next start shows one."""
    start = "import sys, app; app.create_app(); sys.stdin.read()"
    environment = {"PIXSTORE_DATA_DIR": str(config.data_dir), "PORT": "1234"}

    def worker():
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        return subprocess.Popen([sys.executable, "-c", start], cwd=ROOT, env=environment, text=True, **pipes)

    workers = [worker()]
    first = workers[0].stdout.readline()
    workers += [worker(), worker()]
    later = [process.communicate("")[0] for process in reversed(workers)]
    again = worker().communicate("")[0]

    assert re.fullmatch(r"Set up: http://127\.0\.0\.1:1234/setup/\S{43}\n", first)
    assert later == ["", "", ""]
    assert again.startswith("Set up: ")


def test_account_without_password_becomes_the_owners(app, gallery, stranger):
    """After a rebuild the link gives an account that came back without its password to its owner."""
    came_back = accounts.add_user(gallery, "olga")
    token = setup_link.issue(gallery)

    stranger.post(f"/setup/{token}", ACCOUNT)

    owner = accounts.find_user(gallery, "olga")
    assert owner.id == came_back.id
    assert owner.is_owner
    GalleryClient(app).logs_in("olga")


def test_taken_name_is_refused(app, gallery, stranger):
    """An account with a password cannot be taken over by the link."""
    accounts.create_user(gallery, "anna", PASSWORD)
    token = setup_link.issue(gallery)

    answer = stranger.post(f"/setup/{token}", {**ACCOUNT, "name": "anna"})

    assert "already an account called anna" in answer.text
    assert not accounts.find_user(gallery, "anna").is_owner
