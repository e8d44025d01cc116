"""The promises of the cache: it saves requests, keeps its limits, and keeps what its mode says."""

import base64

import pytest

from tests.browser.module.cached_rows import changes, ids, limit_storage, only_by_devtools, rows
from tests.browser.module.server import picture
from tests.eventually import eventually

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
