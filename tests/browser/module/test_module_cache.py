"""
The promises of the cache: it saves requests, keeps its limits and belongs to one owner; and whatever happens to it, the
picture is shown.
"""

import base64
import os
from contextlib import contextmanager

import pytest

from tests.browser.conftest import chromium_with_files
from tests.browser.module.page import ModulePage
from tests.browser.module.server import picture
from tests.eventually import eventually

DATABASE = "pixstore"

# Opens the database as another program would: without listening to anything.
RAW = """
const raw = (name, version) => new Promise((resolve, reject) => {
  const request = indexedDB.open(name, version)
  request.onsuccess = () => resolve(request.result)
  request.onerror = () => reject(request.error)
})
const all = (database, store) => new Promise((resolve, reject) => {
  const request = database.transaction(store).objectStore(store).getAll()
  request.onsuccess = () => resolve(request.result)
  request.onerror = () => reject(request.error)
});
"""

only_by_devtools = pytest.mark.not_in(
    "firefox", "webkit", reason="the fault is caused by developer tools, which only Chromium lends to tests"
)


def rows(page: ModulePage, store: str = "images-uses") -> list[dict]:
    """Return the rows of an object store."""
    script = f"async ([name, store]) => {{ {RAW} const db = await raw(name); const found = await all(db, store); db.close(); return found }}"
    return page.tab.evaluate(script, [DATABASE, store])


def ids(page: ModulePage) -> set[str]:
    """Return the ids of the images that are cached."""
    return {row["id"] for row in rows(page)}


def changes(page: ModulePage, image_id: str, change: str) -> None:
    """Damage a cached row by a script that changes *row*."""
    page.tab.evaluate(
        f"""async ([name, id]) => {{
          {RAW}
          const db = await raw(name)
          const store = db.transaction('images', 'readwrite').objectStore('images')
          await new Promise((resolve) => {{
            store.get(id).onsuccess = ({{ target: {{ result: row }} }}) => {{
              {change}
              store.put(row).onsuccess = resolve
            }}
          }})
          db.close()
        }}""",
        [DATABASE, image_id],
    )


# --- hits ---


def test_a_batch_of_hits_is_one_read_transaction(page, endpoint):
    """Twenty hits at once cost one readonly transaction, no write of bytes and no request."""
    records = [endpoint.add(f"a{n}") for n in range(20)]
    page.gets(*records)
    page.cached()
    page.opens()
    page.tab.evaluate(
        """() => {
          window.transactions = []
          const { transaction } = IDBDatabase.prototype
          IDBDatabase.prototype.transaction = function (stores, mode, options) {
            window.transactions.push([[stores].flat().join(' '), mode ?? 'readonly', options?.durability ?? ''])
            return transaction.call(this, stores, mode, options)
          }
        }"""
    )

    assert all(page.gets(*records))
    seen = page.waits_for("window.transactions.length > 2 && window.transactions")
    whose = ["images-about", "readonly", ""]  # asked once in the life of a page
    assert seen == [whose, ["images", "readonly", ""], ["images-uses", "readwrite", "relaxed"]]
    assert len(endpoint.asked) == 20


def test_uses_are_noted_for_many_at_once(page, endpoint):
    """Several hits update their times of use in one small write, which does not touch the bytes."""
    records = [endpoint.add(f"a{n}") for n in range(3)]
    page.gets(*records)
    page.cached()
    before = {row["id"]: row["lastUsed"] for row in rows(page)}
    page.tab.wait_for_timeout(10)

    page.gets(*records[:2])

    def used_later() -> set[str]:
        return {row["id"] for row in rows(page) if row["lastUsed"] > before[row["id"]]}

    eventually(lambda: used_later() == {"a0", "a1"})


def test_what_is_not_written_yet_is_a_hit(page, endpoint):
    """A picture asked for again before it has been written is not fetched again."""
    record = endpoint.add("a")

    page.gets(record)
    page.gets(record)

    assert len(endpoint.asked) == 1


# --- limits ---


def test_least_recently_used_go_first(page, endpoint):
    """When there are too many images, the least recently used are evicted, a few more than needed."""
    page.configures(frontendImageCacheLimit=10, frontendCleanupBatch=3)
    for n in range(10):
        page.gets(endpoint.add(f"a{n}"))
        page.cached()
    page.gets(endpoint.record("a0"), endpoint.record("a1"))
    eventually(
        lambda: (
            {row["id"] for row in sorted(rows(page), key=lambda row: row["lastUsed"])[-2:]} == {"a0", "a1"}
        )
    )

    page.gets(endpoint.add("new"))
    usage = page.cached()

    assert ids(page) == {"a0", "a1", "a6", "a7", "a8", "a9", "new"}
    assert usage["images"] == 7


