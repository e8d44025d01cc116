"""<pixstore-image> behaves like <img>, and leaves nothing behind in the page."""

import time

import pytest

from tests.browser.module.page import tag
from tests.browser.module.server import picture
from tests.eventually import eventually

SHOWN = "document.querySelector('pixstore-image').matches(':state(loaded)')"
FAILED = "document.querySelector('pixstore-image').matches(':state(failed)')"
BOX = "() => { const { width, height } = document.querySelector('pixstore-image').getBoundingClientRect(); return [width, height] }"
EVENTS = """() => {
  window.events = []
  for (const type of ['loadstart', 'load', 'error', 'loadend']) {
    document.addEventListener(type, ({ target }) => {
      if (target.localName === 'pixstore-image') window.events.push(type)
    }, true)
  }
}"""
COUNT_URLS = """
window.urls = new Set()
const { createObjectURL, revokeObjectURL } = URL
URL.createObjectURL = (blob) => { const url = createObjectURL(blob); window.urls.add(url); return url }
URL.revokeObjectURL = (url) => { window.urls.delete(url); revokeObjectURL(url) }
"""


def replaces_body(page, markup: str) -> None:
    """Put *markup* into the page, as htmx swaps it in."""
    page.tab.evaluate("(markup) => { document.body.innerHTML = markup }", markup)


@pytest.fixture
def page(new_page):
    """A tab with the module loaded, which counts object URLs and notes the events of the element."""
    page = new_page()
    page.tab.add_init_script(COUNT_URLS)
    page.opens()
    page.tab.evaluate(EVENTS)
    return page


# --- showing ---


def test_shows_the_picture_pixel_for_pixel(page, endpoint):
    """The picture on screen is the one that was encrypted, in its own size."""
    replaces_body(page, tag(endpoint.add("a", picture(40, 30, "#123456")), alt="A field"))
    page.waits_for(SHOWN)

    seen = page.tab.evaluate(
        """() => {
          const host = document.querySelector('pixstore-image')
          const image = host.shadowRoot.querySelector('img')
          const canvas = new OffscreenCanvas(40, 30).getContext('2d')
          canvas.drawImage(image, 0, 0)
          const box = host.getBoundingClientRect()
          return { pixel: [...canvas.getImageData(20, 15, 1, 1).data], box: [box.width, box.height],
            natural: [host.naturalWidth, host.naturalHeight] }
        }"""
    )

    assert seen == {"pixel": [0x12, 0x34, 0x56, 255], "box": [40, 30], "natural": [40, 30]}


def test_events_when_it_loads(page, endpoint):
    """loadstart, load, loadend: in this order and once, and none of them bubbles."""
    page.tab.evaluate(
        "() => { window.bubbled = []; document.body.addEventListener('load', () => bubbled.push(1)) }"
    )
    replaces_body(page, tag(endpoint.add("a")))
    page.waits_for(SHOWN)

    assert page.waits_for("events.length >= 3 && events") == ["loadstart", "load", "loadend"]
    assert page.tab.evaluate("() => window.bubbled") == []
    assert page.tab.evaluate("() => document.querySelector('pixstore-image').complete") is True


def test_events_when_it_fails(page, endpoint):
    """loadstart, error, loadend; the error event carries the error."""
    page.tab.evaluate(
        "() => document.addEventListener('error', ({ error, message }) => { window.failure = [error.code, message] }, true)"
    )
    replaces_body(page, tag(endpoint.add("a") | {"id": "missing"}))
    page.waits_for(FAILED)

    assert page.waits_for("events.length >= 3 && events") == ["loadstart", "error", "loadend"]
    assert page.tab.evaluate("() => window.failure") == [
        "not-found",
        "The picture does not exist (any more).",
    ]
    page.expects("does not exist")


def test_an_accessible_name(page, endpoint):
    """Before and after loading, it is an image whose name is its alt; an empty alt makes it a decoration."""
    endpoint.before_payload = lambda _: time.sleep(0.2)
    replaces_body(page, tag(endpoint.add("a"), "<span>placeholder</span>", alt="Two cats"))

    assert page.image_names() == ["Two cats"]
    page.waits_for(SHOWN)
    assert page.image_names() == ["Two cats"]

    page.tab.evaluate("() => { document.querySelector('pixstore-image').alt = '' }")
    assert page.image_names() == []


