"""The rows of the cache, as another program reads and damages them; and the storage that a browser grants."""

import pytest

from tests.browser.module.page import ModulePage

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


def limit_storage(page: ModulePage, size: int) -> None:
    """Grant the origin of *page* so many bytes."""
    devtools = page.tab.context.new_cdp_session(page.tab)
    devtools.send("Storage.overrideQuotaForOrigin", {"origin": page.endpoint.url, "quotaSize": size})
