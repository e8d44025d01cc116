"""A page that uses the browser module, with verbs for what a page author does with it."""

import html
import json
from typing import Any

from playwright.sync_api import BrowserContext, Page

from tests.browser.engines.tab import Tab
from tests.browser.module.server import STATIC, Endpoint

# What docs/browser-module.md advises; it also makes these tests faster.
PRELOADS = "".join(
    f'<link rel="modulepreload" href="/static/v1/{file.relative_to(STATIC)}">'
    for file in [*sorted(STATIC.glob("pixstore/*.js")), STATIC / "vendor/idb.js"]
)

# Called in the page: fetches images through the module and describes them.
GET = """async ([records, options]) => {
  const { getImages, getLastPixstoreError } = await import(options.module)
  const blobs = await getImages(records)
  const seen = await Promise.all(blobs.map(async (blob) => blob && {
    type: blob.type,
    bytes: new Uint8Array(await blob.arrayBuffer()).toBase64(),
  }))
  return { seen, error: getLastPixstoreError() && { code: getLastPixstoreError().code, text: getLastPixstoreError().message } }
}"""


def tag(record: dict, content: str = "", **attributes: object) -> str:
    """Return the tag of a lazy image, as a template would write it."""
    given = {
        "image-id": record["id"],
        "token": record["token"],
        "proof": record["statelessProof"],
        "loading": "lazy",
    }
    text = "".join(f' {name}="{html.escape(str(value))}"' for name, value in (given | attributes).items())
    return f"<pixstore-image{text}>{content}</pixstore-image>"


class ModulePage:
    """One tab. *complaints* collects the warnings and errors of the console and the security policy."""

    def __init__(self, context: BrowserContext, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.tab: Page = context.new_page()
        self.complaints: list[str] = []
        self.tab.on("console", self._listen)
        self.tab.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        self.module = "/static/v1/pixstore/index.js"

    def opens(
        self, body: str = "", *, config: dict | None = None, path: str = "/", origin: str = ""
    ) -> "ModulePage":
        """Open a page that loads the module and holds *body*."""
        meta = (
            f"<meta name=pixstore content='{html.escape(json.dumps(config))}'>" if config is not None else ""
        )
        script = PRELOADS + f'<script type="module" src="{self.module}"></script>'
        self.endpoint.pages[path] = (
            f"<!doctype html><html lang=en><head><title>t</title>{meta}{script}</head><body>{body}</body></html>"
        )
        self.tab.goto((origin or self.endpoint.url) + path)
        return self

    def runs(self, script: str, argument: Any = None) -> Any:
        """Evaluate *script*, a function of the module's exports and *argument*."""
        wrapped = f"async ([path, argument]) => ({script})(await import(path), argument)"
        return self.tab.evaluate(wrapped, [self.module, argument])

    def runs_without_gesture(self, script: str) -> Any:
        """Evaluate *script* as if nobody had clicked: a script run by Playwright counts as a click."""
        if not isinstance(self.tab, Page):
            return self.runs(script)
        called = {"expression": f"import('{self.module}').then({script})", "awaitPromise": True}
        answer = self.tab.context.new_cdp_session(self.tab).send("Runtime.evaluate", called)
        return answer["result"]["value"]

    def image_names(self) -> list[str]:
        """Return the names of the images that assistive software can find."""
        if isinstance(self.tab, Tab):
            return self.tab.image_names()
        images = [image.aria_snapshot() for image in self.tab.get_by_role("img").all()]
        return [image.removeprefix("- img").strip(' "') for image in images]

    def waits_for(self, expression: str) -> Any:
        """Wait until *expression* is true in the page, and return it."""
        for _ in range(200):
            if value := self.tab.evaluate(f"() => {expression}"):
                return value
            self.tab.wait_for_timeout(25)
        raise AssertionError(f"this never came true: {expression}")

    def configures(self, **config: Any) -> "ModulePage":
        """Call initPixstoreFrontend()."""
        self.runs("({ initPixstoreFrontend }, config) => initPixstoreFrontend(config)", config)
        return self

    def gets(self, *records: dict) -> list[dict | None]:
        """Get images at once; each as type and base64 bytes, or None."""
        result = self.tab.evaluate(GET, [list(records), {"module": self.module}])
        return result["seen"]

    def last_error(self) -> dict | None:
        """Return code and text of the newest PixstoreError."""
        return self.runs(
            "({ getLastPixstoreError }) => { const e = getLastPixstoreError(); return e && { code: e.code, text: e.message } }"
        )

    def has_cached(self, image_id: str) -> bool | None:
        """Ask cachedImageExists()."""
        return self.runs("({ cachedImageExists }, id) => cachedImageExists(id)", image_id)

    def cached(self) -> dict:
        """Wait until everything is written, and return how much is in the cache."""
        return self.runs("({ cacheUsage }) => cacheUsage()")

    def expects(self, *parts: str) -> None:
        """Take back complaints that a test meant to cause."""
        self.complaints = [line for line in self.complaints if not any(part in line for part in parts)]

    def _listen(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")
