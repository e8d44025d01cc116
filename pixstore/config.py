"""
The settings of a store and of the application: one frozen dataclass. Imports only ``errors`` and ``formats``.

Every field carries its help text; the environment variable of a field is ``PIXSTORE_`` and its name in capitals. All
faults are reported at once, because a person who mends settings one restart at a time goes away.
"""

import base64
import binascii
import dataclasses
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from pixstore import formats
from pixstore.crypto import KEY_SIZE
from pixstore.errors import ConfigError
from pixstore.proofs import NEVER_EXPIRES

ErrorHandlingMode = Literal["hybrid", "throw", "warn", "silent", "custom"]

ENVIRONMENT_PREFIX = "PIXSTORE_"
MINUTE = 60_000
DAY = 24 * 60 * MINUTE
MIB = 2**20
AES_GCM_LIMIT = 2**31 - 64
"""Bytes that one call of the cipher takes, less the format byte and the tag."""

_ROUTE = re.compile(r"(/[A-Za-z0-9_.~-]+)+")
_ORIGIN = re.compile(r"\*|https?://[A-Za-z0-9.:\[\]_-]+")


def _setting(default: Any, help_text: str, *, parse: Callable[[str], Any] = str, secret: bool = False) -> Any:
    return field(
        default=default, repr=not secret, metadata={"help": help_text, "parse": parse, "secret": secret}
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in re.split(r"[,\s]+", text) if word)


def _flag(text: str) -> bool:
    answers = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    try:
        return answers[text.strip().lower()]
    except KeyError:
        raise ValueError("expected true or false") from None


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("expected a whole number") from None


def decode_master_key(text: str) -> bytes:
    """
    Return the 32 bytes that *text* encodes in base64.

    Raises:
        ValueError: If it does not encode 32 bytes. The text is not repeated.
    """
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("expected base64") from None
    if len(key) != KEY_SIZE:
        raise ValueError(f"expected {KEY_SIZE} bytes in base64")
    return key


