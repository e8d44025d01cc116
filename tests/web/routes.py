"""Every route of the application, and what each kind of visitor gets of it."""

from typing import NamedTuple

from pixstore.gallery import accounts, albums, pictures
from tests.images import jpeg

LOGIN = "to the login page"


class Row(NamedTuple):
    """A route, and what nobody, another user, the owner of the picture and the owner of the installation get."""

    endpoint: str
    method: str
    nobody: object
    other: object
    mine: object
    installer: object


TABLE = (
    Row("account.show", "GET", LOGIN, 200, 200, 200),
    Row("account.change_password", "POST", LOGIN, 422, 422, 422),
    Row("account.end_other_sessions", "POST", LOGIN, 303, 303, 303),
    Row("account.export", "POST", LOGIN, 200, 200, 200),
    Row("albums.index", "GET", LOGIN, 200, 200, 200),
    Row("albums.create", "POST", LOGIN, 422, 422, 422),
    Row("albums.show", "GET", LOGIN, 404, 200, 404),
    Row("albums.rename", "POST", LOGIN, 404, 422, 404),
    Row("albums.ask_delete", "GET", LOGIN, 404, 200, 404),
    Row("albums.delete", "POST", LOGIN, 404, 303, 404),
    Row("deletion.ask", "GET", LOGIN, 200, 200, 200),
    Row("deletion.delete", "POST", LOGIN, 422, 422, 422),
    Row("deletion.ask_about", "GET", LOGIN, 403, 403, 200),
    Row("deletion.delete_other", "POST", LOGIN, 403, 403, 422),
    Row("health.check", "GET", 200, 200, 200, 200),
    Row("login.show", "GET", 200, 303, 303, 303),
    Row("login.enter", "POST", 422, 422, 422, 422),
    Row("login.leave", "POST", 303, 303, 303, 303),
    Row("setup.show", "GET", 404, 404, 404, 404),
    Row("setup.create_owner", "POST", 404, 404, 404, 404),
    Row("pictures.index", "GET", LOGIN, 200, 200, 200),
    Row("pictures.records", "GET", 401, 200, 200, 200),
    Row("pictures.show", "GET", LOGIN, 404, 200, 404),
    Row("pictures.rename", "POST", LOGIN, 404, 422, 404),
    Row("pictures.move", "POST", LOGIN, 404, 303, 404),
    Row("pictures.replace", "POST", LOGIN, 404, 422, 404),
    Row("pictures.ask_delete", "GET", LOGIN, 404, 200, 404),
    Row("pictures.delete", "POST", LOGIN, 404, 303, 404),
    Row("static_files.send", "GET", 404, 404, 404, 404),
    Row("upload.show", "GET", LOGIN, 200, 200, 200),
    Row("upload.send", "POST", LOGIN, 422, 422, 422),
    Row("users.index", "GET", LOGIN, 403, 403, 200),
    Row("users.create", "POST", LOGIN, 403, 403, 422),
    Row("users.reset_password", "POST", LOGIN, 403, 403, 422),
    Row("users.disable", "POST", LOGIN, 403, 403, 200),
    Row("users.enable", "POST", LOGIN, 403, 403, 200),
)
ROLES = ("nobody", "other", "mine", "installer")


def address(app, endpoint, arguments):
    """Return the path of *endpoint*, with those *arguments* that it takes."""
    needed = {name for rule in app.url_map.iter_rules(endpoint) for name in rule.arguments}
    return app.url_map.bind("localhost").build(endpoint, {name: arguments[name] for name in needed})


def new_arguments(gallery):
    """Return a new picture and album of the user "mine", as the arguments of routes."""
    user = accounts.find_user(gallery, "mine")
    album = albums.find_or_create_album(gallery, user, "Secret", field="title")
    picture = pictures.add_picture(gallery, user, album, jpeg(), file_name="secret.jpg")
    return {
        "picture_id": picture.id,
        "album_dir": album.dir,
        "user_id": accounts.find_user(gallery, "bystander").id,
        "token": "guess",
        "version": "0",
        "name": "nothing.css",
    }
