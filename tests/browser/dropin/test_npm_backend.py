"""Our browser module shows images from the backend of npm's `pixstore` 3.2.1, unchanged."""

import hashlib

import pytest

from tests import images

pytestmark = pytest.mark.browser

# A route of the page author's own, with a header that only the page's context can fill.
FETCHER = """async (record, context) => {
  const headers = new Headers({ 'x-class': context.class, 'x-proof': record.statelessProof })
  if (record.token !== undefined) headers.set('x-version', record.token)
  const response = await fetch(`${context.server}/pictures/${encodeURIComponent(record.id)}`, { headers })
  if (!response.ok) throw new Error(`status ${response.status}`)
  return new Uint8Array(await response.arrayBuffer())
}"""


@pytest.fixture
def ours(our_module, npm_backend):
    """Return a tab with our module, and npm's backend behind it."""
    return our_module.configures(port=npm_backend.port)


def _seen(data, mime="image/png"):
    return {"type": mime, "hash": hashlib.sha256(data).hexdigest()}


def _without_key(record):
    return {name: value for name, value in record.items() if name != "meta"}


@pytest.mark.parametrize(
    ("data", "mime"),
    ((images.jpeg(), "image/jpeg"), (images.png(), "image/png"), (images.webp(), "image/webp")),
    ids=("jpeg", "png", "webp"),
)
def test_cold_and_warm(ours, npm_backend, data, mime):
    """A record from there is fetched, decrypted and cached here; the second time costs no request."""
    record = npm_backend.save(data, "players")

    cold = ours.gets(record)
    ours.waits_until_cached(record["id"])
    ours.asked.clear()
    warm = ours.gets(record)

    assert cold == warm == _seen(data, mime)
    assert ours.asked == []


def test_a_cache_of_ciphertext(our_module, npm_backend):
    """What npm's backend sealed may also be cached as it is, and is decrypted with the record's key each time."""
    our_module.configures(port=npm_backend.port, cacheMode="encrypted")
    record = npm_backend.save(images.png())

    cold = our_module.gets(record)
    our_module.waits_until_cached(record["id"])
    our_module.asked.clear()
    warm = our_module.gets(record)

    assert cold == warm == _seen(images.png())
    assert our_module.asked == []


def test_a_record_without_its_key(ours, npm_backend):
    """A page need not carry keys: asked without a token, npm's backend sends the key along."""
    record = _without_key(npm_backend.save(images.png()))

    assert ours.gets(record) == _seen(images.png())


def test_an_update_with_an_old_record(ours, npm_backend):
    """Who still has the record of an earlier version gets the newest one, and keeps it for its new record."""
    old = npm_backend.save(images.png(seed=1))
    new = npm_backend.update(old["id"], images.jpeg(seed=2))

    with_old_record = ours.gets(old)
    ours.waits_until_cached(old["id"])
    ours.asked.clear()
    with_new_record = ours.gets(new)

    assert with_old_record == with_new_record == _seen(images.jpeg(seed=2), "image/jpeg")
    assert ours.asked == []


def test_an_update_with_the_new_record(ours, npm_backend):
    """A new token makes the cached version stale."""
    old = npm_backend.save(images.png(seed=1))
    ours.gets(old)
    ours.waits_until_cached(old["id"])

    new = npm_backend.update(old["id"], images.png(seed=2))

    assert ours.gets(new) == _seen(images.png(seed=2))


def test_a_missing_image(ours, npm_backend):
    """An image that was deleted there is reported as not found."""
    record = npm_backend.save(images.png())
    npm_backend.delete(record["id"])

    assert ours.gets(record)["code"] == "not-found"


@pytest.mark.parametrize("proof", ("forged", None))
def test_a_bad_proof(ours, npm_backend, proof):
    """A forged or missing proof is reported as such."""
    record = npm_backend.save(images.png()) | {"statelessProof": proof}

    assert ours.gets(record)["code"] == "proof-refused"


def test_many_at_once(ours, npm_backend):
    """An endpoint that takes no batch is noticed, once, and asked for one image after the other."""
    pictures = [images.png(seed=seed) for seed in range(30)]
    records = [npm_backend.save(picture) for picture in pictures]

    assert ours.gets_all(records) == [_seen(picture) for picture in pictures]
    assert [method for method, _ in ours.asked].count("POST") <= 1
    assert [method for method, _ in ours.asked].count("GET") == len(records)


@pytest.mark.parametrize("has_key", (True, False), ids=("with key", "without key"))
def test_a_custom_fetcher_with_a_context(our_module, custom_npm_backend, has_key):
    """A page's own way to a route made by customEndpointHelper brings images, whose second time costs no request."""
    context = {"server": f"http://127.0.0.1:{custom_npm_backend.port}", "class": "7b"}
    record = custom_npm_backend.save(images.png())
    given = record if has_key else _without_key(record)
    our_module.configures(port=custom_npm_backend.port, fetcher=FETCHER)

    cold = our_module.gets(given, context)
    our_module.waits_until_cached(record["id"])
    our_module.asked.clear()
    warm = our_module.gets(given, context)

    assert cold == warm == _seen(images.png())
    assert our_module.asked == []


def test_a_custom_fetcher_that_is_refused(our_module, custom_npm_backend):
    """What a page's own fetcher throws reaches whoever asked for the image."""
    context = {"server": f"http://127.0.0.1:{custom_npm_backend.port}", "class": "8a"}
    our_module.configures(port=custom_npm_backend.port, fetcher=FETCHER)

    assert our_module.gets(custom_npm_backend.save(images.png()), context)["error"] == "status 403"
