"""The search for secrets finds what lies in any of the places where it looks."""

import os

import pytest
from werkzeug.wrappers import Request, Response

from tests.browser.conftest import chromium_with_files
from tests.browser.secrecy.traces import WITHIN_REACH, Sought, files_of
from tests.servers import serving

pytestmark = pytest.mark.browser

PLANT = """async ({ indexeddb, view, local, session, caches: cached }) => {
  const bytes = (hex) => Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16))
  const settled = (request) => new Promise((resolve) => { request.onsuccess = () => resolve(request.result) })
  const request = indexedDB.open('planted', 1)
  request.onupgradeneeded = () => request.result.createObjectStore('things')
  const database = await settled(request)
  const transaction = database.transaction('things', 'readwrite')
  transaction.objectStore('things').put({ key: bytes(indexeddb) }, 1)
  transaction.objectStore('things').put({ image: bytes(view + '00ff').subarray(32) }, 2)
  await new Promise((resolve) => { transaction.oncomplete = resolve })
  database.close()
  localStorage.planted = btoa(String.fromCharCode(...bytes(local)))
  sessionStorage.planted = session
  await (await caches.open('planted')).put('/there', new Response(bytes(cached)))
  await (await fetch('/cached')).arrayBuffer()
}"""


@pytest.fixture(scope="module")
def planted(browser, tmp_path_factory):
    """Plant a key in each place; return what is found in storages, in the page and in the files."""
    profile = tmp_path_factory.mktemp("planted")
    places = ("indexeddb", "view", "local", "session", "caches", "dom", "cached")
    keys = {place: os.urandom(32) for place in places}
    sought = Sought()
    for place, key in keys.items():
        sought.add(place, key)

    @Request.application
    def site(request: Request) -> Response:
        if request.path == "/cached":
            return Response(keys["cached"] * 4, headers={"Cache-Control": "max-age=3600"})
        return Response(f"<title>t</title><p data-key={keys['dom'].hex()}>", mimetype="text/html")

    with serving(site) as port, chromium_with_files(browser, profile) as context:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        page.evaluate(PLANT, {place: key.hex() for place, key in keys.items()})
        reach = page.evaluate(WITHIN_REACH)
    return {
        "storages": sought.within([reach["kept"].encode()]),
        "page": sought.within([reach["page"].encode()]),
        "files": sought.within(files_of(profile)),
    }


@pytest.mark.parametrize("place", ["indexeddb", "view", "local", "session", "caches"])
def test_a_key_in_a_storage_is_found(planted, place):
    """A key in any storage of the browser is found by a script of the page."""
    assert place in planted["storages"]


@pytest.mark.parametrize("place", ["indexeddb", "view", "local", "session", "caches", "cached"])
def test_a_key_in_a_file_is_found(planted, place):
    """A key in any storage, in the buffer behind a stored view, or in the HTTP cache, is found on disk."""
    assert place in planted["files"]


def test_a_key_in_the_page_is_found(planted):
    """A key in an attribute of an element is found."""
    assert planted["page"] == {"dom"}


def test_a_secret_in_pieces_is_found():
    """A secret is found in every form it may be written in, and where a part of it is missing or stands elsewhere."""
    secret = bytes(range(100, 132))
    sought = Sought()
    sought.add("it", secret)

    assert sought.within([b"x" + secret[:20] + b"--" + secret[20:]]) == {"it"}
    assert sought.within([secret.hex().encode()[5:]]) == {"it"}
    assert sought.within([b"ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM="]) == {"it"}
    assert sought.within([secret[:15], secret[16:31]]) == set()
