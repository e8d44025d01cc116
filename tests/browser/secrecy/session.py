"""A person's whole day with a gallery, in a browser that keeps its files, and all secrets that were used in it."""

import base64
import json
import sqlite3
from contextlib import closing
from pathlib import Path

from playwright.sync_api import BrowserContext, Request, Response

from pixstore.config import Config
from pixstore.store import ImageStore
from tests.browser.gallery.gallery_page import GalleryPage
from tests.browser.secrecy.traces import WITHIN_REACH, Sought, files_of
from tests.gallery_server import GalleryServer

PASSWORDS = {"maria": "a long and private sentence", "otto": "an entirely other sentence"}

# Chromium's own store of cookies holds the cookie of a login: that is how the browser stays logged in.
COOKIES = {"Cookies": "the login itself", "Cookies-journal": "the login itself"}


class Session:
    """One tab of a browser with files, and what has been learned while it was used."""

    def __init__(self, context: BrowserContext, server: GalleryServer, profile: Path) -> None:
        self._context, self._server, self._profile = context, server, profile
        self.person = GalleryPage(context, server.url)
        self.keys, self.secrets, self.pictures = Sought(), Sought(), Sought()
        self.keys_used: set[bytes] = set()
        self.proofs_used: set[str] = set()
        self._sources: list[bytes] = []
        page = self.person.page
        page.on("request", self._learn_proofs)
        page.on("response", self._keep_source)
        page.on("console", lambda line: self._sources.append(line.text.encode()))
        page.on("framenavigated", lambda frame: self._sources.append(frame.url.encode()))
        for name, password in PASSWORDS.items():
            self.keys.add_text(f"password of {name}", password)

    # --- what is learned

    def uploads(self, *files: Path) -> None:
        """Upload pictures, and look for them and their keys from now on."""
        self.person.uploads(*files)
        self.learns()

    def learns(self) -> None:
        """Take down every key that the store has now, and what it has given to this browser."""
        with closing(ImageStore.open(Config(data_dir=self._server.data_dir))) as store, store.connected():
            keyring = store.parts.keyring.latest()
            for store_key in keyring.store_keys.values():
                self.keys.add("store key", store_key.secret)
            self.keys.add("service secret", keyring.service_secret)
            for row in store.parts.models.image.select():
                self._learn_image(store, row.id)
        self.keys.add("master key", base64.b64decode((self._server.data_dir / "master.key").read_bytes()))
        for cookie in self._context.cookies():
            # The device cookie has a token for each account; its id, in front, is no secret.
            for token in cookie["value"].split("~"):
                is_device = cookie["name"].endswith("-device")
                self.secrets.add_text(cookie["name"], token.partition(".")[2] if is_device else token)
        for field in self.person.page.locator("input[name=csrf_token]").all():
            self.secrets.add_text("CSRF token", field.input_value())

    def _learn_image(self, store: ImageStore, image_id: str) -> None:
        record = store.record(image_id)
        assert record is not None
        assert record.meta is not None
        key, iv = base64.b64decode(record.meta.key), base64.b64decode(record.meta.iv)
        self.keys_used.add(key)
        self.keys.add(f"key of {image_id}", key)
        self.keys.add(f"key of {image_id}", key + iv)  # as in an answer of the endpoint
        image = store.load(image_id)
        for part in range(1, 8):
            middle = len(image) * part // 8
            self.pictures.add_bytes(f"picture {image_id}", image[middle : middle + 32])
        blob_id = store.parts.models.image.get_by_id(image_id).blob_id
        with store.parts.blobs.open(blob_id) as blob:
            sealed = blob.read()
        self.pictures.add_bytes(f"sealed {image_id}", sealed[len(sealed) * 3 // 4 :][:32])

    def _learn_proofs(self, request: Request) -> None:
        if "/pixstore-image" not in request.url:
            return
        proofs = {request.headers.get("x-pixstore-proof", "")}
        if request.post_data:
            proofs |= {image["proof"] for image in json.loads(request.post_data)["images"]}
        for proof in proofs - {""}:
            self.secrets.add_text("proof", proof)
            self.proofs_used.add(proof)

    def _keep_source(self, response: Response) -> None:
        if "text/html" in response.headers.get("content-type", "") and response.ok:
            self._sources.append(response.body())

    # --- what is found

    def keys_in_pages(self) -> set[str]:
        """Return what stands in the source of any page, in addresses, on the console, or in the page as it is now."""
        reach = self.person.page.evaluate(WITHIN_REACH)
        return self.keys.within([*self._sources, reach["page"].encode()])

    def kept_within_reach(self) -> set[str]:
        """Return what scripts of the page could read again later."""
        kept = [self.person.page.evaluate(WITHIN_REACH)["kept"].encode()]
        return self.keys.within(kept) | self.secrets.within(kept)

    def kept_in_files(self) -> set[str]:
        """Return the secrets in the files of the browser."""
        files = list(files_of(self._profile))
        without_login = files_of(self._profile, but=COOKIES)
        return self.keys.within(files) | self.secrets.within(without_login)

    def pictures_in_files(self) -> set[str]:
        """Return the pictures of which a part stands in the files of the browser, sealed or not."""
        return self.pictures.within(files_of(self._profile))

    # --- what happens to it

    def expires(self) -> None:
        """Let every login be over."""
        with (
            closing(sqlite3.connect(self._server.data_dir / "pixstore.sqlite", timeout=15)) as database,
            database,
        ):
            database.execute("UPDATE gallery_login_session SET expires_at = 0")

    def forgets_the_login(self) -> None:
        """Take the cookie away, as somebody does who clears cookies and leaves the rest."""
        self._context.clear_cookies()