@dataclass(frozen=True, kw_only=True)
class Config:
    """
    Where a store lives and how it behaves.

    Raises:
        ConfigError: At construction, naming every setting that is wrong.
    """

    data_dir: Path = _setting(
        Path("data"),
        "Directory of everything the store keeps, unless a setting below says otherwise.",
        parse=Path,
    )
    image_root_dir: Path | None = _setting(
        None, "Directory of the sealed images. Default: `blobs` in the data directory.", parse=Path
    )
    database_path: Path | None = _setting(
        None, "SQLite file of the records. Default: `pixstore.sqlite` in the data directory.", parse=Path
    )
    database_url: str | None = _setting(
        None, "Database to use instead of SQLite: `postgresql://user:password@host/name`.", secret=True
    )
    master_key: bytes | None = _setting(
        None, "Master key, 32 bytes in base64.", parse=decode_master_key, secret=True
    )
    master_key_file: Path | None = _setting(
        None,
        "File that holds the master key in base64. Default: `master.key` in the data directory, made at first start.",
        parse=Path,
    )
    image_formats: tuple[str, ...] = _setting(
        formats.DEFAULT_FORMATS,
        "Accepted formats. The list starts `png,webp,jpg,jpeg`; `gif`, `avif`, `bmp` and `tiff` may be appended. "
        "Never reorder it: the position of a format is stored in each image.",
        parse=_words,
    )
    stateless_key_window_length: int = _setting(
        5 * MINUTE,
        "Proof window in ms: a proof is good for one to two windows. -1: proofs never expire.",
        parse=_whole_number,
    )
    default_endpoint_enabled: bool = _setting(True, "Serve the image endpoint.", parse=_flag)
    default_endpoint_route: str = _setting("/pixstore-image", "Path of the image endpoint.")
    access_control_allow_origin: str | None = _setting(
        None, "Origin whose pages may read the image endpoint (CORS), or `*`. Default: only our own."
    )
    error_handling_mode: ErrorHandlingMode = _setting(
        "hybrid",
        "What the functions of `pixstore.backend` do on an error: hybrid, throw, warn, silent or custom.",
    )
    max_image_bytes: int = _setting(32 * MIB, "Largest image accepted, in bytes.", parse=_whole_number)
    max_image_pixels: int = _setting(
        100_000_000, "Largest image accepted, in pixels (width x height).", parse=_whole_number
    )
    max_upload_bytes: int = _setting(
        256 * MIB, "Largest upload form accepted, in bytes, all its files together.", parse=_whole_number
    )
    orphan_grace: int = _setting(
        DAY, "Age in ms before `sweep` removes a blob that no record names.", parse=_whole_number
    )
    trusted_hosts: tuple[str, ...] = _setting(
        (), "Host names the application answers to, separated by commas. Default: any.", parse=_words
    )
    proxy_hops: int = _setting(
        0, "Number of trusted proxies in front of the application.", parse=_whole_number
    )
    cookie_secure: bool = _setting(
        False, "Send the session cookie over HTTPS only. Set it wherever TLS is in front.", parse=_flag
    )
    session_lifetime: int = _setting(14 * DAY, "How long a login lasts, in ms.", parse=_whole_number)
    thumbnail_size: int = _setting(512, "Longest side of a thumbnail, in pixels.", parse=_whole_number)

    def __post_init__(self) -> None:
        faults = self._faults()
        if faults:
            raise ConfigError("\n".join(faults))

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> "Config":
        """
        Return the settings of the environment, with *overrides* (already of their Python types) on top.

        Raises:
            ConfigError: Naming every variable and option that is wrong.
        """
        environ = os.environ if environ is None else environ
        known = {setting.name: setting for setting in dataclasses.fields(cls)}
        faults = [f"{name}: there is no such option" for name in overrides if name not in known]
        values: dict[str, Any] = {name: value for name, value in overrides.items() if name in known}
        for name, setting in known.items():
            text = environ.get(ENVIRONMENT_PREFIX + name.upper(), "")
            if name in values or not text:
                continue
            try:
                values[name] = setting.metadata["parse"](text)
            except ValueError as error:
                faults.append(f"{ENVIRONMENT_PREFIX}{name.upper()}: {error}")
        try:
            config = cls(**values)
        except ConfigError as error:
            faults.append(str(error))
        if faults:
            raise ConfigError("\n".join(faults))
        return config

    @property
    def blobs_path(self) -> Path:
        """Directory of the sealed images."""
        return self.image_root_dir or self.data_dir / "blobs"

    @property
    def sqlite_path(self) -> Path:
        """File of the SQLite database, where no other database is named."""
        return self.database_path or self.data_dir / "pixstore.sqlite"

    @property
    def keyring_path(self) -> Path:
        """File of the keyring."""
        return self.data_dir / "keyring.json"

    @property
    def image_limits(self) -> formats.ImageLimits:
        """What an image must keep to."""
        return formats.ImageLimits(self.image_formats, self.max_image_bytes, self.max_image_pixels)

    def _faults(self) -> list[str]:
        """Return every fault; a setting of a wrong type is not looked at further."""
        self._accept_plain_values()
        of_type = self._type_faults()
        faults = [*of_type.values(), *self._number_faults()]
        if "image_formats" not in of_type:
            faults += formats.list_faults(self.image_formats)
        if "error_handling_mode" not in of_type and self.error_handling_mode not in get_args(
            ErrorHandlingMode
        ):
            faults.append(f"error_handling_mode: expected one of {', '.join(get_args(ErrorHandlingMode))}")
        if "default_endpoint_route" not in of_type and not _ROUTE.fullmatch(self.default_endpoint_route):
            faults.append("default_endpoint_route: expected a path such as /pixstore-image")
        origin = self.access_control_allow_origin
        if isinstance(origin, str) and not _ORIGIN.fullmatch(origin):
            faults.append("access_control_allow_origin: expected an origin such as https://example.org, or *")
        url = self.database_url
        if isinstance(url, str) and not url.startswith(("postgresql://", "postgres://")):
            faults.append("database_url: expected postgresql://…")
        return [*faults, *self._master_key_faults()]

    def _accept_plain_values(self) -> None:
        """Let paths be given as text, and lists of words as lists."""
        for path in ("data_dir", "image_root_dir", "database_path", "master_key_file"):
            if isinstance(getattr(self, path), str) and getattr(self, path):
                object.__setattr__(self, path, Path(getattr(self, path)))
        for words in ("image_formats", "trusted_hosts"):
            if isinstance(getattr(self, words), list):
                object.__setattr__(self, words, tuple(getattr(self, words)))

    def _type_faults(self) -> dict[str, str]:
        """Return a sentence for each setting whose value is of a wrong type."""
        expected: dict[str, type | tuple[type, ...]] = {
            "data_dir": Path,
            "image_root_dir": (Path, type(None)),
            "database_path": (Path, type(None)),
            "database_url": (str, type(None)),
            "master_key": (bytes, type(None)),
            "master_key_file": (Path, type(None)),
            "image_formats": tuple,
            "default_endpoint_enabled": bool,
            "default_endpoint_route": str,
            "access_control_allow_origin": (str, type(None)),
            "error_handling_mode": str,
            "trusted_hosts": tuple,
            "cookie_secure": bool,
        }
        faults = {
            name: f"{name}: a value of type {type(getattr(self, name)).__name__} is not possible here"
            for name, types in expected.items()
            if not isinstance(getattr(self, name), types)
        }
        for words in ("image_formats", "trusted_hosts"):
            if words not in faults and not all(isinstance(word, str) for word in getattr(self, words)):
                faults[words] = f"{words}: expected words"
        return faults

    def _master_key_faults(self) -> list[str]:
        if isinstance(self.master_key, bytes) and len(self.master_key) != KEY_SIZE:
            return [f"master_key: expected {KEY_SIZE} bytes"]
        if self.master_key is not None and self.master_key_file is not None:
            return ["master_key, master_key_file: give one of them, not both"]
        return []

    def _number_faults(self) -> list[str]:
        least = {
            "max_image_bytes": 1,
            "max_image_pixels": 1,
            "max_upload_bytes": 1,
            "orphan_grace": 0,
            "proxy_hops": 0,
            "session_lifetime": MINUTE,
            "thumbnail_size": 16,
        }
        faults = [
            f"{name}: expected a whole number, at least {bound}"
            for name, bound in least.items()
            if not _is_whole(getattr(self, name)) or getattr(self, name) < bound
        ]
        if _is_whole(self.max_image_bytes) and self.max_image_bytes >= AES_GCM_LIMIT:
            faults.append(f"max_image_bytes: expected less than {AES_GCM_LIMIT}")
        window = self.stateless_key_window_length
        if not _is_whole(window) or (window < 1 and window != NEVER_EXPIRES):
            faults.append("stateless_key_window_length: expected a whole number of ms, at least 1, or -1")
        return faults


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
