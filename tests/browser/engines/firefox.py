"""Firefox, driven by WebDriver BiDi, which it speaks by itself: no driver, no patched build."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

from tests.browser.engines.bidi import Bidi
from tests.browser.engines.locator import PATIENCE, Locator
from tests.browser.engines.tab import INSECURE_HOST, ConsoleLine, EngineError, Request, Response, Tab
from tests.eventually import eventually
from tests.servers import wait_for_server

EVENTS = [
    "log.entryAdded",
    "network.beforeRequestSent",
    "network.responseStarted",
    "browsingContext.downloadEnd",
]

# Firefox calls home, and asks whether it is the default browser; here it shall do neither.
SETTINGS = {
    "app.update.auto": False,
    "browser.download.folderList": 2,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.systemAddon.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.dns.localDomains": INSECURE_HOST,
    "services.settings.server": "data:,",
    "toolkit.telemetry.enabled": False,
}


def program() -> str | None:
    """Return the path of Firefox, where it is installed."""
    return shutil.which("firefox-esr") or shutil.which("firefox")


@contextmanager
def firefox(
    profile: Path | None = None, settings: dict[str, Any] | None = None
) -> Iterator["FirefoxBrowser"]:
    """Run Firefox on a profile of its own, or on the one given."""
    with tempfile.TemporaryDirectory(prefix="pixstore-firefox-", ignore_cleanup_errors=True) as folder:
        where = profile or Path(folder, "profile")
        downloads = Path(folder, "downloads")
        for one in (where, downloads):
            one.mkdir(exist_ok=True)
        _configures(where, SETTINGS | {"browser.download.dir": str(downloads)} | (settings or {}))
        address = where / "WebDriverBiDiServer.json"
        address.unlink(missing_ok=True)
        command = [program(), "--headless", "--no-remote", "--remote-debugging-port=0", "--profile", where]
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:  # it chats
            try:
                server = wait_for_server(process, lambda: _read(address), "Firefox", seconds=60)
                url = f"ws://{server['ws_host']}:{server['ws_port']}/session"
                with connect(url, max_size=None) as socket:
                    browser = FirefoxBrowser(socket)
                    yield browser
                    browser.close()
                process.wait(60)
            finally:
                process.kill()


def _configures(profile: Path, settings: dict[str, Any]) -> None:
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in settings.items()]
    (profile / "user.js").write_text("".join(lines), encoding="utf-8")


def _read(address: Path) -> dict[str, Any] | None:
    try:
        return json.loads(address.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None


class FirefoxBrowser:
    """A running Firefox."""

    def __init__(self, socket: Any) -> None:
        self.downloads: list[Path] = []
        self.tabs: dict[str, FirefoxTab] = {}
        self.bidi = Bidi(socket, self._hears)
        self.version: str = self.bidi.does("session.new", capabilities={})["capabilities"]["browserVersion"]
        self.bidi.does("session.subscribe", events=EVENTS)

    def new_context(self) -> "FirefoxContext":
        """Open a profile of its own: nothing cached, nobody logged in."""
        return FirefoxContext(self, self.bidi.does("browser.createUserContext")["userContext"])

    @contextmanager
    def profile(self, folder: Path) -> Iterator["FirefoxContext"]:
        """Run another Firefox that keeps its files in *folder*, and end it."""
        with firefox(folder) as another:
            yield FirefoxContext(another, "default")

    def close(self) -> None:
        """End it; it writes what it still has to write."""
        self.bidi.does("browser.close")
        self.bidi.close()

    def _hears(self, event: str, about: dict[str, Any]) -> None:
        if event == "browsingContext.downloadEnd" and about["status"] == "complete":
            self.downloads.append(Path(about["filepath"]))
        context = about["source"].get("context") if event == "log.entryAdded" else about.get("context")
        if tab := self.tabs.get(context):
            tab.hears(event, about)


class FirefoxContext:
    """A profile."""

    def __init__(self, browser: FirefoxBrowser, name: str) -> None:
        self.browser = browser
        self._name = name

    def new_page(self) -> "FirefoxTab":
        """Open a tab, in a window of its own: timers of hidden tabs are slowed down."""
        created = self.browser.bidi.does("browsingContext.create", type="window", userContext=self._name)
        return FirefoxTab(self.browser, created["context"])

    def close(self) -> None:
        """Close its tabs and forget all that it holds."""
        if self._name != "default":
            self.browser.bidi.does("browser.removeUserContext", userContext=self._name)


class FirefoxTab(Tab):
    """One tab of Firefox."""

    def __init__(self, browser: FirefoxBrowser, context: str) -> None:
        super().__init__()
        self._browser = browser
        self._context = context
        self._statuses: dict[str, int] = {}
        browser.tabs[context] = self
        # As Playwright's: Firefox's own window is wider than what pages are made for.
        self.set_viewport_size({"width": 1280, "height": 720})

    def _does(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.bidi.does(method, context=self._context, **parameters)

    def hears(self, event: str, about: dict[str, Any]) -> None:
        """Tell those who listen what the engine says of this tab."""
        if event == "network.beforeRequestSent":
            self.tells("request", Request(about["request"]["url"]))
        elif event == "network.responseStarted" and about["navigation"]:
            self._statuses[about["navigation"]] = about["response"]["status"]
        elif event == "log.entryAdded":
            if about["type"] == "console":
                kind = {"warn": "warning"}.get(about["method"], about["method"])
                self.tells("console", ConsoleLine(kind, about["text"] or ""))
            elif about["level"] == "error":
                self.tells("pageerror", about["text"])

    def goto(self, url: str) -> Response:
        """Open a page."""
        navigation = self._does("browsingContext.navigate", url=url, wait="complete")["navigation"]
        return Response(eventually(lambda: self._statuses.get(navigation), PATIENCE, f"{url} was answered"))

    def reload(self) -> None:
        """Load the page again."""
        self._does("browsingContext.reload", wait="complete")

    def go_back(self) -> None:
        """Go back one page."""
        self._does("browsingContext.traverseHistory", delta=-1)

    def close(self) -> None:
        """Close the tab."""
        self._does("browsingContext.close")

    def add_init_script(self, script: str) -> None:
        """Let *script* run before any other."""
        self._browser.bidi.does(
            "script.addPreloadScript", functionDeclaration=f"() => {{ {script} }}", contexts=[self._context]
        )

    def set_viewport_size(self, size: dict[str, int]) -> None:
        """Make the window exactly as large."""
        self._does("browsingContext.setViewport", viewport=size)

    def press_key(self, key: str) -> None:
        """Press and release a key."""
        actions = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        self._does("input.performActions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    def click_on(self, locator: Locator) -> None:
        """Click with the mouse."""
        origin = {"type": "element", "element": self._node(locator)}
        actions = [
            {"type": "pointerMove", "x": 0, "y": 0, "origin": origin},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        self._does("input.performActions", actions=[{"type": "pointer", "id": "mouse", "actions": actions}])

    def choose_files(self, locator: Locator, files: list[Path]) -> None:
        """Choose files."""
        self._does("input.setFiles", element=self._node(locator), files=[str(file) for file in files])

    def image_names(self) -> list[str]:
        """Ask the accessibility tree, below each element by itself: it is not searched across shadow roots."""
        hosts = self._does("browsingContext.locateNodes", locator={"type": "css", "value": "pixstore-image"})
        roots = [{"sharedId": host["value"]["shadowRoot"]["sharedId"]} for host in hosts["nodes"]]
        images = {"type": "accessibility", "value": {"role": "image"}}
        found = self._does("browsingContext.locateNodes", locator=images, startNodes=roots)["nodes"]
        return [node["value"]["attributes"].get("alt", "") for node in found]

    def downloaded(self) -> list[Path]:
        """Return what was saved, by any tab."""
        return list(self._browser.downloads)

    def _node(self, locator: Locator) -> dict[str, str]:
        script = f"(given) => ({locator.FIND})(JSON.parse(given))[0]"
        return {"sharedId": self._calls(script, json.dumps(locator.steps))["sharedId"]}

    def _run(self, script: str, argument: str) -> Any:
        return self._calls(script, argument).get("value")

    def _calls(self, script: str, argument: str) -> dict[str, Any]:
        answer = self._browser.bidi.does(
            "script.callFunction",
            functionDeclaration=script,
            arguments=[{"type": "string", "value": argument}],
            awaitPromise=True,
            target={"context": self._context},
        )
        if answer["type"] == "exception":
            raise EngineError(answer["exceptionDetails"]["text"])
        return answer["result"]
