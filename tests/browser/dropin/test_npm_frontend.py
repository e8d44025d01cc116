"""The frontend of npm's `pixstore` 3.2.1, unchanged, shows images from this backend."""

import hashlib
import json

import pytest
from werkzeug.wrappers import Request, Response

from pixstore.config import Config
from pixstore.endpoint import ImageEndpoint
from pixstore.store import ImageStore
from tests import images
from tests.browser.dropin.frontend_tab import FrontendTab
from tests.browser.dropin.site import NPM_FRONTEND, site
from tests.servers import serving

pytestmark = pytest.mark.browser

# A route of the page author's own, with a header that only the page's context can fill.
FETCHER = """async (record, context) => {
  const address = `http://127.0.0.1:${context.port}/pictures/${encodeURIComponent(record.id)}`
  const body = JSON.stringify([record.token, record.statelessProof, context.class])
  const response = await fetch(address, { method: 'POST', body })
  if (!response.ok) throw new Error(`status ${response.status}`)
  return new Uint8Array(await response.arrayBuffer())
}"""


@pytest.fixture(scope="module")
def store(tmp_path_factory, origin):
    """Return a store whose images may be shown on the site of the frontends. Its images are each test's own."""
    data_dir = tmp_path_factory.mktemp("ours") / "data"
    store = ImageStore.open(Config(data_dir=data_dir, access_control_allow_origin=origin))
    yield store
    store.close()


@pytest.fixture
def npm(npm_frontend, store):
    """Return a tab with the npm frontend, every option given, and this backend behind it."""
    with serving(ImageEndpoint(store)) as port:
        yield npm_frontend.configures(port=port)


def _seen(data, mime):
    return {"type": mime, "hash": hashlib.sha256(data).hexdigest()}


def _record(record):
    return json.loads(json.dumps(record.to_json()))


@pytest.mark.parametrize(
    ("data", "mime"),
    ((images.jpeg(), "image/jpg"), (images.png(), "image/png"), (images.webp(), "image/webp")),
    ids=("jpeg", "png", "webp"),
)
def test_cold_and_warm(npm, store, data, mime):
    """A record from here is fetched, decrypted and cached there; the second time costs no request."""
    record = _record(store.save(data, "players"))

    cold = npm.gets(record)
    npm.waits_until_cached(record["id"])
    npm.asked.clear()
    warm = npm.gets(record)

    assert cold == warm == _seen(data, mime)
    assert npm.asked == []


def test_an_update_with_an_old_record(npm, store):
    """Who still has the record of an earlier version gets the newest one, with its key, and keeps it for its new record."""
    old = _record(store.save(images.png(seed=1)))
    new = _record(store.update(old["id"], images.jpeg(seed=2)))

    with_old_record = npm.gets(old)
    npm.waits_until_cached(old["id"])
    npm.asked.clear()
    with_new_record = npm.gets(new)

    assert with_old_record == with_new_record == _seen(images.jpeg(seed=2), "image/jpg")
    assert npm.asked == []


def test_an_update_with_the_new_record(npm, store):
    """A new token makes the cached version stale."""
    old = store.save(images.png(seed=1))
    npm.gets(_record(old))

    new = store.update(old.id, images.png(seed=2))

    assert npm.gets(_record(new)) == _seen(images.png(seed=2), "image/png")


def test_a_missing_image(npm, store):
    """An image that was deleted is reported as not found."""
    record = store.save(images.png())
    store.delete(record.id)

    assert "state=NotFound" in npm.gets(_record(record))["error"]


@pytest.mark.parametrize(("proof", "state"), (("forged", "InvalidProof"), (None, "MissingProof")))
def test_a_bad_proof(npm, store, proof, state):
    """A forged or missing proof is refused with its state."""
    record = _record(store.save(images.png())) | {"statelessProof": proof}

    assert f"state={state}" in npm.gets(record)["error"]


def test_many_at_once(npm, store):
    """A page full of pictures arrives, each with its own bytes."""
    pictures = [images.png(seed=seed) for seed in range(30)]
    records = [_record(store.save(picture)) for picture in pictures]

    assert npm.gets_all(records) == [_seen(picture, "image/png") for picture in pictures]


def test_on_the_origin_of_the_page(context, store, npm_bundle):
    """Where page and images come from one server, no other origin need be allowed."""
    with serving(ImageEndpoint(store).mounted_on(site(npm_bundle))) as port:
        tab = FrontendTab(context, f"http://127.0.0.1:{port}", NPM_FRONTEND).configures(port=port)

        assert tab.gets(_record(store.save(images.png()))) == _seen(images.png(), "image/png")


def test_another_origin_is_kept_out(context, store, npm_bundle):
    """A site that access_control_allow_origin does not name sees nothing."""
    record = _record(store.save(images.png()))
    with serving(ImageEndpoint(store)) as port, serving(site(npm_bundle)) as other_port:
        tab = FrontendTab(context, f"http://127.0.0.1:{other_port}", NPM_FRONTEND).configures(port=port)

        assert tab.gets(record)["error"] == "Failed to fetch"


def test_a_custom_fetcher_with_a_context(npm_frontend, store, origin):
    """A page's own way to a route of the application's own works with what the store answers."""

    @Request.application
    def pictures(request):
        token, proof, class_name = json.loads(request.get_data())
        if class_name != "7b":
            return Response(status=403)
        answer = store.answer(request.path.removeprefix("/pictures/"), proof=proof, client_token=token)
        response = Response(answer.chunks(), headers={"Access-Control-Allow-Origin": origin})
        response.call_on_close(answer.close)
        return response

    record = _record(store.save(images.png()))
    with serving(pictures) as port:
        npm_frontend.configures(port=port, fetcher=FETCHER)

        assert npm_frontend.gets(record, {"port": port, "class": "7b"}) == _seen(images.png(), "image/png")
