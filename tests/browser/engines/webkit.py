"""WebKit, driven by WebDriver: WebKitGTK in a window of our own, on a screen that exists in memory only."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.browser.engines.locator import Locator
from tests.browser.engines.proxy import Proxy
from tests.browser.engines.tab import ConsoleLine, EngineError, Request, Response, Tab
from tests.browser.engines.webdriver import ELEMENT, Session
from tests.servers import free_port, listens, wait_for_server

PYTHON = "/usr/bin/python3"
WINDOW = str(Path(__file__).parent / "webkit_window.py")
FIRST = (Path(__file__).parent / "first.js").read_text(encoding="utf-8")


def program() -> str | None:
    """Return the path of WebKit's driver, where it and a screen for it are installed."""
    return shutil.which("WebKitWebDriver") if shutil.which("Xvfb") else None


@contextmanager
def webkit(*, private: bool = False) -> Iterator["WebKitBrowser"]:
    """Run a screen on which WebKit can be started; in private mode it keeps nothing, as MiniBrowser under a driver."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1400x1000x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL) as screen:
        os.close(write)
        with open(read, encoding="ascii") as pipe:
            display = pipe.readline().strip()
        browser = WebKitBrowser(f":{display}", private=private)
        try:
            yield browser
        finally:
            for context in list(browser.contexts):
                context.close()
            screen.terminate()


def environment(display: str, home: Path) -> dict[str, str]:
    """Return the environment of a WebKit that keeps what it keeps below *home*."""
    folders = {f"XDG_{name}_HOME": str(home / name.lower()) for name in ("CACHE", "CONFIG", "DATA", "STATE")}
    env = (
        os.environ
        | folders
        | {"DISPLAY": display, "HOME": str(home), "GTK_A11Y": "none", "NO_AT_BRIDGE": "1"}
    )
    if os.geteuid() == 0:
        env["WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS"] = "1"  # the sandbox cannot be set up by root
    return env


class WebKitBrowser:
    """What starts one WebKit for each profile: WebDriver knows no other way to keep them apart."""

    def __init__(self, display: str, *, private: bool) -> None:
        self.display = display
        self.private = private
        self.contexts: list[WebKitContext] = []

    def new_context(self, *, folder: Path | None = None) -> "WebKitContext":
        """Start a browser with nothing cached and nobody logged in, or with what it left in *folder*."""
        self.contexts.append(WebKitContext(self, folder))
        return self.contexts[-1]

    @contextmanager
    def profile(self, folder: Path) -> Iterator["WebKitContext"]:
        """Run a WebKit that keeps its files in *folder*, and end it."""
        context = self.new_context(folder=folder)
        yield context
        context.close()


class WebKitContext:
    """One WebKit under its own driver."""

    def __init__(self, browser: WebKitBrowser, folder: Path | None) -> None:
        self.browser = browser
        self._temporary = tempfile.TemporaryDirectory(prefix="pixstore-webkit-", ignore_cleanup_errors=True)
        self.home = folder or Path(self._temporary.name)
        self._folder = [] if browser.private else [str(self.home)]
        self.downloads = self.home / "Downloads"
        self.downloads.mkdir(exist_ok=True)
        self.scripts = [FIRST]
        self.proxy = Proxy(self.scripts)
        port = free_port()
        self._driver = subprocess.Popen(
            [program(), f"--port={port}"],
            env=environment(browser.display, self.home),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for_server(self._driver, lambda: listens(port), "WebKit's driver")
        self.session = Session(port, self._wishes())
        self.current: str = self.session.does("GET", "/window")
        self._unused: str | None = self.current

    def _wishes(self) -> dict[str, Any]:
        address = self.proxy.address
        return {
            "proxy": {"proxyType": "manual", "httpProxy": address},
            "webkitgtk:browserOptions": {"binary": PYTHON, "args": [WINDOW, *self._folder]},
        }

    def new_page(self) -> "WebKitTab":
        """Open a tab, in a window of its own."""
        handle, self._unused = self._unused, None
        if handle is None:
            self.session.does("POST", "/window", handle=self.session.does("GET", "/window/handles")[0])
            handle = self.session.does("POST", "/window/new", type="window")["handle"]
            self.current = ""
        tab = WebKitTab(self, handle)
        self.proxy.on_request = lambda url: tab.tells("request", Request(url))
        return tab

    def close(self) -> None:
        """End the browser."""
        self.browser.contexts.remove(self)
        with suppress(EngineError):
            self.session.close()
        self._driver.terminate()
        self._driver.wait(30)
        self.proxy.close()
        self._temporary.cleanup()


class WebKitTab(Tab):
    """One tab of WebKit."""

    def __init__(self, context: WebKitContext, handle: str) -> None:
        super().__init__()
        self._owner = context
        self._handle = handle
        self.set_viewport_size({"width": 1280, "height": 720})

    def _does(self, method: str, command: str, **parameters: Any) -> Any:
        if self._owner.current != self._handle:
            self._owner.session.does("POST", "/window", handle=self._handle)
            self._owner.current = self._handle
        return self._owner.session.does(method, command, **parameters)

    def goto(self, url: str) -> Response:
        """Open a page."""
        self._listen()
        self._does("POST", "/url", url=url)
        self._listen()
        return Response(self._owner.proxy.statuses.get(self.url, 0))

    def reload(self) -> None:
        """Load the page again."""
        self._listen()
        self._does("POST", "/refresh")

    def go_back(self) -> None:
        """Go back one page."""
        self._listen()
        self._does("POST", "/back")

    def close(self) -> None:
        """Close the tab."""
        # With its last window the browser would end: that one is left for the next tab.
        if len(self._owner.session.does("GET", "/window/handles")) == 1:
            self._owner.session.does("POST", "/window/new", type="window")
        self._does("DELETE", "/window")
        self._owner.current = ""

    def add_init_script(self, script: str) -> None:
        """Let *script* run before any other, in every tab of this profile."""
        self._owner.scripts.append(script)

    def set_viewport_size(self, size: dict[str, int]) -> None:
        """Make the page as large, or as nearly so as its window allows."""
        self._does("POST", "/window/rect", **size)
        inner = self._sync("return [innerWidth, innerHeight]")
        wider, higher = size["width"] - inner[0], size["height"] - inner[1]
        self._does(
            "POST",
            "/window/rect",
            width=size["width"] + max(wider, 0),
            height=size["height"] + max(higher, 0),
        )

    def press_key(self, key: str) -> None:
        """Press and release a key."""
        actions = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        self._does("POST", "/actions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    def click_on(self, locator: Locator) -> None:
        """Click with the mouse."""
        self._listen()
        self._does("POST", f"/element/{self._element(locator)}/click")

    def choose_files(self, locator: Locator, files: list[Path]) -> None:
        """Choose files."""
        text = "\n".join(str(file) for file in files)
        self._does("POST", f"/element/{self._element(locator)}/value", text=text)

    def image_names(self) -> list[str]:
        """Ask what assistive software would be told of each element that could be an image."""
        found = self._sync(
            "return [...document.querySelectorAll('pixstore-image')].map((one) => one.shadowRoot.querySelector('img'))"
        )
        handles = [element[ELEMENT] for element in found]
        images = [one for one in handles if self._does("GET", f"/element/{one}/computedrole") == "image"]
        return [self._does("GET", f"/element/{one}/computedlabel") for one in images]

    def downloaded(self) -> list[Path]:
        """Return what was saved."""
        return [file for file in self._owner.downloads.iterdir() if not file.name.endswith(".wkdownload")]

    def _element(self, locator: Locator) -> str:
        script = f"return ({locator.FIND})(JSON.parse(arguments[0]))[0]"
        return self._sync(script, json.dumps(locator.steps))[ELEMENT]

    def _sync(self, script: str, *arguments: Any) -> Any:
        return self._does("POST", "/execute/sync", script=script, args=list(arguments))

    def _run(self, script: str, argument: str) -> Any:
        wrapped = f"""const [given, done] = arguments
          const complaints = () => window.complaints?.splice(0) ?? []
          const run = async () => ({script})(given)
          // From a timer, as a page's own scripts run: in what the driver calls, promises are settled too early.
          setTimeout(() => run().then(
            (value) => done({{ value, complaints: complaints() }}),
            (error) => done({{ error: `${{error}} ${{error?.stack ?? ''}}`, complaints: complaints() }})))"""
        answer = self._does("POST", "/execute/async", script=wrapped, args=[argument])
        for kind, text in answer["complaints"]:
            if kind == "uncaught":
                self.tells("pageerror", text)
            else:
                self.tells("console", ConsoleLine(kind, text))
        if "error" in answer:
            raise EngineError(answer["error"])
        return answer.get("value")

    def _listen(self) -> None:
        self._run("() => ''", "")
