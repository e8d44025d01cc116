"""
Where the files that are no Python lie: templates, style sheets, scripts. Imports nothing of ours.

In a checkout they stand at the top, in ``templates/`` and ``static/``. An installed package has them inside itself, put there
when it was built (``pyproject.toml``).
"""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def _directory(name: str) -> Path:
    inside = _PACKAGE / "_files" / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


TEMPLATES = _directory("templates")
"""The gallery's Jinja templates."""

STATIC = _directory("static")
"""``pixstore/`` is the browser module, ``vendor/`` what it and the gallery need of others, ``app/`` the gallery's own."""
