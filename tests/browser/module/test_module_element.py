"""<pixstore-image> shows a picture like <img>: its events, its size, and when it loads."""

import time

import pytest

from tests.browser.module.element_page import BOX, FAILED, SHOWN, replaces_body, watched
from tests.browser.module.page import tag
from tests.browser.module.server import picture


@pytest.fixture
def page(new_page):
    """A tab with the module loaded, which is watched."""
    return watched(new_page())


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
