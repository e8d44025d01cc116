"""The frontend of npm's `pixstore` 3.2.1, unchanged, shows images from this backend."""

import hashlib
import json
import threading
from pathlib import Path

import pytest
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from pixstore.config import Config
from pixstore.endpoint import ImageEndpoint
from pixstore.store import ImageStore
from tests import images

pytestmark = pytest.mark.browser

PACKAGE = Path(__file__).parents[3] / "node_modules" / "pixstore"

# The package reads process.env, which bundlers replace; nothing else of it is touched.
PAGE = """<!doctype html><title>npm</title>
<script>globalThis.process = { env: { NODE_ENV: 'production' } }</script>
<script type="module">
  import * as frontend from '/package/frontend/index.js'
  window.frontend = frontend
</script>"""

OPTIONS = {
    "imageFormats": ["png", "webp", "jpg", "jpeg"],
    "frontendDbName": "dropin",
    "frontendDbVersion": 1,
    "imageStoreName": "images",
    "frontendImageCacheLimit": 1000,
    "frontendCleanupBatch": 50,
    "defaultEndpointRoute": "/pixstore-image",
    "errorHandlingMode": "throw",
}

GET_IMAGE = """async (record) => {
  try {
    const blob = await frontend.getImage(record)
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()))
    return { type: blob.type, hash: Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('') }
  } catch (error) {
    return { error: error.message }
  }
}"""


@pytest.fixture
def backend(tmp_path):
    """Return a store whose images are served, and proofs that do not expire during a test."""
    store = ImageStore.open(Config(data_dir=tmp_path / "data"))
    server = make_server("127.0.0.1", 0, ImageEndpoint(store).mounted_on(_package), threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    store.port = server.server_port
    yield store
    server.shutdown()
    thread.join()
    server.server_close()
    store.close()


@Request.application
def _package(request):
    if request.path == "/":
        return Response(PAGE, mimetype="text/html")
    name = request.path.removeprefix("/package/")
    if name.endswith(".js") and ".." not in name and (PACKAGE / name).is_file():
        return Response((PACKAGE / name).read_bytes(), mimetype="text/javascript")
    return Response("not here", 404)


@pytest.fixture
def npm(context, backend):
    """Return a tab with the npm frontend, every option given."""
    tab = context.new_page()
    tab.goto(f"http://127.0.0.1:{backend.port}/")
    tab.wait_for_function("() => window.frontend")
    options = OPTIONS | {
        "defaultEndpointConnectHost": "127.0.0.1",
        "defaultEndpointConnectPort": backend.port,
    }
    tab.evaluate("(options) => frontend.initPixstoreFrontend(options)", options)
    tab.asked = []
    tab.on("request", lambda request: tab.asked.append(request.url))
    return tab


def _sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("data", "mime"),
    ((images.jpeg(), "image/jpg"), (images.png(), "image/png"), (images.webp(), "image/webp")),
    ids=("jpeg", "png", "webp"),
)
def test_cold_and_warm(npm, backend, data, mime):
    """A record from here is fetched, decrypted and cached there; the second time costs no request."""
    record = json.loads(json.dumps(backend.save(data, "players").to_json()))

    cold = npm.evaluate(GET_IMAGE, record)
    npm.wait_for_function("(id) => frontend.cachedImageExists(id)", arg=record["id"])
    npm.asked.clear()
    warm = npm.evaluate(GET_IMAGE, record)

    assert cold == warm == {"type": mime, "hash": _sha256(data)}
    assert npm.asked == []


def test_an_update_with_an_old_record(npm, backend):
    """Who still has the record of an earlier version gets the newest one, with its key."""
    old = backend.save(images.png(seed=1))
    backend.update(old.id, images.jpeg(seed=2))

    seen = npm.evaluate(GET_IMAGE, old.to_json())

    assert seen == {"type": "image/jpg", "hash": _sha256(images.jpeg(seed=2))}


def test_an_update_with_the_new_record(npm, backend):
    """A new token makes the cached version stale."""
    old = backend.save(images.png(seed=1))
    npm.evaluate(GET_IMAGE, old.to_json())

    new = backend.update(old.id, images.png(seed=2))

    assert npm.evaluate(GET_IMAGE, new.to_json())["hash"] == _sha256(images.png(seed=2))


def test_a_missing_image(npm, backend):
    """An image that was deleted is reported as not found."""
    record = backend.save(images.png())
    backend.delete(record.id)

    assert "state=NotFound" in npm.evaluate(GET_IMAGE, record.to_json())["error"]


@pytest.mark.parametrize(("proof", "state"), (("forged", "InvalidProof"), (None, "MissingProof")))
def test_a_bad_proof(npm, backend, proof, state):
    """A forged or missing proof is refused with its state."""
    record = backend.save(images.png()).to_json() | {"statelessProof": proof}

    assert f"state={state}" in npm.evaluate(GET_IMAGE, record)["error"]
