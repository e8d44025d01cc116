"""Static files, and what templates and style sheets may hold."""

import base64
import hashlib
import re
from pathlib import Path

import pytest

from pixstore.gallery.web.rendering import RATIOS, ratio_class
from pixstore.gallery.web.static_files import StaticFiles
from tests.gallery_server import ROOT

TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))


@pytest.fixture
def static(app):
    """Return the static files of the application."""
    return app.extensions["pixstore.static_files"]


def test_file_under_its_hash_is_kept_for_a_year(stranger, static):
    """An address with the right hash never changes its content."""
    answer = stranger.get(f"/static/{static.version}/app/app.css")

    assert answer.status_code == 200
    assert answer.mimetype == "text/css"
    assert set(answer.headers["Cache-Control"].split(", ")) == {"public", "max-age=31536000", "immutable"}


@pytest.mark.parametrize("name", ("app/app.js", "pixstore/index.js", "vendor/htmx.min.js", "vendor/idb.js"))
def test_scripts_are_there(stranger, static, name):
    """Everything a page loads is served as JavaScript, which browsers insist on for modules."""
    answer = stranger.get(f"/static/{static.version}/{name}")

    assert (answer.status_code, answer.mimetype) == (200, "text/javascript")


def test_file_under_another_hash_is_not_kept(stranger):
    """A page from before an update still gets its files, but they are asked for again."""
    answer = stranger.get("/static/0123456789abcdef/app/app.css")

    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    (
        "/static/app/app.css",
        "/static/0/../app.py",
        "/static/0/%2e%2e/app.py",
        "/static/0/..%2fapp.py",
        "/static/0//etc/passwd",
        "/static/0/app",
        "/static/0/",
        "/static/app.css",
    ),
)
def test_nothing_else_is_served(stranger, path):
    """Neither without a hash nor outside of the directory is there a file."""
    assert stranger.get(path).status_code in {404, 308}
    assert stranger.flask.get(path, follow_redirects=True).status_code == 404


def test_hash_follows_the_content(tmp_path):
    """Another byte or another name in any file changes the prefix of all."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.js").write_text("1")
    versions = [StaticFiles(tmp_path).version]
    (tmp_path / "a" / "x.js").write_text("2")
    versions.append(StaticFiles(tmp_path).version)
    (tmp_path / "a" / "x.js").rename(tmp_path / "a" / "y.js")
    versions.append(StaticFiles(tmp_path).version)

    assert len(set(versions)) == 3


def test_modules_find_each_other_under_the_prefix(stranger, static):
    """Every relative import of every module leads to a file under the same prefix."""
    for script in static.directory.glob("*/*.js"):
        for target in re.findall(r"""(?:from|import) ['"](\.[^'"]+)['"]""", script.read_text()):
            found = (script.parent / target).resolve()
            assert (
                stranger.get(f"/static/{static.version}/{found.relative_to(static.directory)}").status_code
                == 200
            )


@pytest.mark.parametrize(
    "template", TEMPLATES, ids=lambda path: path.name if path.parent.name == "templates" else f"_{path.name}"
)
def test_templates_keep_to_the_policy(template):
    """No inline script, style or handler, and nothing of another site, stands in any template."""
    source = template.read_text()

    assert not re.search(r"\bstyle=|<style|\son\w+=|javascript:|https?://", source)
    assert not re.search(r"<script(?![^>]* src=)", source)
    assert not re.search(r"hx-(on|vars|vals)\b|js:", source)


@pytest.mark.parametrize(
    "template", TEMPLATES, ids=lambda path: path.name if path.parent.name == "templates" else f"_{path.name}"
)
def test_every_changing_form_carries_the_token(template):
    """Each form that posts has its token, and an address for browsers without the script."""
    for form in re.findall(r"<form.*?</form>", template.read_text(), re.DOTALL):
        assert 'method="post"' in form
        assert 'name="csrf_token"' in form
        assert " action=" in form


def test_style_sheet_knows_every_ratio():
    """For each ratio that a page may name there is a class."""
    sheet = (ROOT / "static" / "app" / "app.css").read_text()

    assert re.findall(r"^\.r(\d+) \{ --ratio: ([\d.]+); \}$", sheet, re.MULTILINE) == [
        (str(ratio), f"{ratio / 100:g}") for ratio in RATIOS
    ]


@pytest.mark.parametrize(
    ("size", "expected"),
    (
        ((3000, 2000), "r150"),
        ((2000, 3000), "r67"),
        ((1, 50_000), "r50"),
        ((50_000, 1), "r300"),
        ((100, 100), "r100"),
    ),
    ids=str,
)
def test_ratio_is_the_nearest(size, expected):
    """A picture gets the class that comes nearest to its shape."""
    assert ratio_class(*size) == expected


def test_nothing_is_loaded_from_elsewhere(anna):
    """A page names no address of another site."""
    assert not re.search(r'(?:src|href|action)="(?:https?:)?//', anna.get("/").text)


def test_icons_are_drawn_for_every_name(app):
    """Each icon a template asks for exists."""
    drawn = set(
        re.findall(r'^  "(\w+)":', Path(ROOT, "templates/_partials/icons.html").read_text(), re.MULTILINE)
    )
    wanted = {name for path in TEMPLATES for name in re.findall(r"icon\([\"'](\w+)[\"']\)", path.read_text())}

    assert wanted <= drawn
    assert drawn <= wanted | {"pictures", "albums", "upload", "account", "newer", "older"}


def test_pages_say_what_their_scripts_are(anna):
    """A page states the digest of each script it loads, and the file that is sent has it."""
    scripts = re.findall(r'<script src="([^"]+)" integrity="sha384-([^"]+)"', anna.get("/").text)

    assert len(scripts) == anna.get("/").text.count("<script") == 2
    for url, digest in scripts:
        assert hashlib.sha384(anna.get(url).data).digest() == base64.b64decode(digest)


def test_a_missing_script_leaves_the_page(tmp_path):
    """Where scripts are not installed, pages state nothing of them and work as they do without JavaScript."""
    assert StaticFiles(tmp_path).integrity("vendor/htmx.min.js") == ""
