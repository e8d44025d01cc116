"""The session in the README works as written."""

import doctest
import io
from pathlib import Path

from PIL import Image

from pixstore import backend

README = Path(__file__).parents[2] / "README.md"


def _photo(path: Path, color: str) -> None:
    data = io.BytesIO()
    Image.new("RGB", (64, 48), color).save(data, "JPEG")
    path.write_bytes(data.getvalue())


def test_the_session_in_the_readme(tmp_path, monkeypatch):
    """Typing the README's library session gives the results it shows."""
    _photo(tmp_path / "photo.jpg", "teal")
    _photo(tmp_path / "new-photo.jpg", "coral")
    monkeypatch.chdir(tmp_path)

    results = doctest.testfile(str(README), module_relative=False, globs={})

    backend._store.close()
    assert results.attempted > 5
    assert results.failed == 0
