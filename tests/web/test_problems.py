"""What people read when something goes wrong."""

import peewee
import pytest
from werkzeug.exceptions import HTTPException

from pixstore import errors
from pixstore.gallery.errors import GalleryError
from pixstore.gallery.web import problems
from pixstore.gallery.web.problems import PROBLEMS, status_of


def everything_below(kind):
    """Yield *kind* and all classes derived from it."""
    yield kind
    for child in kind.__subclasses__():
        yield from everything_below(child)


@pytest.fixture
def broken(app, anna):
    """Return a function that makes a page raise an error."""
    app.config["PROPAGATE_EXCEPTIONS"] = False

    def breaks_with(error):
        def view():
            raise error

        app.view_functions["albums.index"] = view

    return breaks_with


@pytest.mark.parametrize(
    ("error", "status", "words"),
    (
        (errors.DatabaseUnavailable("locked"), 503, "not available"),
        (peewee.OperationalError("database is locked"), 503, "not available"),
        (peewee.OperationalError("database or disk is full"), 507, "no space left"),
        (peewee.IntegrityError("odd"), 500, "went wrong"),
        (errors.StorageFull("quota of 1 GB"), 507, "no space left"),
        (errors.StorageError("broken"), 500, "went wrong"),
        (errors.BlobNotFound("secretname"), 500, "went wrong"),
        (errors.DecryptionFailed(), 500, "went wrong"),
        (errors.ImageNotFound("a:b"), 404, "no such page"),
        (RuntimeError("internals"), 500, "went wrong"),
        (MemoryError(), 500, "went wrong"),
    ),
    ids=lambda value: repr(value)[:40] if isinstance(value, Exception) else "",
)
def test_errors_have_words_and_a_status(anna, broken, error, status, words):
    """Each error is a page with words for people, without what it says inside."""
    broken(error)

    answer = anna.get("/albums")

    assert answer.status_code == status
    assert words in answer.text
    assert "<html" in answer.text
    assert str(error) == "" or str(error) not in answer.text


def test_error_as_fragment_goes_beside_the_page(anna, broken):
    """To htmx an error is a short notice, put where notices stand."""
    broken(RuntimeError("internals"))

    answer = anna.get("/albums", htmx=True)

    assert answer.status_code == 500
    assert (answer.headers["HX-Retarget"], answer.headers["HX-Reswap"]) == ("#problem", "innerHTML")
    assert "<html" not in answer.text
    assert "Something went wrong" in answer.text


def test_wait_and_come_back(anna, broken):
    """Where waiting helps, the answer says how long."""
    broken(errors.DatabaseUnavailable("locked"))

    assert anna.get("/albums").headers["Retry-After"] == "5"


def test_database_that_cannot_be_reached_is_503_everywhere(anna, app, monkeypatch):
    """Also where the gate itself needs the database the answer is a page with words."""
    store = app.extensions["pixstore"]

    def fail():
        raise errors.DatabaseUnavailable("gone")

    monkeypatch.setattr(store, "connected", fail)

    for path in ("/", "/login", "/healthz", "/nothing"):
        assert anna.get(path).status_code == 503


def test_method_that_is_not_allowed(stranger):
    """A wrong method is 405 and names the right ones."""
    answer = stranger.flask.delete("/login")

    assert answer.status_code == 405
    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))


def test_every_status_has_words():
    """Each status an error of ours can have, and each usual one, has words of its own."""
    ours = {status_of(kind("x")) for kind in problems.STATUS if kind.__init__ is Exception.__init__}

    assert ours | {400, 403, 404, 405, 413, 422, 429, 500, 503, 507} <= set(PROBLEMS)


def test_every_error_of_the_gallery_has_a_status():
    """No error that the gallery raises on purpose is answered as an accident."""
    for kind in everything_below(GalleryError):
        if kind is not GalleryError:
            assert any(base in problems.STATUS for base in kind.__mro__), kind


def test_odd_http_errors_keep_their_status(app, anna):
    """An HTTP error without words of its own uses those of its class."""

    class Teapot(HTTPException):
        code = 418
        description = "short and stout"

    def view():
        raise Teapot

    app.view_functions["albums.index"] = view

    answer = anna.get("/albums")

    assert answer.status_code == 418
    assert PROBLEMS[400].title in answer.text


@pytest.mark.parametrize(
    "body",
    (
        b"",
        b"--x",
        b"--x\r\n\r\n",
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\nabc',
        b"--x--\r\n",
        bytes(range(256)) * 10,
    ),
    ids=("nothing", "boundary", "no headers", "breaks off", "no part", "noise"),
)
@pytest.mark.parametrize(
    "content_type", ("multipart/form-data; boundary=x", "multipart/form-data", "text/x", "")
)
def test_odd_bodies_are_refused(anna, body, content_type):
    """A body that is no form is refused, whatever it is."""
    answer = anna.flask.post("/upload", data=body, content_type=content_type)

    assert answer.status_code == 400


def test_body_that_cannot_be_read_is_400(anna):
    """When reading the body fails, with whatever error the server has for it, the sender is told."""

    class Broken:
        """A body that breaks off."""

        def read(self, *args):
            raise OSError("chunk of an impossible size")

    answer = anna.flask.post(
        "/upload",
        environ_overrides={"wsgi.input": Broken(), "wsgi.input_terminated": True, "CONTENT_LENGTH": "100"},
        content_type="multipart/form-data; boundary=x",
    )

    assert answer.status_code == 400


def test_health_check_tells_the_state(stranger):
    """Whoever watches over the server gets a short answer."""
    assert stranger.get("/healthz").text == "ok\n"