def test_limit_by_bytes(page, endpoint):
    """When there are too many bytes, old images are evicted until the limit is kept, and no more."""
    image = picture(200, 200)
    page.configures(cacheBytesLimit=len(image) * 5)
    for n in range(5):
        page.gets(endpoint.add(f"a{n}", image))
        page.cached()
    assert page.cached()["images"] == 5

    page.gets(endpoint.add("new", image))
    usage = page.cached()

    assert ids(page) == {"a2", "a3", "a4", "new"}
    assert usage == {"images": 4, "bytes": 4 * len(image)}


def test_an_image_larger_than_the_cache(page, endpoint):
    """An image larger than the whole cache is shown, but not cached, and evicts nothing."""
    small, large = picture(), picture(900, 900)
    page.configures(cacheBytesLimit=len(large) - 1)

    assert all(page.gets(endpoint.add("small", small), endpoint.add("large", large)))
    page.cached()
    assert ids(page) == {"small"}


def test_two_tabs_keep_one_limit(new_page, endpoint):
    """Two tabs that fill the cache at the same time keep its limits together, and its totals stay right."""
    options = {"frontendImageCacheLimit": 30, "frontendCleanupBatch": 5}
    tabs = [new_page().opens(config=options) for _ in range(2)]
    lists = [[endpoint.add(f"{name}{n}") for n in range(60)] for name in "ab"]

    for tab, records in zip(tabs, lists, strict=True):
        tab.runs(
            """({ getImages }, records) => {
              window.done = (async () => {
                for (let at = 0; at < records.length; at += 4) {
                  await getImages(records.slice(at, at + 4))
                  await new Promise((resolve) => setTimeout(resolve, 15))
                }
              })()
            }""",
            records,
        )
    for tab in tabs:
        tab.tab.evaluate("() => window.done")
        tab.cached()

    usage, left = tabs[0].cached(), rows(tabs[0])
    assert 20 <= len(left) <= 30
    assert usage == {"images": len(left), "bytes": sum(row["size"] for row in left)}
    assert {row["id"] for row in rows(tabs[0], "images")} == {row["id"] for row in left}


def limit_storage(page: ModulePage, size: int) -> None:
    """Grant the origin of *page* so many bytes."""
    devtools = page.tab.context.new_cdp_session(page.tab)
    devtools.send("Storage.overrideQuotaForOrigin", {"origin": page.endpoint.url, "quotaSize": size})


@only_by_devtools
def test_a_full_disk_makes_room(new_page, endpoint):
    """When the browser refuses a write for lack of space, the oldest images are evicted and the write is repeated."""
    page = new_page()
    page.tab.add_init_script("StorageManager.prototype.estimate = () => Promise.reject(new Error())")
    page.opens()
    image = picture(500, 500, kind="BMP")
    limit_storage(page, 5 * len(image))

    for n in range(8):
        assert page.gets(endpoint.add(f"a{n}", image))[0]
        page.cached()

    assert "a7" in ids(page)
    assert "a0" not in ids(page)


@only_by_devtools
def test_a_disk_with_no_room_at_all(new_page, endpoint):
    """If not even one picture can be cached, pictures are shown uncached."""
    page = new_page().opens()
    limit_storage(page, 1)
    image = picture(500, 500, kind="BMP")

    assert all(page.gets(endpoint.add("a", image), endpoint.add("b", image)))
    assert page.cached()["images"] == 0
    assert page.gets(endpoint.record("a"))[0]


@only_by_devtools
def test_part_of_the_quota_stays_free(new_page, endpoint):
    """The cache does not grow into the last tenth of what the browser grants."""
    page = new_page().opens()
    image = picture(500, 500, kind="BMP")
    limit_storage(page, 5 * len(image))

    for n in range(6):
        page.gets(endpoint.add(f"a{n}", image))
        page.cached()

    assert 1 <= page.cached()["images"] <= 4


@pytest.mark.not_in("webkit", reason="WebKitGTK has no navigator.storage; persistCache() gives false")
def test_storage_is_made_persistent_only_by_a_gesture(new_page):
    """persistCache() asks the browser from within a click, and never of its own accord."""
    page = new_page()
    page.tab.add_init_script(
        """window.asked = 0
        if (window.StorageManager) StorageManager.prototype.persist = async () => { window.asked += 1; return true }"""
    )
    page.opens("<button>keep</button>")

    assert page.runs_without_gesture("({ persistCache }) => persistCache()") is False
    assert page.tab.evaluate("() => window.asked") == 0

    page.runs(
        """({ persistCache }) => {
          document.querySelector('button').onclick = async () => { window.kept = await persistCache() }
        }"""
    )
    page.tab.get_by_role("button").click()
    assert page.waits_for("window.kept") is True


