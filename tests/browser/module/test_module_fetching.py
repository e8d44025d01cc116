"""How images are fetched: together, those on screen first, again after a failure, and never twice for nothing."""

import time
from threading import Event

import pytest

from tests.browser.module.page import tag
from tests.browser.module.server import hang_up, picture, serving, status, stop_after
from tests.eventually import eventually


def test_one_request_for_a_page_of_pictures(page, endpoint):
    """A hundred pictures asked for in one tick are one POST, in the order they were asked for."""
    records = [endpoint.add(f"a{n}") for n in range(100)]

    got = page.gets(*records)

    assert all(got)
    assert endpoint.requests == 1
    assert {asked.method for asked in endpoint.asked} == {"POST"}
    assert endpoint.asked_ids() == [f"a{n}" for n in range(100)]


def test_no_request_asks_for_more_than_a_hundred(page, endpoint):
    """More pictures than fit into one batch become several batches."""
    got = page.gets(*[endpoint.add(f"a{n}") for n in range(230)])

    assert all(got)
    assert endpoint.requests == 3


def test_a_single_picture_goes_by_get(page, endpoint):
    """One picture alone is a GET, its id percent-encoded."""
    page.gets(endpoint.add("holiday:a b/é"))

    assert [(asked.method, asked.id) for asked in endpoint.asked] == [("GET", "holiday:a b/é")]


def test_the_first_picture_does_not_wait_for_the_last(page, endpoint):
    """A batch is decoded while it arrives: the first picture is there before the last has been sent."""
    records = [endpoint.add(f"a{n}") for n in range(3)]
    go_on = Event()
    endpoint.before_payload = lambda number: number == 0 or go_on.wait(5)

    first = page.runs(
        """async ({ getImage }, records) => {
          window.all = Promise.all(records.map((record) => getImage(record)))
          return (await getImage(records[0])).size
        }""",
        records,
    )
    assert first == len(picture())
    go_on.set()

    assert page.tab.evaluate("async () => (await window.all).length") == 3


def test_pieces_of_any_size(page, endpoint):
    """A batch answer may arrive in pieces that end anywhere, even within a length or a payload."""
    result = page.runs(
        """async () => {
          const { readBatch } = await import('/static/v1/pixstore/wire.js')
          const payloads = [[9], [], Array.from({ length: 300 }, (_, n) => n % 251), [1, 2, 3]]
          const bytes = payloads.flatMap((payload) => [payload.length % 256, payload.length >> 8, 0, 0, ...payload])
          const wrong = []
          for (let size = 1; size <= 40; size += 1) {
            const stream = new ReadableStream({ start(controller) {
              for (let at = 0; at < bytes.length; at += size) controller.enqueue(Uint8Array.from(bytes.slice(at, at + size)))
              controller.close()
            } })
            const read = []
            for await (const payload of readBatch(stream)) read.push([...payload])
            if (JSON.stringify(read) !== JSON.stringify(payloads)) wrong.push(size)
          }
          return wrong
        }"""
    )

    assert result == []


def test_an_endpoint_without_post(page, endpoint):
    """If POST is answered with 404, pictures are fetched one by one, and POST is not tried again."""
    endpoint.takes_batches = False

    assert all(page.gets(*[endpoint.add(f"a{n}") for n in range(8)]))
    assert all(page.gets(*[endpoint.add(f"b{n}") for n in range(8)]))
    assert {asked.method for asked in endpoint.asked} == {"GET"}
    assert len(endpoint.asked) == 16
    assert endpoint.posts_refused == 1
    page.expects("404")


def test_batches_can_be_turned_off(page, endpoint):
    """With batch: false every picture is a GET from the start."""
    page.configures(batch=False)

    assert all(page.gets(*[endpoint.add(f"a{n}") for n in range(8)]))
    assert [asked.method for asked in endpoint.asked] == ["GET"] * 8


@pytest.mark.parametrize(
    "preflight", ["Content-Type, x-pixstore-proof, x-pixstore-token", "x-pixstore-proof, x-pixstore-token"]
)
def test_an_npm_backend_on_another_origin(new_page, endpoint, preflight):
    """If another origin does not know POST (the npm backend) or forbids it, pictures are fetched by GET, without configuration."""
    with serving() as npm:
        endpoint.csp = endpoint.csp.replace("connect-src", f"connect-src {npm.url}")
        npm.takes_batches = False
        npm.cors = {"access-control-allow-origin": "*", "access-control-allow-headers": preflight}
        page = new_page().opens()
        page.configures(endpointUrl=npm.url)
        npm.add("a")
        npm.add("b")

        got = page.gets(npm.record("a", meta=True), npm.record("b", meta=True))

    assert all(got)
    assert [asked.method for asked in npm.asked] == ["GET", "GET"]
    assert endpoint.asked == []
    page.expects("CORS", "Cross-Origin", "preflight", "404", "ERR_FAILED")


