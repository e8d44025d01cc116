"""
The kinds of values that a setting may have. Imports nothing of ours.

``setting(default, help, kind)`` describes one field of ``Config`` in one place: type, check, help. Its environment variable
and its row in the README follow from that. A kind can read the text of an environment variable, and check a
value that a program gives. Both return the value, or raise ``ValueError`` with what was expected. No message
repeats the value: it may be a secret.
"""

import base64
import binascii
import dataclasses
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

ENVIRONMENT_PREFIX = "PIXSTORE_"


class Kind(Protocol):
    """A kind of value: how to read it from text, and how to check it."""

    def read(self, text: str) -> Any:
        """Return the value of *text*, an environment variable. It is not checked yet."""

    def check(self, value: object) -> Any:
        """Return *value* in its final type, if it is valid."""


def setting(default: Any, help_text: str, kind: Kind, *, secret: bool = False) -> Any:
    """Return a field of a dataclass. If the default is ``None``, the setting is optional."""
    return dataclasses.field(default=default, repr=not secret, metadata={"help": help_text, "kind": kind})


def read_setting(field: "dataclasses.Field[Any]", text: str) -> Any:
    """
    Return the value of the setting *field*, read from *text*, its environment variable.

    Raises:
        ValueError: Saying what was expected.
    """
    kind: Kind = field.metadata["kind"]
    return kind.check(kind.read(text))


def check_setting(field: "dataclasses.Field[Any]", value: object) -> Any:
    """
    Return *value* in the type of the setting *field*.

    Raises:
        ValueError: Saying what was expected.
    """
    if value is None and field.default is None:
        return None
    kind: Kind = field.metadata["kind"]
    return kind.check(value)


def variable(field: "dataclasses.Field[Any]") -> str:
    """Return the name of the environment variable."""
    return ENVIRONMENT_PREFIX + field.name.upper()


def readme_row(field: "dataclasses.Field[Any]") -> str:
    """Return the row of the settings table: variable, default, help."""
    default = field.default
    if default is None or default == ():
        shown = ""
    elif isinstance(default, tuple):
        shown = f"`{','.join(default)}`"
    else:
        shown = f"`{str(default).lower() if isinstance(default, bool) else default}`"
    return f"| `{variable(field)}` | {shown} | {field.metadata['help']} |"


# --- kinds


@dataclass(frozen=True)
class WholeNumber:
    """A whole number from *least* to *most*, or *special*."""

    least: int
    most: int | None = None
    special: int | None = None

    def read(self, text: str) -> int:
        """See ``Kind``."""
        try:
            return int(text)
        except ValueError:
            raise ValueError("expected a whole number") from None

    def check(self, value: object) -> int:
        """See ``Kind``."""
        if isinstance(value, int) and not isinstance(value, bool):
            is_within = value >= self.least and (self.most is None or value <= self.most)
            if is_within or value == self.special:
                return value
        most = "" if self.most is None else f" and at most {self.most}"
        special = "" if self.special is None else f", or {self.special}"
        raise ValueError(f"expected a whole number, at least {self.least}{most}{special}")


class Flag:
    """True or false."""

    def read(self, text: str) -> bool | None:
        """See ``Kind``."""
        word = text.strip().lower()
        if word in {"1", "true", "yes", "on"}:
            return True
        return False if word in {"0", "false", "no", "off"} else None

    def check(self, value: object) -> bool:
        """See ``Kind``."""
        if not isinstance(value, bool):
            raise ValueError("expected true or false")  # noqa: TRY004 - one kind of error for every kind of value
        return value


class FilePath:
    """A path. A program may give it as a string."""

    def read(self, text: str) -> Path:
        """See ``Kind``."""
        return Path(text)

    def check(self, value: object) -> Path:
        """See ``Kind``."""
        if isinstance(value, str) and value:
            return Path(value)
        if not isinstance(value, Path):
            raise ValueError(_wrong_type(value))  # noqa: TRY004
        return value


@dataclass(frozen=True)
class Text:
    """A text that matches *pattern*. *expected* describes the pattern in words."""

    pattern: str
    expected: str

    def read(self, text: str) -> str:
        """See ``Kind``."""
        return text

    def check(self, value: object) -> str:
        """See ``Kind``."""
        if not isinstance(value, str):
            raise ValueError(_wrong_type(value))  # noqa: TRY004
        if not re.fullmatch(self.pattern, value):
            raise ValueError(f"expected {self.expected}")
        return value


@dataclass(frozen=True)
class Choice:
    """One of *words*."""

    words: Sequence[str]

    def read(self, text: str) -> str:
        """See ``Kind``."""
        return text

    def check(self, value: object) -> str:
        """See ``Kind``."""
        if not isinstance(value, str) or value not in self.words:
            raise ValueError(f"expected one of {', '.join(self.words)}")
        return value


@dataclass(frozen=True)
class Words:
    """
    Several words.

    In the environment, commas or blanks separate them. *faults* returns what is wrong with the words.
    """

    faults: Callable[[Sequence[str]], Sequence[str]] = lambda _words: ()

    def read(self, text: str) -> tuple[str, ...]:
        """See ``Kind``."""
        return tuple(word for word in re.split(r"[,\s]+", text) if word)

    def check(self, value: object) -> tuple[str, ...]:
        """See ``Kind``."""
        if not isinstance(value, tuple | list):
            raise ValueError(_wrong_type(value))  # noqa: TRY004
        if not all(isinstance(word, str) for word in value):
            raise ValueError("expected words")
        if faults := self.faults(value):
            raise ValueError("; ".join(faults))
        return tuple(value)


@dataclass(frozen=True)
class Key:
    """A key of *size* bytes. In the environment it is base64."""

    size: int

    def read(self, text: str) -> bytes:
        """See ``Kind``."""
        try:
            key = base64.b64decode(text.strip(), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("expected base64") from None
        if len(key) != self.size:
            raise ValueError(f"expected {self.size} bytes in base64")
        return key

    def check(self, value: object) -> bytes:
        """See ``Kind``."""
        if not isinstance(value, bytes):
            raise ValueError(_wrong_type(value))  # noqa: TRY004
        if len(value) != self.size:
            raise ValueError(f"expected {self.size} bytes")
        return value


def _wrong_type(value: object) -> str:
    return f"a value of type {type(value).__name__} is not possible here"