def test_content_until_the_picture_is_there(page, endpoint):
    """The content of the tag is shown while the picture loads, and hidden afterwards."""
    endpoint.before_payload = lambda _: time.sleep(0.3)
    replaces_body(page, tag(endpoint.add("a"), "<span>soon</span>"))

    assert page.tab.get_by_text("soon").is_visible()
    page.waits_for(SHOWN)
    assert not page.tab.get_by_text("soon").is_visible()


def test_nothing_to_show(page):
    """Without an image-id nothing happens: no request, no event, no error."""
    replaces_body(page, "<pixstore-image alt='nothing'></pixstore-image>")

    assert page.tab.evaluate("() => document.querySelector('pixstore-image').complete") is True
    assert page.tab.evaluate("() => events") == []


def test_a_wrong_token_is_an_error(page):
    """An impossible attribute is reported like any other failure."""
    replaces_body(page, '<pixstore-image image-id="a" token="soon" proof="p"></pixstore-image>')
    page.waits_for(FAILED)

    assert page.last_error()["code"] == "record"
    page.expects("not an image record")


# --- lazy ---


def test_lazy_pictures_wait_until_they_are_near(page, endpoint):
    """loading="lazy" asks for nothing until the picture comes near the window."""
    page.tab.set_viewport_size({"width": 400, "height": 300})
    tall = "<div></div>"
    replaces_body(page, tall + tag(endpoint.add("far")))
    page.tab.evaluate("() => { document.querySelector('div').style.height = '5000px' }")
    page.tab.wait_for_timeout(150)
    before = endpoint.asked_ids()

    page.tab.evaluate("() => scrollTo(0, 4600)")
    page.waits_for(SHOWN)

    assert before in ([], ["far"])  # the first frame may come before the page is tall
    assert endpoint.asked_ids() == ["far"]


def test_eager_pictures_do_not_wait(page, endpoint):
    """Without loading="lazy" a picture loads wherever it stands."""
    replaces_body(page, "<div></div>" + tag(endpoint.add("far"), loading="eager"))
    page.tab.evaluate("() => { document.querySelector('div').style.height = '5000px' }")
    page.waits_for(SHOWN)


def test_a_page_full_of_pictures(page, endpoint):
    """Scrolling past hundreds of pictures keeps few object URLs alive, and scrolling back costs no request."""
    page.tab.set_viewport_size({"width": 300, "height": 400})
    tags = [tag(endpoint.add(f"a{n}"), width=200, height=200) + "<br>" for n in range(200)]
    page.gets(*[endpoint.record(f"a{n}") for n in range(200)])
    page.cached()
    asked = len(endpoint.asked)
    replaces_body(page, "".join(tags))

    most = 0
    for top in range(0, 40_000, 1500):
        page.tab.evaluate("(top) => scrollTo(0, top)", top)
        page.waits_for(
            "[...document.querySelectorAll('pixstore-image')].filter((e) => { const { top, bottom } = "
            "e.getBoundingClientRect(); return bottom > 0 && top < innerHeight }).every((e) => e.matches(':state(loaded)'))"
        )
        most = max(most, page.tab.evaluate("() => urls.size"))
    page.tab.evaluate("() => scrollTo(0, 0)")
    page.waits_for("!!document.querySelector('pixstore-image').shadowRoot.querySelector('img').src")

    assert most < 40
    assert len(endpoint.asked) == asked
    assert page.tab.evaluate("() => events.filter((type) => type === 'load').length") <= 200


def test_a_released_picture_keeps_its_place(page, endpoint):
    """A picture far off screen gives back its memory; its box keeps its size, even without width and height."""
    page.tab.set_viewport_size({"width": 300, "height": 200})
    replaces_body(page, tag(endpoint.add("a", picture(120, 80))) + "<div></div>")
    page.waits_for(SHOWN)
    page.tab.evaluate("() => { document.querySelector('div').style.height = '9000px'; scrollTo(0, 8000) }")
    page.waits_for("urls.size === 0")

    box = page.tab.evaluate(BOX)
    assert box == [120, 80]

    boxes = page.tab.evaluate(
        f"""async () => {{
          const boxes = new Set()
          scrollTo(0, 0)
          while (!document.querySelector('pixstore-image').shadowRoot.querySelector('img').complete || urls.size === 0) {{
            boxes.add(String(({BOX})()))
            await new Promise((resolve) => setTimeout(resolve))
          }}
          boxes.add(String(({BOX})()))
          return [...boxes]
        }}"""
    )
    assert boxes == ["120,80"]
    assert page.tab.evaluate("() => events") == ["loadstart", "load", "loadend"]


