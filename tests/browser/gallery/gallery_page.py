"""A person at the gallery: what they do and what they see, as verbs."""

import base64
import hashlib
from pathlib import Path

from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Request

from tests.browser.engines.locator import expect

# The picture on the page and the file, drawn by the same browser, compared pixel by pixel.
SAME_PIXELS = """async (element, base64) => {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))
  const file = await createImageBitmap(new Blob([bytes]))
  const shown = element.shadowRoot.querySelector('img')
  await shown.decode()
  if (shown.naturalWidth !== file.width || shown.naturalHeight !== file.height) {
    return `shown ${shown.naturalWidth} x ${shown.naturalHeight}, uploaded ${file.width} x ${file.height}`
  }
  const pixels = (image) => {
    const canvas = new OffscreenCanvas(file.width, file.height)
    const context = canvas.getContext('2d', { willReadFrequently: true })
    context.drawImage(image, 0, 0)
    return new Uint32Array(context.getImageData(0, 0, file.width, file.height).data.buffer)
  }
  const uploaded = pixels(file)
  let differing = 1
  for (let tries = 0; differing && tries < 5; tries += 1) { // in WebKit a canvas may be too early for an element
    if (tries) await new Promise((resolve) => setTimeout(resolve, 200))
    differing = pixels(shown).reduce((count, pixel, i) => count + (pixel === uploaded[i] ? 0 : 1), 0)
  }
  return differing ? `${differing} pixels differ` : 'same'
}"""

CACHED_IDS = """async () => {
  const found = []
  for (const { name, version } of await indexedDB.databases()) {
    if (!version) continue // just being made
    const database = await new Promise((resolve, reject) => {
      const request = indexedDB.open(name, version)
      request.onsuccess = () => resolve(request.result)
      request.onerror = () => reject(request.error)
    })
    for (const store of database.objectStoreNames) {
      const keys = await new Promise((resolve, reject) => {
        const request = database.transaction(store).objectStore(store).getAllKeys()
        request.onsuccess = () => resolve(request.result)
        request.onerror = () => reject(request.error)
      })
      if (store === 'images') found.push(...keys)
    }
    database.close()
  }
  return found
}"""

LOADED = "element => element.complete && element.naturalWidth > 0"


class GalleryPage:
    """One tab of one browser profile."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.page = context.new_page()
        self.url = url
        self.image_requests: list[Request] = []
        self.complaints: list[str] = []
        self.page.on("request", self._note_request)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._note_console)

    def _note_console(self, line: ConsoleMessage) -> None:
        # The browser notes every answer that is an error; whether one is right, tests say themselves.
        if line.type == "error" and not line.text.startswith("Failed to load resource"):
            self.complaints.append(line.text)

    def _note_request(self, request: Request) -> None:
        if "/pixstore-image" in request.url:
            self.image_requests.append(request)

    # --- accounts

    def sets_up(self, link: str, name: str, password: str) -> None:
        """Make the owner's account with the one-time link."""
        self.page.goto(link)
        self.page.get_by_label("Name").fill(name)
        for field in self.page.locator("input[type=password]").all():
            field.fill(password)
        self.page.get_by_role("button", name="Set up").click()
        expect(self.page.get_by_role("link", name="Pictures").first).to_be_visible()

    def logs_in(self, name: str, password: str) -> None:
        """Log in on the login page."""
        self.page.goto(f"{self.url}/")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Log in").click()
        expect(self.page.get_by_role("link", name="Pictures").first).to_be_visible()

    def makes_account(self, name: str, password: str) -> None:
        """Make an account for somebody else."""
        self.opens("Account")
        self.page.get_by_role("link", name="Accounts").first.click()
        self.page.get_by_text("New account", exact=True).click()
        self.page.get_by_label("Name", exact=True).fill(name)
        self.page.get_by_label("Password", exact=True).fill(password)
        self.page.get_by_label("Password again").fill(password)
        self.page.get_by_role("button", name="Make account").click()
        expect(self.page.get_by_role("heading", name=name)).to_be_visible()

    def logs_out(self) -> None:
        """Log out on the account page."""
        self.opens("Account")
        self.page.get_by_role("button", name="Log out", exact=True).click()
        expect(self.page.get_by_role("heading", name="Log in")).to_be_visible()

    # --- pictures

    def opens(self, tab: str) -> None:
        """Follow a link of the main navigation."""
        self.page.get_by_role("navigation", name="Main").get_by_role("link", name=tab).click()

    def uploads(self, *files: Path, album: str | None = None) -> None:
        """Choose files, send them, and wait until the page says what became of each."""
        self.opens("Upload")
        expect(
            self.page.locator(".drop.live")
        ).to_be_visible()  # without its script, the form is sent in one piece
        self.page.locator("#files").set_input_files(files)
        if album is not None:
            self.page.locator("#new_album").fill(album)
        self.page.get_by_role("button", name="Add").click()
        expect(self.page.locator("#upload-status")).to_contain_text("refused.", timeout=60_000)

    def results(self) -> str:
        """Return what the page says of the files sent."""
        return self.page.locator("#upload-results").inner_text()

    def opens_picture(self, title: str) -> None:
        """Open a picture from the newest ones."""
        self.opens("Pictures")
        self.page.get_by_role("link", name=title).click()
        expect(self.page.get_by_role("heading", name=title)).to_be_visible()

    def replaces_by(self, file: Path) -> None:
        """Put another file in the place of the picture that is open."""
        before = self.picture.get_attribute("token")
        self.page.get_by_text("Replace", exact=True).first.click()
        self.page.locator("#file").set_input_files(file)
        self.page.locator("form").filter(has=self.page.locator("#file")).get_by_role(
            "button", name="Replace", exact=True
        ).click()
        expect(self.picture).not_to_have_attribute("token", before or "", timeout=30_000)

    def deletes(self) -> None:
        """Delete the picture that is open, and confirm."""
        self.page.get_by_role("link", name="Delete").click()
        self.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(self.page.get_by_text("The picture has been deleted.")).to_be_visible()

    # --- what is seen

    @property
    def picture(self) -> Locator:
        """The picture that is open."""
        return self.page.locator(".stage pixstore-image")

    def sees(self, image: Locator) -> Locator:
        """Wait until an encrypted image is shown decrypted."""
        expect(image).to_be_visible()
        image.scroll_into_view_if_needed()
        self.page.wait_for_function(LOADED, arg=image.element_handle(), timeout=30_000)
        return image

    def sees_thumbnails(self, count: int) -> list[Locator]:
        """Wait until *count* thumbnails are shown decrypted."""
        images = self.page.locator(".card pixstore-image")
        expect(images).to_have_count(count)
        return [self.sees(image) for image in images.all()]

    def compares_with(self, file: Path) -> str:
        """Return "same" if the open picture has every pixel of *file*, or what differs."""
        said: str = self.sees(self.picture).evaluate(
            SAME_PIXELS, base64.b64encode(file.read_bytes()).decode()
        )
        return said

    def downloads(self) -> str:
        """Download the open picture; return the SHA-256 of what arrives, in hexadecimal."""
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name="Download").click()
        return hashlib.sha256(Path(download.value.path()).read_bytes()).hexdigest()

    def cached_ids(self) -> list[str]:
        """Return the ids of the images that this browser keeps."""
        ids: list[str] = self.page.evaluate(CACHED_IDS)
        return ids
