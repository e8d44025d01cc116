"""
Looks for secrets and pictures in what a browser keeps: the files of its profile, and what scripts of a page can reach.

A secret is looked for as bytes, in hexadecimal and in base64, with one byte or two a letter, and by pieces: databases break a long value into blocks,
and their compression may replace a few bytes that stand nearby already, but never as many as a piece has.
"""

import base64
from collections.abc import Iterable, Mapping
from pathlib import Path

PIECE = 16
MOZILLA_LZ4 = b"mozLz40\0"

# What no script of ours reads, but any script of the page could: every record of every database, with the whole buffer
# behind a stored view, and the storages; bytes in hexadecimal.
WITHIN_REACH = """async () => {
  const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, '0')).join('')
  const settled = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
  const words = async (value) => {
    if (value instanceof Blob) return hex(await value.arrayBuffer())
    if (value instanceof ArrayBuffer) return hex(value)
    if (ArrayBuffer.isView(value)) return hex(value.buffer)
    if (value === null || typeof value !== 'object') return String(value)
    return (await Promise.all(Object.entries(value).flat().map(words))).join(' ')
  }
  const found = [await words({ ...localStorage }), await words({ ...sessionStorage }), await words(history.state)]
  for (const { name } of await indexedDB.databases()) {
    const database = await settled(indexedDB.open(name))
    for (const store of database.objectStoreNames) {
      const records = database.transaction(store).objectStore(store)
      found.push(await words(await settled(records.getAllKeys())), await words(await settled(records.getAll())))
    }
    database.close()
  }
  for (const name of await caches.keys()) {
    const cache = await caches.open(name)
    for (const response of await cache.matchAll()) found.push(hex(await response.arrayBuffer()), await words(Object.fromEntries(response.headers)))
  }
  const roots = Array.from(document.querySelectorAll('pixstore-image'), (element) => element.shadowRoot?.innerHTML ?? '')
  return { kept: found.join('\\n'), page: [document.documentElement.outerHTML, document.cookie, ...roots].join('\\n') }
}"""


class Sought:
    """Secrets by name, in every form that they may be written in."""

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}

    def add(self, name: str, secret: bytes) -> None:
        """Look for the bytes *secret* too, as they are and as text."""
        self._add(name, secret)
        for encode in (bytes.hex, base64.b64encode, base64.urlsafe_b64encode):
            encoded = encode(secret)
            self.add_text(name, encoded if isinstance(encoded, str) else encoded.decode().rstrip("="))

    def add_text(self, name: str, text: str) -> None:
        """Look for the words *text* too."""
        self._add(name, text.encode())
        self._add(name, text.encode("utf-16-le"), 2 * PIECE)  # as sessionStorage lies on disk

    def add_bytes(self, name: str, content: bytes) -> None:
        """Look for *content* too, which is never written in another way."""
        self._add(name, content)

    def _add(self, name: str, form: bytes, size: int = PIECE) -> None:
        last = max(len(form) - size, 0)
        for start in {*range(0, last, size // 2), last}:
            self._names[form[start : start + size]] = name

    def within(self, texts: Iterable[bytes]) -> set[str]:
        """Return the names of those that stand in one of *texts*."""
        found: set[str] = set()
        for text in texts:
            found |= {name for piece, name in self._names.items() if name not in found and piece in text}
        return found


def files_of(profile: Path, *, but: Mapping[str, str] | None = None) -> Iterable[bytes]:
    """Yield what each file of a browser's profile holds, *but* those named (with the reason why)."""
    for path in profile.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.name not in (but or {}):
            yield _content(path)


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:  # the browser tidies up
        return b""
    return content + unpacked(content) if content.startswith(MOZILLA_LZ4) else content


def unpacked(content: bytes) -> bytes:
    """Return what Firefox has packed into *content*: its record of open tabs and closed ones, for one."""
    packed, out, at = content[len(MOZILLA_LZ4) + 4 :], bytearray(), 0
    while at < len(packed):
        token = packed[at]
        count, at = _length(packed, at + 1, token >> 4)
        out += packed[at : at + count]
        at += count
        if at + 2 > len(packed):  # the last sequence has nothing to repeat
            break
        distance = int.from_bytes(packed[at : at + 2], "little")
        count, at = _length(packed, at + 2, token & 15)
        for _ in range(count + 4):
            out.append(out[-distance])
    return bytes(out)


def _length(packed: bytes, at: int, nibble: int) -> tuple[int, int]:
    """Return a length of LZ4 that begins with *nibble* and may go on at *at*, and where what follows it begins."""
    length, more = nibble, 255 if nibble == 15 else 0
    while more == 255:
        more = packed[at]
        length, at = length + more, at + 1
    return length, at
