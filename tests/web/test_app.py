"""The composition root."""

import subprocess
import sys

import pytest

from app import create_app
from pixstore.config import Config
from pixstore.gallery import accounts
from tests.gallery_client import PASSWORD, GalleryClient
from tests.gallery_client.pages import titles_of_images
from tests.gallery_server import ROOT
from tests.images import jpeg


def run(code, **environment):
    """Run *code* in a Python of its own in the folder of the application."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, text=True, capture_output=True, check=True
    ).stdout


def test_importing_opens_nothing(tmp_path):
    """The store is opened when the application is asked for, not when the module is imported."""
    data = tmp_path / "data"

    run("import app", PIXSTORE_DATA_DIR=str(data))

    assert not data.exists()


def test_app_attribute_is_made_once(tmp_path):
    """`gunicorn app:app` finds the application, and finds the same one again."""
    out = run("import app; print(app.app is app.app, app.app.name)", PIXSTORE_DATA_DIR=str(tmp_path / "data"))

    assert out.splitlines()[-1] == "True app"


def test_other_attributes_do_not_exist():
    """A misspelt name is an error as in any module."""
    import app

    with pytest.raises(AttributeError, match="no attribute 'application'"):
        app.application  # noqa: B018


def test_commands_print_no_link(tmp_path):
    """A command also makes the application, but is no start of a server: the link that was shown stays valid."""
    code = (
        "import sys; from flask.cli import main; "
        "sys.argv = ['flask', 'pixstore', 'create-user', 'anna', '--password-stdin']; main()"
    )

    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PIXSTORE_DATA_DIR": str(tmp_path / "data")},
        input="correct horse battery\n",
        text=True,
        capture_output=True,
        check=True,
    )

    assert result.stdout == "account anna made\n"


@pytest.mark.parametrize(
    ("environment", "expected"),
    (
        ({}, "http://127.0.0.1:8000/"),
        ({"HOST": "0.0.0.0", "PORT": "81"}, "http://0.0.0.0:81/"),
        ({"HOST": "::1"}, "http://[::1]:8000/"),
        ({"SCRIPT_NAME": "/photos"}, "http://127.0.0.1:8000/photos/"),
        ({"HOST": "", "PORT": ""}, "http://127.0.0.1:8000/"),
    ),
    ids=str,
)
def test_link_names_where_the_server_listens(tmp_path, environment, expected):
    """The link follows HOST, PORT and SCRIPT_NAME, as the server does."""
    out = run("import app; app.create_app()", PIXSTORE_DATA_DIR=str(tmp_path / "data"), **environment)

    assert out.startswith(f"Set up: {expected}setup/")


def test_image_endpoint_is_served_without_a_session(app, gallery, stranger):
    """The proof is the permission: an image is fetched with it alone."""
    record = gallery.store.save(jpeg())

    answer = stranger.flask.get(
        f"/pixstore-image/{record.id}", headers={"x-pixstore-proof": record.stateless_proof}
    )

    assert (answer.status_code, answer.data[0]) == (200, 1)


def test_image_endpoint_can_be_switched_off(config):
    """Where a program serves the images itself, the route is not there."""
    app = create_app(Config(data_dir=config.data_dir, default_endpoint_enabled=False))

    assert app.test_client().get("/pixstore-image/x").status_code == 404
    app.extensions["pixstore"].close()


def test_two_galleries_in_one_process(tmp_path):
    """Two applications over two stores know nothing of each other, used in turn: accounts, logins, pictures, keys."""
    apps = [create_app(Config(data_dir=tmp_path / name)) for name in ("one", "two")]
    galleries = [app.extensions["pixstore.gallery"] for app in apps]
    for gallery, name in zip(galleries, ("anna", "ben"), strict=True):
        with gallery.store.connected():
            accounts.create_user(gallery, name, PASSWORD)
    anna, ben = GalleryClient(apps[0]).logs_in("anna"), GalleryClient(apps[1]).logs_in("ben")

    anna.uploads(("Sea.jpg", jpeg(seed=1)))
    ben.uploads(("Wood.jpg", jpeg(seed=2)))
    anna.uploads(("Hill.jpg", jpeg(seed=3)))

    assert [user.name for gallery in galleries for user in accounts.list_users(gallery)] == ["anna", "ben"]
    for app, name in zip(apps, ("ben", "anna"), strict=True):
        assert GalleryClient(app).post("/login", {"name": name, "password": PASSWORD}).status_code == 422
    titles = [titles_of_images(visitor.get("/").text) for visitor in (anna, ben, anna)]
    assert titles == [["Hill", "Sea"], ["Wood"], ["Hill", "Sea"]]
    (wood,) = galleries[1].models.picture.select()
    assert anna.get(f"/pictures/{wood.id}").status_code == 404
    assert [gallery.models.picture.select().count() for gallery in galleries] == [2, 1]
    assert [gallery.store.exists(wood.original_id) for gallery in galleries] == [False, True]
    intruder = GalleryClient(apps[0]).takes_over(ben.cookie)
    assert intruder.get("/").location == "/login"
    for gallery in galleries:
        gallery.store.close()
