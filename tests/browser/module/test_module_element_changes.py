"""<pixstore-image> follows every change, shows a failure, and leaves nothing behind in the page."""

import time

import pytest

from tests.browser.module.element_page import FAILED, SHOWN, replaces_body, watched
from tests.browser.module.page import tag
from tests.browser.module.server import picture
from tests.eventually import eventually


@pytest.fixture
def page(new_page):
    """A tab with the module loaded, which is watched."""
    return watched(new_page())


# --- change ---


def test_attributes_changed_together_load_once(page, endpoint):
    """Several attributes changed in one tick are one load."""
    old, new = endpoint.add("a"), endpoint.add("b", picture(colour="blue"))
    replaces_body(page, tag(old, loading="eager"))
    page.waits_for(SHOWN)

    page.tab.evaluate(
        """({ id, token, statelessProof }) => {
          const host = document.querySelector('pixstore-image')
          host.imageId = 'not this one'
          host.imageId = id
          host.token = token
          host.proof = statelessProof
        }""",
        new,
    )
    page.waits_for("events.length === 6")

    assert endpoint.asked_ids() == ["a", "b"]


def test_a_new_proof_changes_nothing(page, endpoint):
    """A newer proof for a picture that is shown causes no load and no event."""
    replaces_body(page, tag(endpoint.add("a")))
    page.waits_for(SHOWN)

    page.tab.evaluate("() => { document.querySelector('pixstore-image').proof = 'proof-newer' }")
    page.tab.wait_for_timeout(50)

    assert len(page.tab.evaluate("() => events")) == 3
    assert len(endpoint.asked) == 1


def test_a_new_version_replaces_the_picture(page, endpoint):
    """A new token shows the new version; the old one stays until it is there, and its URL is revoked."""
    replaces_body(page, tag(endpoint.add("a", picture(10, 10))))
    page.waits_for(SHOWN)
    record = endpoint.add("a", picture(20, 20))

    page.tab.evaluate(
        "(token) => { document.querySelector('pixstore-image').token = token }", record["token"]
    )
    assert page.tab.evaluate(f"() => {SHOWN}") is True
    page.waits_for("document.querySelector('pixstore-image').naturalWidth === 20")

    assert page.tab.evaluate("() => urls.size") == 1


def test_a_version_overtaken_while_it_loads(page, endpoint):
    """If a second new token comes while the first is loading, the old picture stays until the newest is there."""
    replaces_body(page, tag(endpoint.add("a", picture(10, 10)), loading="eager"))
    page.waits_for(SHOWN)
    tokens = [endpoint.add("a", picture(size, size))["token"] for size in (20, 30)]
    endpoint.before_payload = lambda _: time.sleep(0.2)

    looked_like = page.tab.evaluate(
        """async (tokens) => {
          const host = document.querySelector('pixstore-image')
          const seen = new Set()
          for (const token of tokens) {
            host.token = token
            await new Promise((resolve) => setTimeout(resolve, 50))
            seen.add(`${host.matches(':state(loaded)')} ${host.naturalWidth}`)
          }
          return [...seen]
        }""",
        tokens,
    )
    page.waits_for("document.querySelector('pixstore-image').naturalWidth === 30")

    assert looked_like == ["true 10"]
    events = ["loadstart", "load", "loadend", "loadstart", "loadstart", "load", "loadend"]
    assert page.waits_for("events.length >= 7 && events") == events
    assert page.tab.evaluate("() => urls.size") == 1


def test_complete_when_the_events_come(page, endpoint):
    """As for <img>, complete is true when load or error is fired."""
    page.tab.evaluate(
        """() => {
          window.seen = []
          const note = ({ target, type }) => {
            if (target.localName === 'pixstore-image') seen.push(`${type} ${target.complete}`)
          }
          for (const type of ['loadstart', 'load', 'error']) document.addEventListener(type, note, true)
        }"""
    )

    replaces_body(page, tag(endpoint.add("a"), loading="eager"))
    page.waits_for(SHOWN)
    replaces_body(page, tag(endpoint.add("b") | {"id": "missing"}, loading="eager"))
    page.waits_for(FAILED)

    seen = page.waits_for("seen.length >= 4 && seen")
    assert seen == ["loadstart false", "load true", "loadstart false", "error true"]
    page.expects("does not exist")


