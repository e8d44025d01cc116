"""Whatever happens to the database of the cache, the picture is shown."""

import base64

import pytest

from tests.browser.module.cached_rows import DATABASE, RAW, changes, ids, only_by_devtools, rows
from tests.browser.module.server import picture
from tests.eventually import eventually


def test_a_browser_that_cannot_promise_storage(new_page, endpoint):
    """Without navigator.storage, persistCache() gives false, and pictures are cached nevertheless."""
    page = new_page()
    page.tab.add_init_script(
        "Object.defineProperty(Navigator.prototype, 'storage', { get: () => undefined })"
    )
    page.opens()

    assert page.runs("({ persistCache }) => persistCache()") is False
    page.gets(endpoint.add("a"))
    assert page.cached()["images"] == 1


@pytest.mark.parametrize(
    "damage",
    [
        "row.bytes = null",
        "row.bytes = new Blob([])",
        "row.bytes = row.bytes.slice(1)",
        "row.bytes = [1, 2, 3]",
        "delete row.bytes",
    ],
)
def test_a_damaged_entry(page, endpoint, damage):
    """A damaged entry is dropped, and the image is fetched and cached again."""
    record = endpoint.add("a")
    page.gets(record)
    page.cached()
    page.opens()
    changes(page, "a", damage)

    assert page.gets(record)[0]["bytes"] == base64.b64encode(picture()).decode()
    page.cached()
    page.opens()
    assert page.gets(record)[0]["bytes"] == base64.b64encode(picture()).decode()
    assert len(endpoint.asked) == 2


@pytest.mark.parametrize(
    "absence",
    [
        "Object.defineProperty(window, 'indexedDB', { value: undefined })",
        "Object.defineProperty(window, 'indexedDB', { get() { throw new DOMException('no', 'SecurityError') } })",
        "IDBFactory.prototype.open = () => { throw new DOMException('no', 'SecurityError') }",
        "IDBDatabase.prototype.transaction = () => { throw new DOMException('no', 'UnknownError') }",
        "IDBObjectStore.prototype.put = () => { throw new DOMException('no', 'DataCloneError') }",
    ],
)
def test_no_indexeddb(new_page, endpoint, absence):
    """If IndexedDB is missing (private windows) or broken, pictures are shown uncached."""
    page = new_page()
    page.tab.add_init_script(absence)
    page.opens(config={"cacheOwner": "u1"})
    record = endpoint.add("a")

    assert page.gets(record)[0]
    assert page.has_cached("a") in (False, None)
    assert page.gets(record)[0]
    page.expects("The browser's storage does not work")


def test_an_indexeddb_that_does_not_answer(new_page, endpoint):
    """If IndexedDB hangs, pictures wait for it once and for a short time, and are shown."""
    page = new_page()
    page.tab.add_init_script(
        """const { open } = IDBFactory.prototype
        IDBFactory.prototype.open = function (...names) {
          const request = open.apply(this, names)
          request.addEventListener = () => {}
          return request
        }"""
    )
    page.opens()

    times = page.runs(
        """async ({ getImage }, records) => {
          const times = []
          for (const record of records) {
            const start = performance.now()
            await getImage(record)
            times.push(performance.now() - start)
          }
          return times
        }""",
        [endpoint.add("a"), endpoint.add("b")],
    )

    assert times[0] < 3000
    assert times[1] < 500


def test_an_older_tab_in_the_way(new_page, endpoint):
    """A tab that keeps an older database open (`blocked`) does not hold up pictures; when it closes it, caching begins."""
    old = new_page().opens()
    old.tab.evaluate(f"async () => {{ {RAW} window.held = await raw('{DATABASE}', 1) }}")
    page = new_page().opens()

    assert page.gets(endpoint.add("a"))[0]
    old.tab.evaluate("() => window.held.close()")
    eventually(lambda: page.gets(endpoint.add("b")) and (page.cached() or {}).get("images"))
    page.expects("another tab keeps an older cache open", "The browser's storage does not work")


def test_a_newer_tab_is_let_through(new_page, endpoint):
    """A tab with a newer schema is not blocked (`versionchange`); the older tab goes on, uncached."""
    page = new_page().opens()
    page.gets(endpoint.add("a"))
    page.cached()
    newer = new_page().opens()

    upgraded = newer.tab.evaluate(
        f"async () => {{ {RAW} window.held = await raw('{DATABASE}', 999); return held.version }}"
    )

    assert upgraded == 999
    assert page.gets(endpoint.add("b"))[0]
    assert page.gets(endpoint.add("c"))[0]
    assert newer.tab.evaluate("() => window.held.version") == 999


def test_going_back_to_an_older_release(new_page, endpoint):
    """A page that finds the database of a newer release replaces it by its own, rather than never caching again."""
    page = new_page().opens()
    page.tab.evaluate(f"async () => {{ {RAW} (await raw('{DATABASE}', 99_999)).close() }}")

    page.gets(endpoint.add("a"))

    assert page.cached()["images"] == 1


