"""The promises of getImage(): the right picture, from the cache if possible, or an error in clear words."""

import base64
import time

import pytest
from playwright.sync_api import Error

from tests.browser.engines.tab import INSECURE_HOST
from tests.browser.module.server import UPDATED, picture
from tests.eventually import eventually


def shows(image: bytes, kind: str = "image/png") -> dict:
    """Return what ``ModulePage.gets`` gives for this image."""
    return {"type": kind, "bytes": base64.b64encode(image).decode()}


def test_cold_then_warm(page, endpoint):
    """A picture is fetched once; after a reload it comes from the cache, byte for byte, without a request."""
    red = picture(30, 20, "red")
    record = endpoint.add("players:a1", red)

    cold = page.gets(record)
    page.cached()
    page.opens()
    warm = page.gets(record)

    assert cold == warm == [shows(red)]
    assert endpoint.asked_ids() == ["players:a1"]


def test_a_new_version_is_fetched(page, endpoint):
    """A newer token than the cached one loads the newer picture, which replaces the old one in the cache."""
    page.gets(endpoint.add("a", picture(colour="red")))
    blue = picture(colour="blue")

    newer = endpoint.add("a", blue)
    first = page.gets(newer)
    cached = page.cached()
    second = page.gets(newer)

    assert first == second == [shows(blue)]
    assert cached == {"images": 1, "bytes": len(blue)}
    assert len(endpoint.asked) == 2


def test_an_old_record_still_brings_the_picture(page, endpoint):
    """A record from before an update gives the server's present picture, which is cached as that version."""
    old = endpoint.add("a", picture(colour="red"))
    blue = picture(colour="blue")
    newer = endpoint.add("a", blue)

    assert page.gets(old) == [shows(blue)]
    assert page.gets(newer) == [shows(blue)]
    assert len(endpoint.asked) == 1


def test_token_is_sent_only_with_its_key_at_hand(page, endpoint):
    """Without meta no token is sent, so that the server sends the key; with meta the ciphertext alone is enough."""
    without = endpoint.add("a")
    endpoint.add("b")
    with_meta = endpoint.record("b", meta=True)

    assert page.gets(without) == [shows(picture())]
    assert page.gets(with_meta) == [shows(picture())]
    assert [asked.token for asked in endpoint.asked] == [None, with_meta["token"]]


def test_wrong_meta_is_made_good(page, endpoint):
    """A record with a wrong key costs a second request, not the picture."""
    endpoint.add("a")
    record = endpoint.record("a", meta=True)
    record["meta"]["key"] = base64.b64encode(bytes(32)).decode()

    assert page.gets(record) == [shows(picture())]
    assert [asked.token for asked in endpoint.asked] == [record["token"], None]


def test_jpeg_has_the_type_browsers_know(page, endpoint):
    """A JPEG has the type image/jpeg, under whichever name of the format it was stored."""
    jpeg = picture(kind="JPEG")

    assert page.gets(endpoint.add("a", jpeg, "jpg")) == [shows(jpeg, "image/jpeg")]


def test_one_image_asked_often_is_fetched_once(page, endpoint):
    """Ten simultaneous calls for one image make one request, and all get the picture."""
    record = endpoint.add("a")

    assert page.gets(*[record] * 10) == [shows(picture())] * 10
    assert endpoint.asked_ids() == ["a"]


def test_a_missing_image(page, endpoint):
    """For an image that the server does not have the result is null; the error is logged and kept as the last one."""
    record = endpoint.add("gone")
    del endpoint.images["gone"]

    assert page.gets(record) == [None]
    assert page.last_error() == {"code": "not-found", "text": "The picture does not exist (any more)."}
    page.expects("does not exist")


