"""Starts: the first one makes a master key and a keyring, later ones change nothing, and one that cannot go on says why."""

import base64
import json
import logging
import sqlite3
from contextlib import closing
from dataclasses import replace

import psutil
import pytest

from pixstore.blobs.memory import MemoryBlobs
from pixstore.config import Config
from pixstore.errors import ConfigError, KeyringError, PixstoreError, StorageError
from pixstore.store import ImageStore
from tests import images

OTHER_KEY = bytes(range(32))


@pytest.fixture(name="saved")
def _saved(config, now):
    """Return the id of an image in a store that was closed again."""
    store = ImageStore.open(config, now=now)
    image_id = store.save(images.png()).id
    store.close()
    return image_id


def _copies(config):
    return list((config.blobs_path / "keyring").iterdir())


def _document(config):
    with closing(sqlite3.connect(config.sqlite_path)) as database:
        return database.execute("SELECT document FROM keyring").fetchone()[0]


def _load(config, image_id):
    store = ImageStore.open(config)
    try:
        return store.load(image_id)
    finally:
        store.close()


# --- the first start


def test_a_first_start_makes_a_master_key(config, caplog):
    """Its file is readable by its owner alone, and the log says that it must be backed up, but not what it is."""
    ImageStore.open(config).close()

    master_key = config.data_dir / "master.key"
    assert len(base64.b64decode(master_key.read_text())) == 32
    assert master_key.stat().st_mode & 0o777 == 0o600
    assert config.data_dir.stat().st_mode & 0o777 == 0o700
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"{master_key}: back it up" in record.message
    assert master_key.read_text().strip() not in caplog.text


def test_the_keyring_is_copied_beside_the_images(config):
    """What the database holds of the keyring lies beside the blobs too."""
    ImageStore.open(config).close()

    (copy,) = _copies(config)
    assert copy.read_bytes() == _document(config)


def test_a_given_master_key_is_never_written(config, caplog):
    """A master key from the environment is not written to disk in any form."""
    given = replace(config, master_key=OTHER_KEY)
    ImageStore.open(given).close()

    assert not (config.data_dir / "master.key").exists()
    written = b"".join(path.read_bytes() for path in config.data_dir.rglob("*") if path.is_file())
    assert not any(
        form in written for form in (OTHER_KEY, base64.b64encode(OTHER_KEY), OTHER_KEY.hex().encode())
    )


def test_a_master_key_of_a_file(tmp_path, config):
    """A master key is read from the file that the setting names; white space around it does not matter."""
    file = tmp_path / "secret"
    file.write_bytes(b"  " + base64.b64encode(OTHER_KEY) + b"\n\n")
    file.chmod(0o600)
    store = ImageStore.open(replace(config, master_key_file=file))
    image_id = store.save(images.png()).id
    store.close()

    assert _load(replace(config, master_key=OTHER_KEY), image_id) == images.png()


def test_a_master_key_file_that_does_not_exist_is_made_there(tmp_path, config):
    """A first start writes the new master key where the setting says."""
    file = tmp_path / "key"

    ImageStore.open(replace(config, master_key_file=file)).close()

    assert (len(base64.b64decode(file.read_text())), file.stat().st_mode & 0o777) == (32, 0o600)


def test_a_key_that_others_can_read_is_warned_of(config, saved, caplog):
    """If others can read the master key, the store opens, and the log says what to do."""
    (config.data_dir / "master.key").chmod(0o644)

    assert _load(config, saved) == images.png()
    assert "chmod 600" in caplog.text


# --- later starts


def test_a_later_start_changes_neither(config, saved):
    """A later start leaves key and keyring as they are, byte for byte."""
    master_key = config.data_dir / "master.key"
    before = master_key.read_bytes(), _document(config), _copies(config)

    assert _load(config, saved) == images.png()

    assert (master_key.read_bytes(), _document(config), _copies(config)) == before


# --- what must stop with words


def _refused(config):
    """Return the words with which the store does not open, having checked that nothing was written over."""
    before = {path: path.read_bytes() for path in config.data_dir.rglob("*.json")}
    with pytest.raises(KeyringError) as refused:
        ImageStore.open(config)
    assert {path: path.read_bytes() for path in config.data_dir.rglob("*.json")} == before
    return str(refused.value)


def test_a_missing_master_key(config, saved):
    """If the master key is missing, the error names its file and what to do, and no new key is made."""
    key = config.data_dir / "master.key"
    key.unlink()

    words = _refused(config)

    assert f"the master key {key} is missing: restore it" in words
    assert not key.exists()


def test_a_master_key_of_another_store(config, saved):
    """With another store's master key, the error says that it is another key, not that something is damaged."""
    words = _refused(replace(config, master_key=OTHER_KEY))

    assert "the master key does not open this keyring: it is the key of another store" in words


@pytest.mark.parametrize(
    ("text", "words"),
    (
        ("", "expected one line of base64"),
        ("not base64!", "expected base64"),
        (base64.b64encode(b"short").decode(), "expected 32 bytes in base64"),
        ("\xff\xfe", "expected base64"),
    ),
    ids=("empty", "text", "short", "binary"),
)
def test_a_master_key_that_is_none(config, saved, text, words):
    """If the file holds no key, the error names the file and the fault, not its content."""
    key = config.data_dir / "master.key"
    key.write_text(text, encoding="latin-1")

    said = _refused(config)

    assert said == f"the master key {key} is not a key: {words}"


