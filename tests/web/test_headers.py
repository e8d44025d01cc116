"""What every response says to browsers and proxies."""

import re

import pytest
from flask import request

from app import create_app
from pixstore.config import Config
from pixstore.gallery import accounts
from tests.gallery_client import PASSWORD, GalleryClient

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
    "object-src": "'none'",
}


@pytest.fixture
def answers(anna, stranger):
    """Return one response of every kind, by name."""
    return {
        "page": anna.get("/"),
        "fragment": anna.get("/", htmx=True),
        "login": stranger.get("/login"),
        "redirect": stranger.get("/"),
        "json": anna.get("/pictures/records"),
        "json refused": stranger.get("/pictures/records"),
        "not found": stranger.get("/nothing"),
        "not allowed": stranger.flask.put("/login"),
        "forged": anna.flask.post("/albums"),
        "static": stranger.get(stylesheet(stranger)),
        "no static": stranger.get("/static/0/nothing.css"),
        "health": stranger.get("/healthz"),
    }


def stylesheet(visitor):
    """Return the address of the style sheet that pages name."""
    return re.search(r'href="([^"]+app\.css)"', visitor.get("/login").text)[1]


def test_security_headers_on_everything(answers):
    """Page, fragment, error, redirect and file: all carry the same headers."""
    for name, answer in answers.items():
        headers = answer.headers
        policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
        assert policy == POLICY, name
        assert headers["Referrer-Policy"] == "same-origin", name
        assert headers["X-Content-Type-Options"] == "nosniff", name
        assert headers["X-Frame-Options"] == "DENY", name
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin", name
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin", name
        assert "geolocation=()" in headers["Permissions-Policy"], name
        assert "Strict-Transport-Security" not in headers, name


def test_nothing_but_static_files_is_stored(answers):
    """No page and no answer may be kept by a browser or a proxy; static files may."""
    for name, answer in answers.items():
        assert (answer.headers["Cache-Control"] == "no-store") == (name != "static"), name


def test_pages_vary_by_who_asks(answers):
    """A page and a fragment of one address are told apart."""
    for name in ("page", "fragment", "login", "not found"):
        assert "HX-Request" in answers[name].vary, name


def test_static_files_leave_the_session_alone(answers):
    """A static file is the same for everybody and sets no cookie."""
    assert "Set-Cookie" not in answers["static"].headers
    assert "Vary" not in answers["static"].headers


def test_https_is_insisted_on_where_there_is_https(config):
    """With secure cookies the cookie is bound to this host over HTTPS, and browsers are told to stay with it."""
    app = create_app(Config(data_dir=config.data_dir, cookie_secure=True))

    answer = app.test_client().get("/login", base_url="https://localhost")

    assert answer.headers["Set-Cookie"].startswith("__Host-pixstore=")
    assert "Secure" in answer.headers["Set-Cookie"]
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
    app.extensions["pixstore"].close()


def test_only_trusted_hosts_are_answered(config):
    """Where host names are named, a request for another one gets 400, and the name is not repeated."""
    app = create_app(Config(data_dir=config.data_dir, trusted_hosts=("photos.example",)))
    client = app.test_client()

    good, bad = (
        client.get("/login", base_url=f"http://{host}") for host in ("photos.example", "evil.example")
    )

    assert good.status_code == 200
    assert bad.status_code == 400
    assert "evil" not in bad.text
    assert bad.headers["X-Frame-Options"] == "DENY"
    app.extensions["pixstore"].close()


@pytest.mark.parametrize(
    ("hops", "expected"), ((0, "http://localhost/"), (1, "https://photos.example/")), ids=str
)
def test_proxies_are_believed_by_number(config, hops, expected):
    """Forwarded headers count only where a proxy is announced."""
    app = create_app(Config(data_dir=config.data_dir, proxy_hops=hops))
    seen = []
    app.before_request(lambda: seen.append(request.host_url))

    app.test_client().get(
        "/login",
        headers={"X-Forwarded-Proto": "https", "X-Forwarded-Host": "photos.example", "X-Forwarded-For": "x"},
    )

    assert seen == [expected]
    app.extensions["pixstore"].close()


def test_cross_origin_form_is_refused_over_https(config):
    """Over HTTPS a form must come from a page of this host, token or not."""
    app = create_app(Config(data_dir=config.data_dir, cookie_secure=True))
    store = app.extensions["pixstore"]
    with store.connected():
        accounts.create_user(app.extensions["pixstore.gallery"], "anna", PASSWORD)
    visitor = GalleryClient(app, base_url="https://localhost")
    token = visitor.opens_form("/login")
    form = {"csrf_token": token, "name": "anna", "password": PASSWORD}

    def login(referrer):
        headers = {"Referer": referrer}
        return visitor.flask.post("/login", data=form, base_url="https://localhost", headers=headers)

    assert login("https://evil.example/").status_code == 400
    assert login("https://localhost/login").status_code == 303
    store.close()