@pytest.mark.parametrize(
    ("mode", "outcome"),
    [("hybrid", None), ("warn", None), ("silent", None), ("throw", "not-found"), ("custom", "not-found")],
)
def test_error_modes(page, endpoint, mode, outcome):
    """The error mode decides whether an expected error gives null or an exception, and whether it is logged."""
    record = endpoint.add("gone")
    del endpoint.images["gone"]

    seen = page.configures(errorHandlingMode=mode).runs(
        """async ({ getImage, setCustomErrorHandler }, record) => {
          let handled = null
          setCustomErrorHandler((error) => { handled = error.code })
          try { return await getImage(record) ?? handled } catch (error) { return error.code }
        }""",
        record,
    )

    assert seen == outcome
    assert len(page.complaints) == (1 if mode in ("hybrid", "warn") else 0)
    page.expects("does not exist")


def test_custom_mode_needs_a_handler(page):
    """The mode 'custom' without a handler is an error that says so."""
    with pytest.raises(Error, match="setCustomErrorHandler"):
        page.configures(errorHandlingMode="custom").gets({"id": "a"})


def test_programming_errors_are_not_swallowed(page, endpoint):
    """In the default mode only expected errors become null: a bug in the page's own fetcher is thrown."""
    script = """async ({ initPixstoreFrontend, getImage }, record) => {
      initPixstoreFrontend({}, async () => undefined.oops)
      return getImage(record)
    }"""

    with pytest.raises(Error, match="TypeError"):
        page.runs(script, endpoint.add("a"))


def test_every_wrong_option_is_named_at_once(page):
    """A configuration with several faults is refused; the error names them all, and nothing changes."""
    faults = {
        "colour": "red",
        "cacheMode": "plain",
        "imageFormats": ["png", "svg"],
        "frontendImageCacheLimit": 0,
        "endpointUrl": "ftp://x",
        "recordUrl": "https://elsewhere.example/records",
        "defaultEndpointRoute": "images/",
        "defaultEndpointConnectPort": 99999,
    }

    with pytest.raises(Error) as caught:
        page.configures(**faults)

    assert [name for name in faults if name not in str(caught.value)] == []
    assert page.runs("async ({ getImage }) => getImage.name") == "getImage"
    page.configures(frontendImageCacheLimit=5, frontendCleanupBatch=1)


def test_every_option_of_the_npm_frontend_is_known(page, endpoint):
    """A page written for the npm frontend keeps its configuration."""
    port = int(endpoint.url.rpartition(":")[2])
    page.configures(
        imageFormats=["png", "webp", "jpg", "jpeg"],
        frontendDbName="shop",
        frontendDbVersion=3,
        imageStoreName="pictures",
        frontendImageCacheLimit=100,
        frontendCleanupBatch=10,
        defaultEndpointConnectHost="127.0.0.1",
        defaultEndpointConnectPort=port,
        defaultEndpointRoute="/pixstore-image",
        errorHandlingMode="throw",
    )

    assert page.gets(endpoint.add("a")) == [shows(picture())]


def test_configuration_by_meta_tag(page, endpoint):
    """A page without a script of its own is configured by a meta tag; faults in it are logged."""
    page.opens(config={"frontendDbName": "by-meta"})
    page.gets(endpoint.add("a"))
    page.cached()
    assert "by-meta" in page.tab.evaluate("async () => (await indexedDB.databases()).map(({ name }) => name)")

    page.opens(config={"frontendDbNam": "typo"})
    eventually(lambda: any("frontendDbNam is not an option" in line for line in page.complaints))
    page.expects("frontendDbNam")


def test_not_an_image_record(page, endpoint):
    """Anything that is not an image record is refused in words, and without a request."""
    wrong = [
        None,
        {},
        {"id": ".."},
        {"id": ""},
        {"id": "a", "token": -1},
        {"id": "a", "token": 2**53},
        {"id": "a", "token": "1"},
        {"id": "a", "token": 1, "statelessProof": "line\nbreak"},
        {"id": "a", "token": 1, "meta": {"key": "x"}},
        {"id": "\ud800", "token": 1},
        {"id": "a"},
    ]
    page.configures(errorHandlingMode="throw")

    for record in wrong:
        script = "({ getImage }, record) => getImage(record).then(() => 'came', ({ code }) => code)"
        assert page.runs(script, record) == "record", record
    assert endpoint.asked == []


