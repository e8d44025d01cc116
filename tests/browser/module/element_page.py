"""A page with ``<pixstore-image>`` in it, which counts object URLs and notes the events of the element."""

from tests.browser.module.page import ModulePage

SHOWN = "document.querySelector('pixstore-image').matches(':state(loaded)')"
FAILED = "document.querySelector('pixstore-image').matches(':state(failed)')"
BOX = "() => { const { width, height } = document.querySelector('pixstore-image').getBoundingClientRect(); return [width, height] }"
EVENTS = """() => {
  window.events = []
  for (const type of ['loadstart', 'load', 'error', 'loadend']) {
    document.addEventListener(type, ({ target }) => {
      if (target.localName === 'pixstore-image') window.events.push(type)
    }, true)
  }
}"""
COUNT_URLS = """
window.urls = new Set()
const { createObjectURL, revokeObjectURL } = URL
URL.createObjectURL = (blob) => { const url = createObjectURL(blob); window.urls.add(url); return url }
URL.revokeObjectURL = (url) => { window.urls.delete(url); revokeObjectURL(url) }
"""


def replaces_body(page, markup: str) -> None:
    """Put *markup* into the page, as htmx swaps it in."""
    page.tab.evaluate("(markup) => { document.body.innerHTML = markup }", markup)


def watched(page: ModulePage) -> ModulePage:
    """Open *page*, with the module loaded, and watch it."""
    page.tab.add_init_script(COUNT_URLS)
    page.opens()
    page.tab.evaluate(EVENTS)
    return page
