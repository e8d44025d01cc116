"""
Elements of a page, and what is expected of them: as much of Playwright's Locator and expect() as the browser tests use, for
engines that Playwright cannot drive.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect as playwright_expect

from tests.eventually import eventually

if TYPE_CHECKING:
    from tests.browser.engines.tab import Tab

PATIENCE = 20.0
"""Seconds until an element that does not come is missed."""


class Locator:
    """The elements that *steps* lead to, looked for anew each time."""

    FIND = (Path(__file__).parent / "finder.js").read_text(encoding="utf-8")

    def __init__(self, tab: "Tab", steps: Sequence[dict[str, Any]] = ()) -> None:
        self.tab = tab
        self.steps = list(steps)

    def __repr__(self) -> str:
        return f"Locator({self.steps})"

    def _then(self, kind: str, **step: Any) -> "Locator":
        return Locator(self.tab, [*self.steps, {"kind": kind} | step])

    # --- which

    def locator(self, css: str) -> "Locator":
        """Elements below these that a selector matches."""
        return self._then("css", css=css)

    def get_by_role(self, role: str, *, name: str = "", exact: bool = False) -> "Locator":
        """Visible elements below these, by what they are and are called."""
        return self._then("role", role=role, name=name, exact=exact)

    def get_by_label(self, text: str, *, exact: bool = False) -> "Locator":
        """Fields below these, by their label."""
        return self._then("label", label=text, exact=exact)

    def get_by_text(self, text: str, *, exact: bool = False) -> "Locator":
        """The innermost elements below these with this text."""
        return self._then("text", text=text, exact=exact)

    def filter(self, *, has: "Locator") -> "Locator":
        """Those of them that hold what *has*, a selector, matches."""
        return self._then("has", css=has.steps[-1]["css"])

    @property
    def first(self) -> "Locator":
        """The first of them."""
        return self._then("nth", nth=0)

    def all(self) -> list["Locator"]:
        """Each of them."""
        return [self._then("nth", nth=n) for n in range(self.count())]

    # --- what they say

    def asks(self, script: str, argument: Any = None) -> Any:
        """Evaluate *script*, a function of the list of elements and *argument*, as they are now."""
        wrapped = f"([steps, argument]) => ({script})(({self.FIND})(steps), argument)"
        return self.tab.evaluate(wrapped, [self.steps, argument])

    def count(self) -> int:
        """How many there are."""
        return self.asks("(all) => all.length")

    def is_visible(self) -> bool:
        """Whether the first is there and visible."""
        return self.asks(
            """([one]) => {
              const box = one?.getBoundingClientRect()
              return Boolean(box?.width && box.height && one.checkVisibility({ visibilityProperty: true }))
            }"""
        )

    def evaluate(self, script: str, argument: Any = None) -> Any:
        """Evaluate *script*, a function of the first element and *argument*, when it is there."""
        self._waits()
        return self.asks(f"([one], argument) => ({script})(one, argument)", argument)

    def get_attribute(self, name: str) -> str | None:
        """An attribute of the first."""
        return self.evaluate("(one, name) => one.getAttribute(name)", name)

    def inner_text(self) -> str:
        """The text of the first, as it is shown."""
        return self.evaluate("(one) => one.innerText")

    # --- what is done with them

    def scroll_into_view_if_needed(self) -> None:
        """Bring the first into the window."""
        self.evaluate("(one) => one.scrollIntoView({ block: 'nearest', behavior: 'instant' })")

    def click(self) -> None:
        """Click the first with the mouse, when it is there, visible, enabled, and stands still."""
        eventually(self._is_ready, PATIENCE, f"{self} can be clicked")
        self.tab.click(self)

    def fill(self, text: str) -> None:
        """Write into the first."""
        eventually(self.is_visible, PATIENCE, f"{self} is visible")
        self.evaluate(
            """(field, text) => {
              field.focus()
              field.value = text
              for (const type of ['input', 'change']) field.dispatchEvent(new Event(type, { bubbles: true }))
            }""",
            text,
        )

    def set_input_files(self, files: Path | Sequence[Path]) -> None:
        """Choose files in the first."""
        self._waits()
        self.tab.choose_files(self, [files] if isinstance(files, Path) else list(files))

    def element_handle(self) -> "Locator":
        """Itself: for wait_for_function()."""
        return self

    def _waits(self) -> None:
        eventually(self.tab.calm(self.count), PATIENCE, f"{self} is there")

    def _is_ready(self) -> bool:
        script = """async ([one]) => {
          const still = async () => {
            one.scrollIntoView({ block: 'nearest', behavior: 'instant' })
            const before = one.getBoundingClientRect()
            await new Promise((resolve) => setTimeout(resolve, 40))
            const after = one.getBoundingClientRect()
            return before.top === after.top && before.left === after.left && after.width > 0
          }
          return Boolean(one && !one.disabled && one.checkVisibility({ visibilityProperty: true }) && await still())
        }"""
        return self.tab.calm(lambda: self.asks(script))()


class Expectation:
    """What shall become true of a locator."""

    def __init__(self, locator: Locator) -> None:
        self.locator = locator

    def _comes(self, condition: Callable[[], bool], what: str, timeout: float) -> None:
        eventually(self.locator.tab.calm(condition), timeout / 1000, f"{self.locator} {what}")

    def to_be_visible(self, *, timeout: float = PATIENCE * 1000) -> None:
        """It becomes visible."""
        self._comes(self.locator.is_visible, "is visible", timeout)

    def to_have_count(self, count: int, *, timeout: float = PATIENCE * 1000) -> None:
        """There are so many."""
        self._comes(lambda: self.locator.count() == count, f"are {count}", timeout)

    def to_contain_text(self, text: str, *, timeout: float = PATIENCE * 1000) -> None:
        """It says *text*."""
        script = "([one], text) => Boolean(one?.textContent.includes(text))"
        self._comes(lambda: self.locator.asks(script, text), f"says {text!r}", timeout)

    def not_to_have_attribute(self, name: str, value: str, *, timeout: float = PATIENCE * 1000) -> None:
        """Its attribute is not *value* any more."""
        script = "([one], [name, value]) => Boolean(one) && one.getAttribute(name) !== value"
        self._comes(
            lambda: self.locator.asks(script, [name, value]), f"has another {name} than {value!r}", timeout
        )


def expect(locator: Any) -> Any:
    """What Playwright calls by this name, for the locators of every engine."""
    return Expectation(locator) if isinstance(locator, Locator) else playwright_expect(locator)