def test_an_altered_image_is_never_shown_or_cached(page, endpoint):
    """If one bit of the ciphertext was changed, there is no picture, and nothing is cached."""
    record = endpoint.add("a")
    sealed = endpoint.images["a"]
    sealed.ciphertext = bytes((sealed.ciphertext[0] ^ 1,)) + sealed.ciphertext[1:]

    assert page.gets(record) == [None]
    assert page.last_error()["code"] == "damaged"
    assert page.cached()["images"] == 0
    page.expects("cannot be decrypted")


def test_an_answer_that_is_no_payload(page, endpoint):
    """An answer that is not exactly a wire payload is refused, and nothing is cached."""
    record = endpoint.add("a")
    page.configures(errorHandlingMode="throw")
    wrong = [
        b"",
        b"\x07",
        b"\x02\x00",
        b"\x00",
        UPDATED + bytes(68),
        UPDATED + b"\xff" * 100,
        b"<!doctype html>",
    ]

    for answer in [*wrong, b"\x00 ciphertext without its key"]:
        endpoint.payload_of = lambda _, answer=answer: answer
        script = "({ getImage }, record) => getImage(record).then(() => 'came', ({ code }) => code)"
        assert page.runs(script, record) == "wire", answer
    assert page.cached()["images"] == 0


def test_an_old_proof_is_renewed_once_for_all(page, endpoint):
    """For several proofs that are too old, fresh records are fetched once, and the pictures with them."""
    records = [endpoint.add(f"a{n}") | {"statelessProof": "proof-of-yesterday"} for n in range(5)]

    page.configures(recordUrl="/records")

    assert page.gets(*records) == [shows(picture())] * 5
    assert endpoint.refreshed == [[f"a{n}" for n in range(5)]]
    assert len(endpoint.asked) == 10


def test_a_proof_that_stays_refused(page, endpoint):
    """If the renewed proof is refused as well, there is an error after one renewal and one more attempt."""
    record = endpoint.add("a")
    endpoint.proofs = {"some other"}

    assert page.configures(recordUrl="/records").gets(record) == [None]
    assert page.last_error()["code"] == "proof-refused"
    assert (len(endpoint.refreshed), len(endpoint.asked)) == (1, 2)
    page.expects("permission")


def test_no_renewal_without_a_record_url(page, endpoint):
    """Without recordUrl, the error says that the permission has expired."""
    record = endpoint.add("a") | {"statelessProof": "old"}

    assert page.gets(record) == [None]
    assert page.last_error()["text"] == "The permission to see the picture has expired. Reload the page."
    page.expects("permission")


def test_a_picture_that_is_gone_when_renewed(page, endpoint):
    """An id that the server leaves out of fresh records does not exist for this user."""
    record = endpoint.add("a") | {"statelessProof": "old"}
    del endpoint.images["a"]

    assert page.configures(recordUrl="/records").gets(record) == [None]
    assert page.last_error()["code"] == "not-found"
    page.expects("does not exist")


def test_an_id_alone_is_enough_with_a_record_url(page, endpoint):
    """With recordUrl, token and proof may be missing."""
    endpoint.add("a")

    assert page.configures(recordUrl="/records").gets({"id": "a"}) == [shows(picture())]


def test_an_ended_session_empties_the_cache(page, endpoint):
    """If a renewal is answered by the login page, the cache is emptied."""
    page.configures(recordUrl="/records").gets(endpoint.add("a"))
    assert page.cached()["images"] == 1
    endpoint.logged_in = False

    assert page.gets(endpoint.add("b") | {"statelessProof": "old"}) == [None]
    assert page.last_error()["text"] == "You are no longer logged in."
    assert page.cached()["images"] == 0
    page.expects("no longer logged in")


