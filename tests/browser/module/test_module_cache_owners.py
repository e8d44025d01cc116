"""The cache belongs to one owner, and no key is in it."""

import base64
import os
from contextlib import contextmanager

import pytest

from tests.browser.conftest import chromium_with_files
from tests.browser.module.cached_rows import DATABASE, RAW, ids, rows
from tests.browser.module.page import ModulePage
from tests.browser.module.server import picture
from tests.eventually import eventually

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
