"""The package: built as a wheel and used in an environment that knows nothing of this checkout."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    not (ROOT / "static" / "vendor" / "idb.js").is_file(),
    reason="make has not fetched the JavaScript of others",
)


@pytest.fixture(name="wheel", scope="module")
def _wheel(tmp_path_factory):
    """Return the wheel that is built of this checkout."""
    directory = tmp_path_factory.mktemp("wheel")
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", directory, ROOT]
    subprocess.run([sys.executable, "-m", "pip", *build], check=True)
    (wheel,) = directory.glob("pixstore-*.whl")
    return wheel


@pytest.fixture(name="python", scope="module")
def _python(wheel, tmp_path_factory):
    """Return a function that runs a program where the wheel is installed, in an empty directory of its own."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    program = environment / "bin" / "python"
    install = ["--python", program, "install", "--quiet", "--no-deps", wheel]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True)
    # What the package depends on is there already; this checkout is not on that path.
    (site_packages,) = environment.glob("lib/python*/site-packages")
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    empty = tmp_path_factory.mktemp("empty")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def run(code):
        ran = subprocess.run(
            [program, "-c", code], cwd=empty, env=environ, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout.splitlines()[-1])

    return run


def test_every_file_of_the_checkout_is_in_the_wheel(wheel):
    """Templates, style sheets, scripts, migrations and licence texts travel along; tests do not."""
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = tracked.stdout.split()

    wanted = {name for name in files if name.startswith("pixstore/")}
    wanted |= {f"pixstore/_files/{name}" for name in files if name.startswith(("static/", "templates/"))}
    wanted |= {f"pixstore/_files/static/vendor/{name}" for name in ("idb.js", "htmx.min.js")}
    wanted |= {f"pixstore/_files/static/vendor/{name}.LICENSE.txt" for name in ("idb", "htmx")}
    assert {name for name in wanted if name not in names and (ROOT / name).exists()} == set()
    assert not {name for name in names if "test" in name}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_library_works_from_the_wheel(python):
    """A program elsewhere saves an image, reads it again, and finds the browser module to serve."""
    told = python(
        """
import io, json, pixstore
from PIL import Image
from pixstore import Config, ImageStore
from pixstore.package_files import STATIC
buffer = io.BytesIO()
Image.new("RGB", (4, 3)).save(buffer, "PNG")
store = ImageStore.open(Config(data_dir="images"))
record = store.save(buffer.getvalue())
print(json.dumps({
    "file": pixstore.__file__,
    "is_same": store.load(record.id) == buffer.getvalue(),
    "module": (STATIC / "pixstore" / "index.js").read_text()[:2],
    "static": str(STATIC),
}))
"""
    )

    assert told["is_same"]
    assert told["module"] == "/*"
    assert str(ROOT) not in (told["file"], told["static"])
    assert told["static"].startswith(str(Path(told["file"]).parent))


def test_the_gallery_works_from_the_wheel(python):
    """An application elsewhere shows the gallery's pages with their style sheet and scripts."""
    told = python(
        """
import json, re
from pixstore import Config
from pixstore.gallery.app import create_app
app = create_app(Config(data_dir="gallery"))
client = app.test_client()
page = client.get("/login")
links = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
answers = {link.rpartition("/")[2]: client.get(link).status_code for link in links}
print(json.dumps({"page": page.status_code, "links": answers}))
"""
    )

    assert told["page"] == 200
    assert {"app.css", "app.js", "htmx.min.js", "idb.js", "index.js"} <= told["links"].keys()
    assert set(told["links"].values()) == {200}


def test_gunicorn_is_configured_from_the_wheel(python):
    """The server's settings are a module of the package, too."""
    told = python(
        """
import json
from pixstore.gallery import gunicorn_conf
print(json.dumps([gunicorn_conf.bind, gunicorn_conf.worker_class.__name__]))
"""
    )

    assert told == ["127.0.0.1:8000", "Worker"]