def test_a_batch_that_breaks_off(page, endpoint):
    """When a batch breaks off, only the images that are still missing are asked for again."""
    records = [endpoint.add(f"a{n}") for n in range(6)]
    endpoint.fail_next(stop_after(4))

    assert all(page.gets(*records))
    assert endpoint.asked_ids() == ["a0", "a1", "a2", "a3", "a4", "a5", "a4", "a5"]
    page.expects("ERR_INCOMPLETE_CHUNKED_ENCODING")


def test_passing_trouble_is_sat_out(page, endpoint):
    """After a broken connection or an overloaded server the request is repeated; the page only notices a delay."""
    endpoint.fail_next(hang_up, status(503))

    assert page.gets(endpoint.add("a"))[0]
    assert len(endpoint.asked) == 3
    page.expects("ERR_EMPTY_RESPONSE", "503")


def test_a_server_that_stays_away(page, endpoint):
    """After a few attempts the error says that the server does not answer."""
    endpoint.fail_next(*[status(502)] * 9)

    assert page.gets(endpoint.add("a")) == [None]
    assert page.last_error()["code"] == "network"
    assert len(endpoint.asked) == 3
    page.expects("502", "did not answer")


def test_a_refusal_is_not_tried_again(page, endpoint):
    """A status that waiting cannot change is final."""
    endpoint.fail_next(status(403))

    assert page.gets(endpoint.add("a")) == [None]
    assert "status 403" in page.last_error()["text"]
    assert len(endpoint.asked) == 1
    page.expects("403")


def test_a_redirection_is_not_followed(page, endpoint):
    """A proof goes only to the endpoint: a redirect is not followed."""
    endpoint.fail_next(*[status(302, {"location": "/elsewhere"})] * 3)

    assert page.gets(endpoint.add("a")) == [None]
    assert page.last_error()["code"] == "network"
    page.expects("ERR_FAILED", "did not answer")


def test_nobody_waits_for_a_batch(page, endpoint):
    """When no caller waits for a batch any more, its request is aborted and not repeated."""
    records = [endpoint.add(f"a{n}", picture(400, 400)) for n in range(50)]
    endpoint.before_payload = lambda number: number == 0 or time.sleep(0.05)

    names = page.runs(
        """async ({ getImages }, records) => {
          const waiting = new AbortController()
          const images = getImages(records, undefined, { signal: waiting.signal })
          setTimeout(() => waiting.abort(), 150)
          return images.then(() => 'came', ({ name }) => name)
        }""",
        records,
    )

    assert names == "AbortError"
    eventually(lambda: endpoint.aborted == 1)
    assert endpoint.requests == 1


def test_what_is_on_screen_goes_first(page, endpoint):
    """Pictures on screen are fetched first, wherever they stand in the page."""
    tags = [tag(endpoint.add(f"a{n}"), width=100, height=60) for n in range(12)]
    go_on = Event()
    endpoint.before_payload = lambda _: go_on.wait(5)
    page.tab.set_viewport_size({"width": 400, "height": 200})
    page.configures(batch=False)

    page.tab.evaluate(
        """(tags) => {
          Object.assign(document.body.style, { display: 'flex', flexDirection: 'column-reverse', margin: 0 })
          document.body.innerHTML = tags
        }""",
        "".join(tags),
    )

    eventually(lambda: len(endpoint.asked) == 6)
    assert {"a11", "a10", "a9", "a8"} < set(endpoint.asked_ids())
    go_on.set()
    eventually(lambda: len(endpoint.asked) > 6)


def test_overload_is_given_the_time_it_asks_for(page, endpoint):
    """If the server names a time to wait, the request is not repeated before it has passed."""
    endpoint.fail_next(status(429, {"retry-after": "1"}))

    waited = page.runs(
        """async ({ getImage }, record) => {
          const start = performance.now()
          await getImage(record)
          return performance.now() - start
        }""",
        endpoint.add("a"),
    )

    assert waited >= 1000
    page.expects("429")
