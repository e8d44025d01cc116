"""
The settings of a store and of the application: one frozen dataclass. Imports ``settings``, ``formats``, ``errors``.

To add a setting, add a field: its type, check, help, environment variable and README row (`make readme`) follow from it. All
faults are reported at once, so that nobody has to correct settings one restart at a time.
"""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pixstore import formats
from pixstore.crypto import KEY_SIZE
from pixstore.errors import ConfigError
from pixstore.proofs import NEVER_EXPIRES
from pixstore.settings import (
    Choice,
    FilePath,
    Flag,
    Key,
    Text,
    WholeNumber,
    Words,
    check_setting,
    read_setting,
    setting,
    variable,
)

ErrorHandlingMode = Literal["hybrid", "throw", "warn", "silent", "custom"]

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
MIB = 2**20

AES_GCM_LIMIT = 2**31 - 64
"""Bytes that one call of the cipher can take. The 64 leave room for the format byte and the tag."""

_ROUTE = r"(/[A-Za-z0-9_.~-]+)+"
_ORIGIN = r"\*|https?://[A-Za-z0-9.:\[\]_-]+"
_MASTER_KEY = Key(KEY_SIZE)


def decode_master_key(text: str) -> bytes:
    """
    Return the 32 bytes that *text* encodes in base64.

    Raises:
        ValueError: If it does not encode 32 bytes. The text is not repeated.
    """
    return _MASTER_KEY.read(text)


@dataclass(frozen=True, kw_only=True)
class Config:
    """
    Where a store lives and how it behaves.

    Raises:
        ConfigError: Naming every setting that is wrong.
    """

    data_dir: Path = setting(
        Path("data"),
        "Directory of everything the store keeps, unless a setting below says otherwise.",
        FilePath(),
    )
    image_root_dir: Path | None = setting(
        None, "Directory of the sealed images. Default: `blobs` in the data directory.", FilePath()
    )
    database_path: Path | None = setting(
        None, "SQLite file of the records. Default: `pixstore.sqlite` in the data directory.", FilePath()
    )
    database_url: str | None = setting(
        None,
        "Database to use instead of SQLite: `postgresql://user:password@host/name`.",
        Text(r"postgres(ql)?://.*", "postgresql://…"),
        secret=True,
    )
    master_key: bytes | None = setting(None, "Master key, 32 bytes in base64.", _MASTER_KEY, secret=True)
    master_key_file: Path | None = setting(
        None,
        "File that holds the master key in base64. Default: `master.key` in the data directory, made at first start.",
        FilePath(),
    )
    new_master_key: bytes | None = setting(
        None,
        "New master key in base64, during a rotation of the master key. It is accepted beside the current one.",
        _MASTER_KEY,
        secret=True,
    )
    new_master_key_file: Path | None = setting(
        None, "File that holds the new master key in base64, during a rotation of the master key.", FilePath()
    )
    image_formats: tuple[str, ...] = setting(
        formats.DEFAULT_FORMATS,
        "Accepted formats. The list starts `png,webp,jpg,jpeg`; `gif`, `avif`, `bmp` and `tiff` may be appended. "
        "Never reorder it: the position of a format is stored in each image.",
        Words(formats.list_faults),
    )
    stateless_key_window_length: int = setting(
        5 * MINUTE,
        "Proof window in ms: a proof is good for one to two windows. -1: proofs never expire.",
        WholeNumber(1, special=NEVER_EXPIRES),
    )
    default_endpoint_enabled: bool = setting(True, "Serve the image endpoint.", Flag())
    default_endpoint_route: str = setting(
        "/pixstore-image", "Path of the image endpoint.", Text(_ROUTE, "a path such as /pixstore-image")
    )
    access_control_allow_origin: str | None = setting(
        None,
        "Origin whose pages may read the image endpoint (CORS), or `*`. Default: only our own.",
        Text(_ORIGIN, "an origin such as https://example.org, or *"),
    )
    error_handling_mode: ErrorHandlingMode = setting(
        "hybrid",
        "What the functions of `pixstore.backend` do on an error: hybrid, throw, warn, silent or custom.",
        Choice(get_args(ErrorHandlingMode)),
    )
    max_image_bytes: int = setting(
        32 * MIB, "Largest image accepted, in bytes.", WholeNumber(1, AES_GCM_LIMIT - 1)
    )
    max_image_pixels: int = setting(
        100_000_000, "Largest image accepted, in pixels (width x height).", WholeNumber(1)
    )
    max_upload_bytes: int = setting(
        256 * MIB, "Largest upload form accepted, in bytes, all its files together.", WholeNumber(1)
    )
    uploads_at_once: int = setting(
        4,
        "Upload forms above 8 MiB that a process takes at once; half as many more wait. Set it to half of `WEB_THREADS`.",
        WholeNumber(1),
    )
    orphan_grace: int = setting(
        DAY, "Age in ms before `sweep` removes a blob that no record names.", WholeNumber(0)
    )
    trusted_hosts: tuple[str, ...] = setting(
        (), "Host names the application answers to, separated by commas. Default: any.", Words()
    )
    proxy_hops: int = setting(0, "Number of trusted proxies in front of the application.", WholeNumber(0))
    cookie_secure: bool = setting(
        False, "Send the session cookie over HTTPS only. Set it wherever TLS is in front.", Flag()
    )
    session_lifetime: int = setting(14 * DAY, "How long a login lasts, in ms.", WholeNumber(MINUTE))
    thumbnail_size: int = setting(512, "Longest side of a thumbnail, in pixels.", WholeNumber(16))

    def __post_init__(self) -> None:
        faults = []
        for field in dataclasses.fields(self):
            try:
                # Convert plain values to the field's type: text to a path, a list to a tuple of words.
                object.__setattr__(self, field.name, check_setting(field, getattr(self, field.name)))
            except ValueError as error:
                faults.append(f"{field.name}: {error}")
        for key, file in (("master_key", "master_key_file"), ("new_master_key", "new_master_key_file")):
            if getattr(self, key) is not None and getattr(self, file) is not None:
                faults.append(f"{key}, {file}: give one of them, not both")
        if faults:
            raise ConfigError("\n".join(faults))

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> "Config":
        """
        Return the settings of the environment.

        *overrides*, which are Python values, replace those of the environment.

        Raises:
            ConfigError: Naming every variable and option that is wrong.
        """
        environ = os.environ if environ is None else environ
        known = {field.name: field for field in dataclasses.fields(cls)}
        faults = [f"{name}: there is no such option" for name in overrides if name not in known]
        values: dict[str, Any] = {name: value for name, value in overrides.items() if name in known}
        for name, field in known.items():
            text = environ.get(variable(field), "")
            if name in values or not text:
                continue
            try:
                values[name] = read_setting(field, text)
            except ValueError as error:
                faults.append(f"{variable(field)}: {error}")
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
        """File of the SQLite database, if ``database_url`` is not set."""
        return self.database_path or self.data_dir / "pixstore.sqlite"

    @property
    def image_limits(self) -> formats.ImageLimits:
        """The limits that every image must keep."""
        return formats.ImageLimits(self.image_formats, self.max_image_bytes, self.max_image_pixels)
