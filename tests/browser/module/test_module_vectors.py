"""The browser module reads the same bytes as the server: every vector of tests/vectors, in the browser."""

import pytest

from tests.browser.module.page import ModulePage
from tests.browser.module.server import serving
from tests.vector_files import load, nist_gcm_vectors, vectors

IN_PAGE = """
const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
const bytes = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16))
"""
DECODE = f"""async ([path, vector]) => {{
  {IN_PAGE}
  const {{ decodeWirePayload }} = await import(path + 'wire.js')
  try {{
    const decoded = decodeWirePayload(bytes(vector.hex))
    return Object.fromEntries(Object.entries(decoded).map(([k, v]) => [k, typeof v === 'number' ? v : hex(v)]))
  }} catch ({{ code }}) {{
    return {{ refused: code }}
  }}
}}"""
UNSEAL = f"""async ([path, vector, formats]) => {{
  {IN_PAGE}
  const {{ unseal }} = await import(path + 'crypto.js')
  const {{ mimeType }} = await import(path + 'formats.js')
  const seal = {{ key: bytes(vector.key), iv: bytes(vector.iv), tag: bytes(vector.tag) }}
  try {{
    const {{ formatByte, image }} = await unseal(bytes(vector.ciphertext), seal)
    return {{ image: hex(image), mime_type: mimeType(formatByte, formats), key_left: hex(seal.key).replace(/0/g, '') }}
  }} catch ({{ code }}) {{
    return {{ refused: code }}
  }}
}}"""
BATCH = f"""async ([path, vector]) => {{
  {IN_PAGE}
  const {{ readBatch, decodeWirePayload }} = await import(path + 'wire.js')
  const payloads = []
  try {{
    for await (const payload of readBatch(new Blob([bytes(vector.hex)]).stream())) {{
      decodeWirePayload(payload)
      payloads.push(hex(payload))
    }}
    return payloads
  }} catch ({{ code }}) {{
    return {{ refused: code }}
  }}
}}"""
NIST = f"""async ([path, vectors]) => {{
  {IN_PAGE}
  const {{ unseal }} = await import(path + 'crypto.js')
  return Promise.all(vectors.map(async ({{ Key, IV, Tag, CT }}) => {{
    try {{
      const {{ formatByte, image }} = await unseal(bytes(CT), {{ key: bytes(Key), iv: bytes(IV), tag: bytes(Tag) }})
      return hex([formatByte, ...image])
    }} catch ({{ code }}) {{
      return code
    }}
  }}))
}}"""
MODULE = "/static/v1/pixstore/"


@pytest.fixture(scope="module")
def page(browser):
    """One tab for all vectors: they leave nothing behind."""
    context = browser.new_context()
    with serving() as endpoint:
        yield ModulePage(context, endpoint).opens()
    context.close()


@pytest.mark.parametrize("vector", vectors("wire.json", "payloads", expect="ok"))
def test_wire_payloads(page, vector):
    """A payload of the server is decoded into the same fields."""
    expected = {name: value for name, value in vector.items() if name not in ("name", "why", "expect", "hex")}

    assert page.tab.evaluate(DECODE, [MODULE, vector]) == expected


@pytest.mark.parametrize("vector", vectors("wire.json", "payloads", expect="refused"))
def test_refused_wire_payloads(page, vector):
    """Bytes that the server would refuse are refused here as well."""
    assert page.tab.evaluate(DECODE, [MODULE, vector]) == {"refused": "wire"}


@pytest.mark.parametrize("vector", vectors("wire.json", "batches", expect="ok"))
def test_batches(page, vector):
    """The body of a batch answer is split into its payloads."""
    assert page.tab.evaluate(BATCH, [MODULE, vector]) == vector["payloads"]


@pytest.mark.parametrize("vector", vectors("wire.json", "batches", expect="refused"))
def test_refused_batches(page, vector):
    """A batch answer must consist of whole payloads and nothing else."""
    assert page.tab.evaluate(BATCH, [MODULE, vector]) == {"refused": "wire"}


@pytest.mark.parametrize("vector", vectors("sealed.json", "images", expect="ok"))
def test_sealed_images(page, vector):
    """The browser decrypts what the server sealed, and wipes the key after use."""
    formats = load("sealed.json")["image_formats"]

    opened = page.tab.evaluate(UNSEAL, [MODULE, vector, formats])

    assert opened == {"image": vector["image"], "mime_type": vector["mime_type"], "key_left": ""}


@pytest.mark.parametrize("vector", vectors("sealed.json", "images", expect="refused"))
def test_refused_sealed_images(page, vector):
    """Bytes that are not sealed like an image are refused."""
    formats = load("sealed.json")["image_formats"]

    assert page.tab.evaluate(UNSEAL, [MODULE, vector, formats])["refused"] in ("damaged", "unreadable")


def test_unseal_agrees_with_nist(page):
    """NIST's AES-256-GCM decryption vectors without associated data, those that must fail included."""
    used = [v for v in nist_gcm_vectors("gcmDecrypt256.rsp") if not v["AAD"] and len(v["CT"]) >= 4]

    opened = page.tab.evaluate(NIST, [MODULE, used])

    assert len(used) >= 60
    assert 0 < sum(vector["fails"] for vector in used) < len(used)
    assert opened == ["damaged" if vector["fails"] else vector["PT"] for vector in used]