def test_moving_it_costs_nothing(page, endpoint):
    """Moving it (which disconnects and reconnects it) keeps the picture: no request, no event."""
    replaces_body(page, tag(endpoint.add("a"), loading="eager") + "<main></main>")
    page.waits_for(SHOWN)

    page.tab.evaluate(
        """() => {
          const host = document.querySelector('pixstore-image')
          document.querySelector('main').append(host)
          document.body.prepend(host)
          document.querySelector('main').moveBefore?.(host, null)
        }"""
    )
    page.tab.wait_for_timeout(50)

    assert page.tab.evaluate(f"() => {SHOWN} && urls.size === 1 && events.length === 3")
    assert len(endpoint.asked) == 1


def test_removed_it_leaves_nothing(page, endpoint):
    """Removing it aborts its request and revokes its URL, and no event follows."""
    replaces_body(page, tag(endpoint.add("shown"), loading="eager"))
    page.waits_for(SHOWN)
    endpoint.before_payload = lambda _: time.sleep(0.3)
    page.tab.evaluate(
        """(markup) => {
          document.body.insertAdjacentHTML('beforeend', markup)
          setTimeout(() => { document.body.innerHTML = '' }, 100)
        }""",
        tag(endpoint.add("under-way", picture(1500, 1500, kind="BMP")), loading="eager"),
    )
    page.waits_for("document.body.innerHTML === '' && urls.size === 0")

    eventually(lambda: endpoint.aborted == 1)
    assert page.tab.evaluate("() => events") == ["loadstart", "load", "loadend", "loadstart"]


def test_put_back_it_shows_again(page, endpoint):
    """Removed and inserted again later, it shows its picture from the cache."""
    replaces_body(page, tag(endpoint.add("a"), loading="eager"))
    page.waits_for(SHOWN)
    page.tab.evaluate("() => { window.kept = document.querySelector('pixstore-image'); kept.remove() }")
    page.waits_for("urls.size === 0")

    page.tab.evaluate("() => document.body.append(window.kept)")
    page.waits_for(f"{SHOWN} && urls.size === 1")
    assert len(endpoint.asked) == 1


def test_under_htmx(page, endpoint):
    """Under htmx it needs no extra code: a new picture appears, and the memory of the old one is given back."""
    first, second = endpoint.add("a"), endpoint.add("b", picture(20, 20))
    endpoint.pages["/part"] = f'<div id="part">{tag(second)}</div>'
    page.opens(
        """<meta name="htmx-config" content='{"includeIndicatorStyles": false}'>
        <script src="/static/v1/vendor/htmx.min.js"></script>
        <button hx-get="/part" hx-target="#part" hx-swap="outerHTML">go</button>"""
        f'<div id="part">{tag(first)}</div>'
    )
    page.waits_for(SHOWN)

    page.tab.get_by_role("button", name="go").click()
    page.waits_for("document.querySelector('pixstore-image')?.naturalWidth === 20")

    assert page.tab.evaluate("() => urls.size") == 1
    assert "blob:" not in page.tab.evaluate("() => document.documentElement.outerHTML")


def test_a_record_by_program(page, endpoint):
    """A whole record may be given as a property; its key stays out of the markup."""
    endpoint.add("a")
    record = endpoint.record("a", meta=True)

    markup = page.tab.evaluate(
        """(record) => {
          const host = document.createElement('pixstore-image')
          host.record = record
          document.body.append(host)
          return host.outerHTML
        }""",
        record,
    )
    page.waits_for(SHOWN)

    assert record["meta"]["key"] not in markup
    assert [asked.token for asked in endpoint.asked] == [record["token"]]


def test_properties_set_before_it_was_known(new_page, endpoint):
    """A record set on the element before the module has loaded is not lost."""
    page = new_page().opens()
    record = endpoint.add("a")
    endpoint.pages["/late"] = "<!doctype html><title>t</title><pixstore-image></pixstore-image>"
    page.tab.goto(endpoint.url + "/late")
    page.tab.evaluate("(record) => { document.querySelector('pixstore-image').record = record }", record)

    page.runs("() => null")

    page.waits_for(SHOWN)