@pytest.mark.parametrize("version", [1, 101])
def test_a_database_of_another_make(new_page, endpoint, version):
    """A database of this name that the npm frontend or another program has left is dropped: it may hold keys."""
    page = new_page().opens()
    page.tab.evaluate(
        """async ([name, version]) => {
          const database = await new Promise((resolve) => {
            const request = indexedDB.open(name, version)
            request.onupgradeneeded = () => request.result.createObjectStore('images', { keyPath: 'id' })
            request.onsuccess = () => resolve(request.result)
          })
          const store = database.transaction('images', 'readwrite').objectStore('images')
          await new Promise((resolve) => { store.put({ id: 'a', token: 1, encrypted: new Uint8Array(99) }).onsuccess = resolve })
          database.close()
        }""",
        [DATABASE, version],
    )

    page.gets(endpoint.add("b"))
    page.cached()

    assert {row["id"] for row in rows(page, "images")} == {"b"}


def test_a_raised_version_drops_the_cache(page, endpoint):
    """FrontendDbVersion is how a page author drops everybody's cache."""
    record = endpoint.add("a")
    page.gets(record)
    page.cached()

    page.opens(config={"frontendDbVersion": 2})
    page.gets(record)
    page.cached()
    assert len(endpoint.asked) == 2

    page.opens(config={"frontendDbVersion": 2}).gets(record)
    assert len(endpoint.asked) == 2


def test_a_lost_connection_is_opened_again(page, endpoint):
    """When the browser closes the connection of a page that is still open, the next picture opens another."""
    page.tab.evaluate(
        """() => {
          const { open } = IDBFactory.prototype
          window.connections = []
          IDBFactory.prototype.open = function (...options) {
            const request = open.apply(this, options)
            request.addEventListener('success', () => window.connections.push(request.result))
            return request
          }
        }"""
    )
    records = [endpoint.add(name) for name in "abcd"]
    page.gets(records[0])
    page.cached()

    # A connection that was lost tells so by an event; one that is closing says so when it is used.
    page.tab.evaluate("() => { connections[0].close(); connections[0].dispatchEvent(new Event('close')) }")
    page.gets(records[1])
    page.cached()
    page.tab.evaluate("() => connections[1].close()")
    page.gets(records[2])
    page.cached()

    assert ids(page) == {"a", "b", "c"}
    assert page.tab.evaluate("() => connections.length") == 4


@only_by_devtools
def test_the_database_deleted_under_a_live_page(page, endpoint):
    """If the site's storage is deleted while the page is open, pictures are still shown, and a reload caches them again."""
    record = endpoint.add("a")
    page.gets(record)
    page.cached()
    devtools = page.tab.context.new_cdp_session(page.tab)
    devtools.send("Storage.clearDataForOrigin", {"origin": endpoint.url, "storageTypes": "indexeddb"})

    assert page.gets(record)[0]
    assert page.gets(endpoint.add("b"))[0]
    page.opens()
    page.gets(record)
    assert page.cached()["images"] == 1


def test_an_aborted_write(page, endpoint):
    """A write transaction that the browser aborts leaves no partial entry, and no picture fails."""
    page.gets(endpoint.add("a"))
    page.cached()
    page.tab.evaluate(
        """() => {
          const { put } = IDBObjectStore.prototype
          IDBObjectStore.prototype.put = function (...row) {
            const request = put.apply(this, row)
            if (this.name === 'images') this.transaction.abort()
            return request
          }
        }"""
    )

    assert all(page.gets(endpoint.add("b"), endpoint.add("c")))
    assert page.cached()["images"] == 1
    assert ids(page) == {"a"}


def test_a_page_that_was_left_holds_up_no_other(page, endpoint):
    """A page that the browser keeps for "back" does not stop the pages after it from caching."""
    for number in range(1, 7):
        page.opens(path=f"/{number}")
        page.gets(endpoint.add(f"a{number}"), *map(endpoint.record, endpoint.images))
        assert page.cached()["images"] == number

    page.tab.go_back()
    page.waits_for("location.pathname === '/5'")
    page.gets(endpoint.add("new"))
    assert page.cached()["images"] == 7


def test_a_tab_closed_while_writing(new_page, endpoint):
    """A tab that is closed right after its pictures came leaves whole entries or none."""
    image = picture(600, 600, kind="BMP")
    records = [endpoint.add(f"a{n}", image) for n in range(5)]
    closing = new_page().opens()
    closing.runs("({ getImages }, records) => { getImages(records) }", records)
    closing.tab.wait_for_timeout(60)
    closing.tab.close()

    page = new_page().opens()
    usage = page.cached()

    assert usage == {"images": len(rows(page)), "bytes": sum(row["size"] for row in rows(page))}
    assert [one["bytes"] for one in page.gets(*records)] == [base64.b64encode(image).decode()] * 5