def test_a_fetcher_of_the_page(page, endpoint):
    """A custom fetcher gets the record and the context, and its payload is shown and cached like any other."""
    record = endpoint.add("a")
    payload = list(endpoint.images["a"].updated())

    seen = page.runs(
        """async ({ initPixstoreFrontend, getImage }, { record, payload }) => {
          const calls = []
          initPixstoreFrontend({}, async (asked, context) => {
            calls.push({ id: asked.id, token: asked.token ?? null, context })
            return Uint8Array.from(payload)
          })
          const blobs = [await getImage(record, { tenant: 7 }), await getImage(record, { tenant: 7 })]
          return { calls, sizes: blobs.map(({ size }) => size) }
        }""",
        {"record": record, "payload": payload},
    )

    assert seen["calls"] == [{"id": "a", "token": None, "context": {"tenant": 7}}]
    assert seen["sizes"] == [len(picture())] * 2
    assert endpoint.asked == []


def test_only_the_last_caller_that_stops_waiting_aborts_the_request(page, endpoint):
    """Of two callers that wait for an image, one may stop waiting; when both have stopped, the request is aborted."""
    record = endpoint.add("a")
    endpoint.before_payload = lambda _: time.sleep(0.3)
    script = """async ({ getImage }, [record, leaving]) => {
      const waits = [new AbortController(), new AbortController()]
      const results = waits.map(({ signal }) => getImage(record, undefined, { signal }).then(({ size }) => size, ({ name }) => name))
      await new Promise((resolve) => setTimeout(resolve, 100))
      for (const wait of waits.slice(0, leaving)) wait.abort()
      return Promise.all(results)
    }"""

    assert page.runs(script, [record, 1]) == ["AbortError", len(picture())]
    endpoint.images.clear()
    other = endpoint.add("b")
    assert page.runs(script, [other, 2]) == ["AbortError", "AbortError"]
    assert page.cached()["images"] == 1


def test_deleting_from_the_cache(page, endpoint):
    """deleteCachedImage() says whether there was anything; afterwards the picture is fetched again."""
    record = endpoint.add("a")
    page.gets(record)

    deleted = page.runs(
        "async ({ deleteCachedImage }) => [await deleteCachedImage('a'), await deleteCachedImage('a')]"
    )

    assert deleted == [True, False]
    assert page.has_cached("a") is False
    page.gets(record)
    assert page.has_cached("a") is True
    assert len(endpoint.asked) == 2


def test_clearing_the_cache(page, endpoint):
    """clearCache() leaves nothing, not even images that were being loaded when it was called."""
    records = [endpoint.add(f"a{n}") for n in range(3)]
    page.gets(*records[:2])
    page.cached()
    endpoint.before_payload = lambda _: time.sleep(0.2)

    result = page.runs(
        """async ({ getImage, clearCache }, record) => {
          const onItsWay = getImage(record)
          await new Promise((resolve) => setTimeout(resolve, 50))
          const cleared = await clearCache()
          return { cleared, size: (await onItsWay).size }
        }""",
        records[2],
    )

    assert result == {"cleared": True, "size": len(picture())}
    assert page.cached() == {"images": 0, "bytes": 0}


def test_plain_http_is_explained(new_page, endpoint):
    """On an insecure page the error is a sentence that says what is wrong, and not a TypeError."""
    page = new_page().opens(
        '<pixstore-image image-id="a" token="1" proof="p" alt="A house"></pixstore-image>',
        origin=endpoint.url.replace("127.0.0.1", INSECURE_HOST),
        config={"cacheOwner": "u1"},
    )

    assert page.gets(endpoint.add("a")) == [None]
    assert page.last_error()["code"] == "insecure-context"
    assert page.tab.get_by_text("A house: This page is not secure").is_visible()
    page.expects("This page is not secure")