# --- what can happen to the database ---


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


# --- owners ---


def test_another_owner_finds_nothing(new_page, endpoint):
    """When another user opens a page, the cached images are dropped, even if that page shows no picture."""
    new_page().opens(config={"cacheOwner": "anna"}).gets(endpoint.add("a"))
    first = new_page().opens(config={"cacheOwner": "anna"})
    assert first.has_cached("a") is True

    second = new_page().opens(config={"cacheOwner": "ben"})

    eventually(lambda: rows(second, "images") == [])


def test_a_tab_of_the_user_before(new_page, endpoint):
    """A tab that the previous user left open neither reads the next user's cache nor writes to it."""
    left_open = new_page().opens(config={"cacheOwner": "anna"})
    left_open.gets(endpoint.add("a"))
    left_open.cached()
    other = new_page().opens(config={"cacheOwner": "ben"})
    other.gets(endpoint.add("b"))
    other.cached()

    assert left_open.gets(endpoint.add("c"), endpoint.record("b"))
    left_open.cached()

    assert ids(other) == {"b"}
    assert endpoint.asked_ids().count("b") == 2


def test_logging_out_in_another_tab(new_page, endpoint):
    """After clearCache() in one tab, another tab caches nothing until it is reloaded."""
    tabs = [new_page().opens(config={"cacheOwner": "anna"}) for _ in range(2)]
    for tab, name in zip(tabs, "ab", strict=True):
        tab.gets(endpoint.add(name))
        tab.cached()

    tabs[0].runs("({ clearCache }) => clearCache()")
    tabs[1].gets(endpoint.add("c"))
    tabs[1].cached()
    assert ids(tabs[0]) == set()

    tabs[1].opens(config={"cacheOwner": "anna"}).gets(endpoint.record("c"))
    tabs[1].cached()
    assert ids(tabs[0]) == {"c"}


def test_clearing_the_cache_of_a_page_that_goes_on(new_page, endpoint):
    """A page that clears the cache itself goes on using it: the next picture is cached."""
    page = new_page().opens(config={"cacheOwner": "anna"})
    page.gets(endpoint.add("a"))
    page.cached()

    # Written, looked up and counted while the cache is being emptied.
    page.runs(
        """({ clearCache, getImages, cacheUsage }, records) => Promise.all([
          getImages(records), clearCache(), getImages(records), cacheUsage(), clearCache(), cacheUsage()])""",
        [endpoint.record("a"), endpoint.add("b")],
    )
    page.gets(endpoint.add("c"))
    page.cached()

    assert "c" in ids(page)
    page.opens(config={"cacheOwner": "anna"}).gets(endpoint.record("c"))
    assert endpoint.asked_ids().count("c") == 1


def test_the_owner_is_not_written_down(page, endpoint):
    """Only a fingerprint of the owner is stored."""
    page.configures(cacheOwner="anna@example.org")
    page.gets(endpoint.add("a"))
    page.cached()

    (about,) = rows(page, "images-about")
    assert "anna" not in str(about)


def test_another_cache_mode_starts_empty(page, endpoint):
    """A page with cacheMode 'encrypted' drops the decrypted pictures cached before."""
    record = endpoint.add("a")
    page.gets(record)
    page.cached()

    page.opens(config={"cacheMode": "encrypted"}).gets(record)
    page.cached()

    assert (
        page.tab.evaluate(
            f"async () => {{ {RAW} const [row] = await all(await raw('{DATABASE}'), 'images'); return row.bytes.type }}"
        )
        == ""
    )


# --- cache modes ---


def test_encrypted_mode_hits_with_meta(page, endpoint):
    """With cacheMode 'encrypted' a record with meta is a hit, decrypted from the cached ciphertext."""
    config = {"cacheMode": "encrypted"}
    endpoint.add("a", picture(colour="red"))
    record = endpoint.record("a", meta=True)
    page.opens(config=config)
    cold = page.gets(record)
    page.cached()
    page.opens(config=config)

    assert page.gets(record) == cold
    assert len(endpoint.asked) == 1


def test_encrypted_mode_needs_meta(page, endpoint):
    """With cacheMode 'encrypted' a record without meta is fetched each time: the browser keeps no key."""
    page.opens(config={"cacheMode": "encrypted"})
    record = endpoint.add("a")

    page.gets(record)
    page.cached()

    assert page.gets(record)[0]
    assert [asked.token for asked in endpoint.asked] == [None, None]