# --- failure ---


def test_retry_by_keyboard(page, endpoint):
    """A failed picture says what is wrong and has a button that can be reached by keyboard; it tries again."""
    record = endpoint.add("a")
    sealed = endpoint.images.pop("a")
    replaces_body(page, tag(record, alt="My cat"))
    page.waits_for(FAILED)
    assert page.tab.get_by_text("My cat: The picture does not exist (any more).").is_visible()
    endpoint.images["a"] = sealed

    page.tab.keyboard.press("Tab")
    page.tab.keyboard.press("Enter")

    page.waits_for(SHOWN)
    assert not page.tab.get_by_role("button").is_visible()
    page.expects("does not exist")


def test_words_of_the_page_for_a_failure(page, endpoint):
    """slot="error" replaces the words; whatever has data-retry in it tries again."""
    record = endpoint.add("a")
    sealed = endpoint.images.pop("a")
    replaces_body(page, tag(record, '<p slot="error">Hoppla! <a data-retry>Nochmal</a></p>'))
    page.waits_for(FAILED)
    endpoint.images["a"] = sealed

    assert not page.tab.get_by_role("button").is_visible()
    page.tab.get_by_text("Nochmal").click()

    page.waits_for(SHOWN)
    page.expects("does not exist")


def test_a_new_proof_is_a_new_chance(page, endpoint):
    """A picture that failed because of its proof tries again when a newer proof is set."""
    replaces_body(page, tag(endpoint.add("a") | {"statelessProof": "old"}))
    page.waits_for(FAILED)

    page.tab.evaluate("() => { document.querySelector('pixstore-image').proof = 'proof-now' }")

    page.waits_for(SHOWN)
    page.expects("permission")


def test_a_cached_picture_that_cannot_be_read(page, endpoint):
    """A cached picture that was damaged unnoticed is fetched again when the browser cannot show it."""
    record = endpoint.add("a")
    page.gets(record)
    page.cached()
    page.tab.evaluate(
        """async () => {
          const database = await new Promise((resolve) => {
            indexedDB.open('pixstore').onsuccess = ({ target }) => resolve(target.result)
          })
          const store = database.transaction('images', 'readwrite').objectStore('images')
          await new Promise((resolve) => {
            store.get('a').onsuccess = ({ target: { result: row } }) => {
              row.bytes = new Blob([new Uint8Array(row.size)], { type: 'image/png' })
              store.put(row).onsuccess = resolve
            }
          })
          database.close()
        }"""
    )

    replaces_body(page, tag(record))
    page.waits_for(SHOWN)

    assert page.tab.evaluate("() => events") == ["loadstart", "load", "loadend"]
    assert len(endpoint.asked) == 2


def test_what_no_browser_can_show(page, endpoint):
    """Bytes that can be decrypted but are not a picture cause an error, after one attempt."""
    replaces_body(page, tag(endpoint.add("a", b"not a picture")))
    page.waits_for(FAILED)

    assert page.last_error()["code"] == "unreadable"
    assert len(endpoint.asked) == 1
    assert page.tab.evaluate("() => urls.size") == 0
    page.expects("cannot show")


# --- registration and care ---


def test_another_tag(new_page, endpoint):
    """The class registers itself under any tag, in any registry, when asked to."""
    endpoint.pages["/plain"] = "<!doctype html><title>t</title>"
    page = new_page()
    page.tab.goto(endpoint.url + "/plain")
    record = endpoint.add("a")

    page.tab.evaluate(
        """async (record) => {
          const { PixstoreImageElement } = await import('/static/v1/pixstore/element.js')
          PixstoreImageElement.define('secret-picture').define('secret-picture')
          const element = document.createElement('secret-picture')
          element.record = record
          document.body.append(element)
        }""",
        record,
    )

    page.waits_for("document.querySelector('secret-picture').complete")
    assert page.tab.evaluate("() => customElements.get('pixstore-image') === undefined")