def _without_row(config):
    with closing(sqlite3.connect(config.sqlite_path)) as database, database:
        database.execute("DELETE FROM keyring")


def test_a_keyring_that_is_nowhere(config, saved):
    """If the database has rows, but no keyring and no copy of one, no new keyring is made: it would open no image."""
    _without_row(config)
    for copy in _copies(config):
        copy.unlink()

    assert "the keyring is missing from the database and from beside the images" in _refused(config)


def test_a_keyring_and_all_blobs_missing(config, saved):
    """Rows alone show that this is no first start, so no new keyring is made."""
    _without_row(config)

    with pytest.raises(KeyringError, match="missing from the database and from beside the images"):
        ImageStore.open(config, blobs=MemoryBlobs())


def _write_document(config, document):
    with closing(sqlite3.connect(config.sqlite_path)) as database, database:
        database.execute("UPDATE keyring SET document = ?", (document,))


def test_a_damaged_keyring(config, saved):
    """If the keyring is damaged, the error says where a good one may be, and the damaged one stays."""
    _write_document(config, _document(config)[:-20])

    assert "the keyring is damaged" in _refused(config)


def test_a_keyring_of_a_newer_version(config, saved):
    """A keyring of a newer version is refused and left as it is."""
    fields = json.loads(_document(config))
    _write_document(config, json.dumps({**fields, "version": 9}).encode())

    assert "the keyring has version 9; this program reads up to 2" in _refused(config)


def test_a_keyring_of_another_store(config, saved, tmp_path, now):
    """Another store's keyring is refused, because the master key does not open it."""
    other = replace(config, data_dir=tmp_path / "other")
    ImageStore.open(other, now=now).close()
    _write_document(config, _document(other))

    assert "does not open this keyring" in _refused(config)


def test_a_master_key_that_cannot_be_read(config, saved):
    """A key file that cannot be read is named; it does not count as missing, and no new key is made."""
    path = config.data_dir / "master.key"
    path.unlink()
    path.mkdir()

    with pytest.raises(PixstoreError, match=r"master\.key could not be read: Is a directory"):
        ImageStore.open(config)


def test_a_store_that_did_not_open_opens_when_the_cause_is_gone(config, saved):
    """A start that failed changes nothing, so the next one works when the cause is gone."""
    key = config.data_dir / "master.key"
    content = key.read_bytes()
    key.unlink()
    _refused(config)
    key.write_bytes(content)
    key.chmod(0o600)

    assert _load(config, saved) == images.png()


def _open_files():
    return {file.path for file in psutil.Process().open_files()}


def test_a_store_that_did_not_open_holds_nothing_open(config, saved):
    """A start that failed leaves no file open, however often it is tried."""
    (config.data_dir / "master.key").unlink()

    for _ in range(3):
        _refused(config)

    assert [path for path in _open_files() if str(config.data_dir) in path] == []


def test_a_database_that_did_not_open_is_not_held_open(tmp_path, config):
    """A file that is no database is not left open."""
    path = tmp_path / "notes.sqlite"
    path.write_text("not a database, " * 100)

    with pytest.raises(StorageError):
        ImageStore.open(replace(config, database_path=path))

    assert str(path) not in _open_files()


# --- places that cannot be used


def _in_the_way(tmp_path):
    (tmp_path / "file").write_text("in the way")
    return tmp_path / "file" / "below"


def test_a_data_directory_that_cannot_be_made(tmp_path):
    """If a file is in the way of the data directory, the error is a StorageError that names it."""
    with pytest.raises(StorageError, match="file"):
        ImageStore.open(Config(data_dir=_in_the_way(tmp_path)))


def test_an_image_directory_that_cannot_be_made(tmp_path, config):
    """If a file is in the way of the image directory, the error is a StorageError that names it."""
    with pytest.raises(StorageError, match="file"):
        ImageStore.open(replace(config, image_root_dir=_in_the_way(tmp_path)))


def test_a_database_that_cannot_be_made(tmp_path, config):
    """If a file is in the way of the database, the error is a StorageError."""
    with pytest.raises(StorageError, match="database"):
        ImageStore.open(replace(config, database_path=_in_the_way(tmp_path)))


def test_a_database_that_is_a_directory(tmp_path, config):
    """If the database is a directory, the error is a StorageError."""
    (tmp_path / "db").mkdir()

    with pytest.raises(StorageError, match="database"):
        ImageStore.open(replace(config, database_path=tmp_path / "db"))


def test_a_database_that_is_something_else(tmp_path, config):
    """A file that SQLite does not know is called damaged, and left as it is."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database, " * 100)

    with pytest.raises(StorageError, match="database"):
        ImageStore.open(replace(config, database_path=path))

    assert path.read_text() == "not a database, " * 100


def test_a_master_key_file_in_no_directory(tmp_path, config):
    """A first start that cannot write the key stops, and leaves no keyring that nothing could open."""
    with pytest.raises(PixstoreError, match="key could not be written: No such file"):
        ImageStore.open(replace(config, master_key_file=tmp_path / "missing" / "key"))

    assert _copies(config) == []
    assert not (tmp_path / "missing").exists()


def test_settings_are_checked_before_anything_is_made(tmp_path):
    """A wrong setting leaves no half store behind."""
    with pytest.raises(ConfigError):
        Config(data_dir=tmp_path / "data", max_image_bytes=0)

    assert not (tmp_path / "data").exists()