def test_encrypted_mode_with_damaged_ciphertext(page, endpoint):
    """Ciphertext that was altered on disk is dropped and fetched again."""
    config = {"cacheMode": "encrypted"}
    endpoint.add("a")
    record = endpoint.record("a", meta=True)
    page.opens(config=config).gets(record)
    page.cached()
    page.opens(config=config)
    changes(page, "a", "row.bytes = new Blob([new Uint8Array(row.size)])")

    assert page.gets(record)[0]["bytes"] == base64.b64encode(picture()).decode()
    page.cached()
    page.opens(config=config)
    assert page.gets(record)[0]["bytes"] == base64.b64encode(picture()).decode()
    assert len(endpoint.asked) == 2


# --- no key anywhere ---


@contextmanager
def profile(browser, folder):
    """Run a browser that keeps its files in *folder*, and close it."""
    if hasattr(browser, "profile"):
        with browser.profile(folder) as context:
            yield context
    else:
        with chromium_with_files(browser, folder) as context:
            yield context


def found_in(folder, secrets: dict[bytes, str]) -> set[str]:
    """Return the names of the secrets that are in a file below *folder*."""
    files = [file.read_bytes() for file in folder.rglob("*") if file.is_file()]
    return {name for secret, name in secrets.items() for file in files if secret in file}


@pytest.mark.parametrize("mode", ["decrypted", "encrypted"])
def test_no_key_in_the_browsers_files(browser, endpoint, tmp_path, mode):
    """After a session no file of the browser's profile holds a key or a proof; a planted key is found."""
    records = [endpoint.add(f"a{n}", picture(40 * n + 40, 40)) for n in range(6)]
    records += [endpoint.record(endpoint.add(f"m{n}")["id"], meta=True) for n in range(3)]
    secrets = {b"proof-now": "proof"}
    for name, sealed in endpoint.images.items():
        keys = (sealed.key, base64.b64encode(sealed.key), sealed.key.hex().encode(), sealed.iv + sealed.tag)
        secrets |= dict.fromkeys(keys, name)

    with profile(browser, tmp_path) as context:
        page = ModulePage(context, endpoint)
        for _ in range(2):
            page.opens(config={"cacheMode": mode, "cacheOwner": "u1"})
            page.gets(*records)
            assert page.cached()["images"] == 9
    assert found_in(tmp_path, secrets) == set()

    with profile(browser, tmp_path) as context:
        page = ModulePage(context, endpoint).opens()
        script = f"""async (key) => {{
          {RAW}
          const written = (await raw('{DATABASE}')).transaction('images', 'readwrite')
          written.objectStore('images').put({{ id: 'z', view: Uint8Array.from(key) }})
          await new Promise((done) => {{ written.oncomplete = done }})
        }}"""
        page.tab.evaluate(script, list(endpoint.images["a0"].key))
    assert found_in(tmp_path, secrets) == {"a0"}


def test_no_picture_in_the_browsers_files_after_logging_out(browser, endpoint, tmp_path):
    """The cache holds pictures while somebody is logged in; after logging out no byte of them is left on disk."""
    images = {f"a{n}": os.urandom(size) for n, size in enumerate((500, 5_000, 70_000, 900_000))}
    records = [endpoint.add(name, image) for name, image in images.items()]
    marks = {
        image[at : at + 40]: name
        for name, image in images.items()
        for at in (0, len(image) // 2, len(image) - 40)
    }

    with profile(browser, tmp_path) as context:
        page = ModulePage(context, endpoint).opens(config={"cacheOwner": "u1"})
        page.gets(*records)
        page.cached()
        assert found_in(tmp_path, marks) == set(images)

        page.opens(config={"cacheOwner": ""})
        page.runs("({ clearCache }) => clearCache()")
        eventually(lambda: found_in(tmp_path, marks) == set())
    assert found_in(tmp_path, marks) == set()


def test_no_key_in_storage_or_page(page, endpoint):
    """No key, proof or payload lies in any storage that scripts can read, nor in the markup of the page."""
    record = endpoint.add("a")
    page.opens(
        f'<pixstore-image image-id="a" token="{record["token"]}" alt="x"></pixstore-image>',
        config={"recordUrl": "/records"},
    )
    page.waits_for("document.querySelector('pixstore-image').complete")
    page.cached()

    everything = page.tab.evaluate(
        f"""async () => {{
          {RAW}
          const database = await raw('{DATABASE}')
          const stores = await Promise.all([...database.objectStoreNames].map((store) => all(database, store)))
          const markup = document.documentElement.outerHTML + document.querySelector('pixstore-image').shadowRoot.innerHTML
          return [JSON.stringify(stores), JSON.stringify({{ ...localStorage, ...sessionStorage }}),
            String(await caches.keys()), document.cookie, markup].join('|')
        }}"""
    )

    sealed = endpoint.images["a"]
    assert base64.b64encode(sealed.key).decode() not in everything
    assert sealed.key.hex() not in everything
    assert "proof-now" not in everything
