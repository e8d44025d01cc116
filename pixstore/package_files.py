"""
Finds the files that are not Python: templates, style sheets, scripts. Imports nothing of ours.

In a checkout they lie in the top directories ``templates/`` and ``static/``. The build copies them into the
package (``pyproject.toml``), so an installed package contains them.
"""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def _directory(name: str) -> Path:
    inside = _PACKAGE / "_files" / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


TEMPLATES = _directory("templates")
"""The gallery's Jinja templates."""

STATIC = _directory("static")
"""``pixstore/`` is the browser module, ``app/`` the gallery's scripts, ``vendor/`` third-party libraries."""
