"""Where master key and keyring lie: the first start, later starts, and every way in which one of them can be missing."""

import base64
import json
import logging
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


def _load(config, image_id):
    store = ImageStore.open(config)
    try:
        return store.load(image_id)
    finally:
        store.close()


# --- the first start


def test_a_first_start_makes_key_and_keyring(config, caplog):
    """A first start makes both files, readable by their owner alone, and logs that the key must be backed up, not the key."""
    ImageStore.open(config).close()

    master_key = config.data_dir / "master.key"
    assert len(base64.b64decode(master_key.read_text())) == 32
    assert {path.stat().st_mode & 0o777 for path in (master_key, config.keyring_path)} == {0o600}
    assert config.data_dir.stat().st_mode & 0o777 == 0o700
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"{master_key}: back it up" in record.message
    assert master_key.read_text().strip() not in caplog.text


def test_the_keyring_is_copied_beside_the_images(config):
    """A copy of the keyring lies beside the blobs."""
    ImageStore.open(config).close()

    assert (config.blobs_path / "keyring.json").read_bytes() == config.keyring_path.read_bytes()


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
    files = (config.data_dir / "master.key", config.keyring_path)
    before = [file.read_bytes() for file in files]

    assert _load(config, saved) == images.png()

    assert [file.read_bytes() for file in files] == before


def test_a_missing_keyring_comes_back_from_its_copy(config, saved, caplog):
    """A missing keyring is restored from its copy, and the log says so."""
    document = config.keyring_path.read_bytes()
    config.keyring_path.unlink()

    assert _load(config, saved) == images.png()

    assert config.keyring_path.read_bytes() == document
    assert "restored it from its copy" in caplog.text


@pytest.mark.parametrize("content", (None, b"{}", b""), ids=("missing", "other", "empty"))
def test_a_missing_or_old_copy_is_mended(config, saved, content):
    """A copy of the keyring that is missing or old is written again."""
    copy = config.blobs_path / "keyring.json"
    copy.unlink()
    if content is not None:
        copy.write_bytes(content)

    assert _load(config, saved) == images.png()

    assert copy.read_bytes() == config.keyring_path.read_bytes()


# --- what must stop with words


def _refused(config):
    """Return the words with which the store does not open, having checked that nothing was written over."""
    before = {path: path.read_bytes() for path in config.data_dir.rglob("*.json")}
    with pytest.raises(KeyringError) as refused:
        ImageStore.open(config)
    assert {path: path.read_bytes() for path in before} == before
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
        ("", "expected 32 bytes in base64"),
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


def test_keyring_and_copy_missing(config, saved):
    """If keyring and copy are missing, no new keyring is made: the images would be unreadable for ever."""
    config.keyring_path.unlink()
    (config.blobs_path / "keyring.json").unlink()

    words = _refused(config)

    assert "are both missing: restore one of them from a backup" in words
    assert not config.keyring_path.exists()


def test_keyring_and_database_missing(config, saved):
    """Blobs alone show that this is no first start, so no new keyring is made."""
    for path in (
        *config.data_dir.glob("pixstore.sqlite*"),
        config.keyring_path,
        config.blobs_path / "keyring.json",
    ):
        path.unlink()

    assert "both missing" in _refused(config)


def test_keyring_and_blobs_missing(config, saved):
    """Rows alone show that this is no first start, so no new keyring is made."""
    config.keyring_path.unlink()

    with pytest.raises(KeyringError, match="both missing"):
        ImageStore.open(config, blobs=MemoryBlobs())


def test_a_damaged_keyring(config, saved):
    """If the keyring is damaged, the error says where a good one may be, and the damaged file stays."""
    config.keyring_path.write_bytes(config.keyring_path.read_bytes()[:-20])

    assert "restore keyring.json from a backup or the blob store" in _refused(config)


def test_a_keyring_of_a_newer_version(config, saved):
    """A keyring of a newer version is refused and left as it is."""
    fields = json.loads(config.keyring_path.read_bytes())
    config.keyring_path.write_text(json.dumps({**fields, "version": 2}))

    assert "the keyring has version 2; this program reads 1" in _refused(config)


def test_a_keyring_of_another_store(config, saved, tmp_path, now):
    """Another store's keyring is refused, because the master key does not open it."""
    other = replace(config, data_dir=tmp_path / "other")
    ImageStore.open(other, now=now).close()
    config.keyring_path.write_bytes(other.keyring_path.read_bytes())

    assert "does not open this keyring" in _refused(config)


@pytest.mark.parametrize("name", ("master.key", "keyring.json"))
def test_a_file_that_cannot_be_read(config, saved, name):
    """If a key file cannot be read, the error names it; it does not count as missing, and no new one is made."""
    path = config.data_dir / name
    path.unlink()
    path.mkdir()

    with pytest.raises(PixstoreError, match=f"{name} could not be read: Is a directory"):
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
    with pytest.raises(PixstoreError, match="missing"):
        ImageStore.open(replace(config, master_key_file=tmp_path / "missing" / "key"))

    assert not config.keyring_path.exists()


def test_settings_are_checked_before_anything_is_made(tmp_path):
    """A wrong setting leaves no half store behind."""
    with pytest.raises(ConfigError):
        Config(data_dir=tmp_path / "data", max_image_bytes=0)

    assert not (tmp_path / "data").exists()
