"""
A tab of an engine that Playwright cannot drive: as much of Playwright's Page as the browser tests use, resting on the few
things that an engine's own protocol must be able to do.
"""

import json
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Error

from tests.browser.engines.locator import PATIENCE, Locator
from tests.eventually import eventually

INSECURE_HOST = "pixstore.test"
"""A name for this machine which browsers, unlike `localhost`, do not take for secure."""

KEYS = {"Tab": "\ue004", "Enter": "\ue007"}


class EngineError(Error):
    """The page's script failed, or the engine refused to do what it was told."""


@dataclass(frozen=True)
class ConsoleLine:
    """What a script wrote to the console."""

    type: str
    text: str


@dataclass(frozen=True)
class Request:
    """What the page asked a server for."""

    url: str


@dataclass(frozen=True)
class Response:
    """How a navigation was answered."""

    status: int


@dataclass
class Download:
    """A file that the browser saved."""

    file: Path | None = None

    @property
    def value(self) -> "Download":
        """Itself, when it is there."""
        return self

    def path(self) -> Path:
        """Where it lies."""
        assert self.file is not None
        return self.file


class Keyboard:
    """The keyboard of a tab."""

    def __init__(self, tab: "Tab") -> None:
        self.tab = tab

    def press(self, key: str) -> None:
        """Press a key by its name."""
        self.tab.press_key(KEYS[key])


class Tab(ABC):
    """One tab. Its page is reached by locators and scripts; what it has to say reaches those who listen."""

    def __init__(self) -> None:
        self.keyboard = Keyboard(self)
        self._listeners: dict[str, list[Callable[[Any], None]]] = defaultdict(list)
        root = Locator(self)
        self.locator = root.locator
        self.get_by_role = root.get_by_role
        self.get_by_label = root.get_by_label
        self.get_by_text = root.get_by_text

    # --- what an engine must be able to do

    @abstractmethod
    def goto(self, url: str) -> Response:
        """Open a page and wait until it has loaded."""

    @abstractmethod
    def reload(self) -> None:
        """Load the page again."""

    @abstractmethod
    def go_back(self) -> None:
        """Go back one page."""

    @abstractmethod
    def close(self) -> None:
        """Close the tab."""

    @abstractmethod
    def add_init_script(self, script: str) -> None:
        """Let *script* run before any other in every page to come."""

    @abstractmethod
    def set_viewport_size(self, size: dict[str, int]) -> None:
        """Make the window as large as that, or as near as the engine can."""

    @abstractmethod
    def press_key(self, key: str) -> None:
        """Press and release a key, given as WebDriver writes it."""

    @abstractmethod
    def click_on(self, locator: Locator) -> None:
        """Click the middle of its first element with the mouse."""

    @abstractmethod
    def choose_files(self, locator: Locator, files: list[Path]) -> None:
        """Choose *files* in its first element."""

    @abstractmethod
    def image_names(self) -> list[str]:
        """Return the accessible names of what assistive software takes for an image."""

    @abstractmethod
    def downloaded(self) -> list[Path]:
        """Return the files that have been saved whole."""

    @abstractmethod
    def _run(self, script: str, argument: str) -> Any:
        """Await *script*, a function of *argument*, and return its result, a text or None."""

    # --- what rests on that

    def evaluate(self, script: str, argument: Any = None) -> Any:
        """Call *script*, a function, with *argument* in the page, and return what it returns, as JSON has it."""
        wrapped = f"""async (given) => {{
          const result = await ({script})(JSON.parse(given))
          return JSON.stringify(result, (name, value) => value === undefined ? null : value)
        }}"""
        return json.loads(self._run(wrapped, json.dumps(argument)))

    def click(self, locator: Locator) -> None:
        """Click the first element of *locator*; where that leads to another page, wait until it is there."""
        self.evaluate("() => addEventListener('beforeunload', () => { window.leaving = true })")
        self.click_on(locator)
        time.sleep(0.05)  # a click reaches the page a moment later
        with suppress(AssertionError):  # a download leaves no page
            eventually(self.calm(lambda: self.evaluate("() => !window.leaving")), 10, "the page has gone")

    @property
    def url(self) -> str:
        """The address of the page."""
        return self.evaluate("() => location.href")

    def on(self, event: str, listener: Callable[[Any], None]) -> None:
        """Call *listener* for every "console", "pageerror" or "request"."""
        self._listeners[event].append(listener)

    def tells(self, event: str, about: Any) -> None:
        """Tell those who listen."""
        for listener in self._listeners[event]:
            listener(about)

    def wait_for_timeout(self, milliseconds: float) -> None:
        """Do nothing for a while."""
        time.sleep(milliseconds / 1000)

    def wait_for_function(self, script: str, *, arg: Locator, timeout: float) -> None:
        """Wait until *script* is true of the first element of *arg*."""
        condition = self.calm(lambda: arg.asks(f"([one]) => Boolean(one && ({script})(one))"))
        eventually(condition, timeout / 1000, f"{script} of {arg}")

    @contextmanager
    def expect_download(self) -> Iterator[Download]:
        """Wait for a file that what happens inside brings."""
        before, download = set(self.downloaded()), Download()
        yield download
        (download.file,) = eventually(
            lambda: set(self.downloaded()) - before, PATIENCE, "a file was downloaded"
        )

    def calm(self, question: Callable[[], Any]) -> Callable[[], Any]:
        """Return *question*, answered by None while one page gives way to another."""

        def asked() -> Any:
            try:
                return question()
            except EngineError:
                return None

        return asked
