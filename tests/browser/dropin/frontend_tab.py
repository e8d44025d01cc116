"""A tab with a frontend in it, npm's or ours: both go by the same names, so one class drives both."""

from typing import Any

from playwright.sync_api import BrowserContext

# npm's package is published with the defaults of its own tests, so nothing is left to them.
OPTIONS = {
    "imageFormats": ["png", "webp", "jpg", "jpeg"],
    "frontendDbName": "dropin",
    "frontendDbVersion": 1,
    "imageStoreName": "images",
    "frontendImageCacheLimit": 1000,
    "frontendCleanupBatch": 50,
    "defaultEndpointConnectHost": "127.0.0.1",
    "defaultEndpointRoute": "/pixstore-image",
    "errorHandlingMode": "throw",
}

GET_IMAGES = """async ([module, records, context]) => {
  const { getImage } = await import(module)
  return Promise.all(records.map(async (record) => {
    try {
      const blob = await getImage(record, context ?? undefined)
      const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()))
      return { type: blob.type, hash: Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('') }
    } catch (error) {
      return { error: error.message, code: error.code }
    }
  }))
}"""


class FrontendTab:
    """One tab. *asked* lists the requests that are not for the page itself, as method and path."""

    def __init__(self, context: BrowserContext, origin: str, module: str) -> None:
        self._module = module
        self._tab = context.new_page()
        self._tab.goto(f"{origin}/")
        self.asked: list[tuple[str, str]] = []
        self._tab.on("request", self._note)

    def configures(self, *, port: int, fetcher: str = "undefined", **options: Any) -> "FrontendTab":
        """Call initPixstoreFrontend() with every option, for an endpoint on *port*; *fetcher* is JavaScript."""
        script = f"""async ([path, options]) => {{
          const {{ initPixstoreFrontend }} = await import(path)
          initPixstoreFrontend(options, {fetcher})
        }}"""
        self._tab.evaluate(script, [self._module, OPTIONS | {"defaultEndpointConnectPort": port} | options])
        self.asked.clear()
        return self

    def gets(self, record: dict, context: Any = None) -> dict:
        """Return type and hash of an image, or the words and the code of the error."""
        (seen,) = self.gets_all([record], context)
        return seen

    def gets_all(self, records: list[dict], context: Any = None) -> list[dict]:
        """Ask for several images at once."""
        return self._tab.evaluate(GET_IMAGES, [self._module, records, context])

    def waits_until_cached(self, image_id: str) -> None:
        """Return when the image is in the cache."""
        script = "async ([path, id]) => (await import(path)).cachedImageExists(id)"
        self._tab.wait_for_function(script, arg=[self._module, image_id], polling=20)

    def _note(self, request: Any) -> None:
        path = "/" + request.url.split("/", 3)[3]
        if not path.startswith(("/static/", "/npm.js")):
            self.asked.append((request.method, path))
