"""npm's frontend and ours, each in a tab, served from another origin than the images."""

import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.dropin.frontend_tab import FrontendTab
from tests.browser.dropin.npm_backend import DATABASE_DRIVER, ROOT, NpmBackend
from tests.browser.dropin.site import NPM_FRONTEND, OUR_MODULE, site
from tests.servers import serving


@pytest.fixture(scope="session")
def npm_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return npm's frontend in one file, made as its users make it: bundlers replace process.env, and nothing else."""
    bundle = tmp_path_factory.mktemp("bundle") / "npm.js"
    subprocess.run(
        [
            str(ROOT / "node_modules/.bin/esbuild"),
            str(ROOT / "node_modules/pixstore/frontend/index.js"),
            "--bundle",
            "--format=esm",
            "--define:process.env.NODE_ENV='production'",
            f"--outfile={bundle}",
            "--log-level=error",
        ],
        check=True,
    )
    return bundle


@pytest.fixture(scope="session")
def origin(npm_bundle: Path) -> Iterator[str]:
    """Return the address of a site that delivers both frontends and no image."""
    with serving(site(npm_bundle)) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def npm_frontend(context: BrowserContext, origin: str) -> FrontendTab:
    """Return a tab with npm's frontend, not configured yet."""
    return FrontendTab(context, origin, NPM_FRONTEND)


@pytest.fixture
def our_module(context: BrowserContext, origin: str) -> FrontendTab:
    """Return a tab with our module, not configured yet."""
    return FrontendTab(context, origin, OUR_MODULE)


@pytest.fixture(scope="session")
def npm_backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NpmBackend]:
    """Return npm's backend with its own endpoint. Its images are each test's own."""
    with _running(tmp_path_factory.mktemp("npm")) as backend:
        yield backend


@pytest.fixture(scope="session")
def custom_npm_backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NpmBackend]:
    """Return npm's backend with an endpoint made by its customEndpointHelper."""
    with _running(tmp_path_factory.mktemp("npm-custom"), custom=True) as backend:
        yield backend


def _running(directory: Path, *, custom: bool = False) -> AbstractContextManager[NpmBackend]:
    if not DATABASE_DRIVER.exists():
        pytest.skip("better-sqlite3 is not compiled: there was no compiler")
    return closing(NpmBackend(directory, custom=custom))
