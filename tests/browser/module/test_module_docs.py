"""The documentation of the browser module is true: options, functions, attributes, events and sizes."""

import gzip
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
MODULE = ROOT / "static/pixstore"
PAGE = (ROOT / "docs/browser-module.md").read_text(encoding="utf-8")
HEAD = (MODULE / "index.js").read_text(encoding="utf-8").partition("*/")[0]


def kib(paths: list[Path]) -> tuple[float, float]:
    """Return how large these files are, as they stand and with gzip."""
    files = [path.read_bytes() for path in paths]
    return sum(map(len, files)) / 1024, sum(len(gzip.compress(file)) for file in files) / 1024


@pytest.mark.parametrize("text", [PAGE, HEAD], ids=["docs", "index.js"])
def test_sizes(text):
    """The page and the head of index.js state how many files there are and how large they are."""
    paths = sorted(MODULE.glob("*.js"))
    plain, packed = kib(paths)
    idb, idb_packed = kib([ROOT / "static/vendor/idb.js"])

    files, *stated = map(float, re.search(r"(\d+) KiB in (\d+) files, (\d+) KiB", text).group(2, 1, 3))
    idb_stated = [float(number) for number in re.search(r"idb, (\d+) KiB, (\d+) KiB", text).groups()]

    assert files == len(paths)
    assert stated == pytest.approx([plain, packed], rel=0.03)
    assert idb_stated == pytest.approx([idb, idb_packed], abs=0.5)


def test_options_and_their_defaults(page):
    """Every option has a row with its default, and there are no other rows."""
    table = PAGE.partition("## Configuration")[2].partition("**Your own transport**")[0]
    rows = re.findall(r"^\| (`.+?) \| (.+?) \|", table, re.MULTILINE)
    told = {name: default for names, default in rows for name in re.findall(r"`(\w+)`", names)}

    defaults = page.runs("async () => (await import('/static/v1/pixstore/config.js')).DEFAULTS")

    assert set(told) == set(defaults)
    stated = {"512 MiB": 512 * 2**20, "own origin": None, "none": None, "nobody": None}
    for name, value in defaults.items():
        words = told[name].replace("`", "")
        if words.startswith("["):
            assert re.findall(r"'(\w+)'", words) == value
        else:
            assert stated.get(words, words) in (value, str(value), str(value).lower()), name


def test_exports(page):
    """Every function and class that index.js exports is named in its head, and every function on the page."""
    exports = page.runs("(module) => Object.keys(module)")

    assert {name for name in exports if name not in HEAD} == set()
    assert {name for name in exports if name not in PAGE} == set()


def test_attributes_and_events(page):
    """Every attribute and event of the element is named on the page and in the head of index.js."""
    attributes = page.runs("({ PixstoreImageElement }) => PixstoreImageElement.observedAttributes")

    for name in [*attributes, "loadstart", "load", "error", "loadend"]:
        assert name in HEAD
        assert f"`{name}" in PAGE