def release(page) -> None:
    """Scroll the lazy picture at the top of the page out of reach."""
    page.waits_for(SHOWN)
    page.tab.set_viewport_size({"width": 300, "height": 200})
    page.tab.evaluate(
        """() => {
          const space = document.createElement('div')
          space.style.height = '9000px'
          document.body.append(space)
          scrollTo(0, 8000)
        }"""
    )
    page.waits_for("urls.size === 0")


def test_a_released_picture_comes_back_in_its_newest_version(page, endpoint):
    """A picture that gets a new token while it is out of reach loads the new version when it comes near again."""
    replaces_body(page, tag(endpoint.add("a", picture(120, 80))))
    release(page)
    record = endpoint.add("a", picture(60, 40))

    page.tab.evaluate(
        "(token) => { document.querySelector('pixstore-image').token = token }", record["token"]
    )
    page.tab.wait_for_timeout(50)
    assert page.tab.evaluate(BOX) == [120, 80]
    assert len(endpoint.asked) == 1

    page.tab.evaluate("() => scrollTo(0, 0)")
    page.waits_for("document.querySelector('pixstore-image').naturalWidth === 60")
    assert page.tab.evaluate(BOX) == [60, 40]
    assert page.waits_for("events.length >= 6 && events") == ["loadstart", "load", "loadend"] * 2


def test_a_released_picture_that_is_no_longer_lazy(page, endpoint):
    """A released picture whose loading becomes eager is brought back wherever it stands."""
    replaces_body(page, tag(endpoint.add("a")))
    release(page)

    page.tab.evaluate("() => { document.querySelector('pixstore-image').loading = 'eager' }")

    page.waits_for("urls.size === 1")
    assert page.tab.evaluate("() => events") == ["loadstart", "load", "loadend"]


def test_a_released_picture_that_cannot_come_back(page, endpoint):
    """Bringing a released picture back is silent, unless it fails: then there is an error event."""
    replaces_body(page, tag(endpoint.add("a")))
    release(page)
    page.cached()
    page.runs("({ deleteCachedImage }) => deleteCachedImage('a')")
    endpoint.images.clear()

    page.tab.evaluate("() => scrollTo(0, 0)")

    page.waits_for(FAILED)
    assert page.waits_for("events.length >= 5 && events.slice(3)") == ["error", "loadend"]
    page.expects("does not exist")


# --- size ---


def test_no_layout_shift(page, endpoint):
    """With width and height the box has its size from the start, and nothing moves when the picture comes."""
    endpoint.before_payload = lambda _: time.sleep(0.2)
    page.tab.evaluate(
        """() => {
          window.shift = 0
          new PerformanceObserver((list) => { for (const { value } of list.getEntries()) shift += value })
            .observe({ type: 'layout-shift', buffered: true })
        }"""
    )
    replaces_body(
        page, tag(endpoint.add("a", picture(400, 300)), width=200, height=150) + "<p>text below</p>"
    )

    assert page.tab.evaluate(BOX) == [200, 150]
    page.waits_for(SHOWN)
    assert page.tab.evaluate(BOX) == [200, 150]
    assert page.tab.evaluate("() => shift") == 0


def test_style_sheets_decide_over_width_and_height(page, endpoint):
    """The page's style overrides width and height; if it sets only one of them, the proportions are kept."""
    replaces_body(page, tag(endpoint.add("a", picture(400, 300)), width=200, height=150))
    page.waits_for(SHOWN)
    page.tab.evaluate("() => { document.querySelector('pixstore-image').style.width = '100px' }")
    box = page.tab.evaluate(BOX)

    assert box == [100, 75]


def test_object_fit_reaches_the_picture(page, endpoint):
    """object-fit, object-position and border-radius are set on the element, as on <img>."""
    replaces_body(page, tag(endpoint.add("a", picture(400, 300))))
    page.waits_for(SHOWN)

    style = page.tab.evaluate(
        """() => {
          const host = document.querySelector('pixstore-image')
          Object.assign(host.style, { objectFit: 'cover', width: '50px', height: '50px', borderRadius: '7px' })
          const image = host.shadowRoot.querySelector('img')
          const { objectFit, borderRadius } = getComputedStyle(image)
          return [objectFit, borderRadius, image.width, image.height]
        }"""
    )

    assert style == ["cover", "7px", 50, 50]


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
