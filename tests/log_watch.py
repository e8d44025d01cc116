"""Watches over the logs of the whole test run: no key that was used in it may stand in them, in whatever form."""

import base64
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import mock

from pixstore import crypto
from pixstore.config import Config
from pixstore.errors import PixstoreError
from pixstore.store import ImageStore

LOGGERS = ("pixstore", "app", "werkzeug", "gunicorn")
_HEX_LENGTH, _BASE64_LENGTH = 2 * crypto.KEY_SIZE, 43
_RUN = re.compile(r"[A-Za-z0-9+/_-]{43,}")


class LogWatch(logging.Handler):
    """Remembers what in a log could be a key, and every key."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.keys: set[bytes] = set()
        self._runs: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Remember the long words of *record*, a traceback's included."""
        self.read(self.format(record))

    def read(self, text: str) -> None:
        """Remember the long words of *text*, which was logged."""
        self._runs |= set(_RUN.findall(text))

    def found(self) -> set[str]:
        """Return the words in which there is a key."""
        return {run for run in self._runs if any(key in self.keys for key in _possible_keys(run))}

    @contextmanager
    def watching(self, names: Iterable[str] = LOGGERS) -> Iterator[None]:
        """Listen to these logs, and learn every key that encrypts or decrypts in this process."""

        def noting(cipher: Callable[..., object]) -> Callable[..., object]:
            def noted(key: bytes, *rest: object) -> object:
                self.keys.add(bytes(key))
                return cipher(key, *rest)

            return noted

        loggers = [logging.getLogger(name) for name in names]
        for logger in loggers:
            logger.addHandler(self)
            logger.setLevel(logging.DEBUG)
        with (
            mock.patch.object(crypto, "AESGCM", noting(crypto.AESGCM)),
            mock.patch.object(crypto, "_image_cipher", noting(crypto._image_cipher)),
        ):
            yield
        for logger in loggers:
            logger.removeHandler(self)
            logger.setLevel(logging.NOTSET)

    def learn_store(self, data_dir: Path) -> None:
        """Learn every key of the store in *data_dir*, as far as it is in order."""
        with suppress(PixstoreError):
            store = ImageStore.open(Config(data_dir=data_dir))
            try:
                self._learn(store)
            finally:
                store.close()

    def _learn(self, store: ImageStore) -> None:
        keyring = store.parts.keyring.latest()
        self.keys |= {key.secret for key in keyring.store_keys.values()} | {keyring.service_secret}
        with store.connected():
            for row in store.parts.models.image.select():
                record = store.record(row.id)
                if record is not None and record.meta is not None:
                    self.keys.add(base64.b64decode(record.meta.key))


def _possible_keys(run: str) -> Iterator[bytes]:
    for start in range(len(run) - _BASE64_LENGTH + 1):
        short = run[start : start + _BASE64_LENGTH] + "="
        with suppress(ValueError):
            yield bytes.fromhex(run[start : start + _HEX_LENGTH])
        with suppress(ValueError):
            yield base64.b64decode(short)
        with suppress(ValueError):
            yield base64.b64decode(short, altchars=b"-_")
