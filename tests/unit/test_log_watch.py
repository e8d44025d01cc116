"""What watches over the logs of all tests finds a key in them."""

import base64
import logging

import pytest

from pixstore import crypto
from tests.log_watch import LogWatch

KEY = bytes(range(200, 232))


@pytest.mark.parametrize(
    "form",
    [KEY.hex(), base64.b64encode(KEY).decode(), base64.urlsafe_b64encode(KEY).decode().rstrip("=")],
    ids=["hexadecimal", "base64", "base64url"],
)
def test_a_key_in_a_log_is_found(form):
    """A key that was used, and stands in a log message in any form, is found."""
    watch = LogWatch()
    with watch.watching(["planted"]):
        crypto.wrap(b"secret", key=KEY, nonce=bytes(12), associated_data=b"")
        logging.getLogger("planted").debug("the key is %s", form)

    assert watch.found()


def test_a_key_in_a_traceback_is_found():
    """So is one in a traceback."""
    watch = LogWatch()
    watch.keys.add(KEY)
    with watch.watching(["planted"]):
        try:
            raise ValueError(KEY.hex())
        except ValueError:
            logging.getLogger("planted").exception("this failed")

    assert watch.found()


def test_other_long_words_are_none():
    """Digests, ids and keys that were never used are not taken for one."""
    watch = LogWatch()
    watch.keys.add(bytes(32))
    watch.read(f"{KEY.hex()} /static/{'a' * 60}/app.js")

    assert watch.found() == set()
