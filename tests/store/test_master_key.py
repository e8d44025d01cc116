"""The master key: where it comes from, and that a rotation never leaves a keyring that no key opens."""

import base64
import errno
import os
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from pixstore import files
from pixstore.config import Config
from pixstore.errors import KeyringError, PixstoreError, StorageError
from pixstore.maintenance import rotation
from pixstore.store import ImageStore
from tests import images
from tests.mounts import can_mount, mounted

FIRST, SECOND = bytes(range(32)), bytes(range(100, 132))


@pytest.fixture(name="saved")
def _saved(config, now):
    """Return the id of an image in a store that was closed again."""
    with closing(ImageStore.open(config, now=now)) as store:
        return store.save(images.png()).id


def _write(path, *keys):
    path.write_bytes(b"".join(base64.b64encode(key) + b"\n" for key in keys))
    path.chmod(0o600)
    return path


def _keys(path):
    return [base64.b64decode(line) for line in path.read_text().split()]


def _opens(config, image_id):
    try:
        with closing(ImageStore.open(config)) as store:
            return store.load(image_id) == images.png()
    except KeyringError:
        return False


def _rotate(config):
    with closing(ImageStore.open(config)) as store:
        return rotation.rotate_master(store)


# --- a key in a file of our own


def test_a_new_key_takes_the_place_of_the_old_one(config, saved):
    """The file holds a new key, mode 0600, and the old one opens nothing any more."""
    path = config.data_dir / "master.key"
    (old,) = _keys(path)

    assert _rotate(config) == "file"

    (new,) = _keys(path)
    assert new != old
    assert path.stat().st_mode & 0o777 == 0o600
    assert _opens(config, saved)
    assert not _opens(replace(config, master_key=old), saved)


def test_copies_under_the_old_key_are_gone(config, saved):
    """After a rotation nothing beside the images opens with the old key."""
    (old,) = _keys(config.data_dir / "master.key")
    _rotate(config)
    for path in config.sqlite_path.parent.glob("pixstore.sqlite*"):
        path.unlink()

    assert not _opens(replace(config, master_key=old), saved)
    with closing(ImageStore.open(config)) as store:
        assert store.parts.keyring.latest().held


def test_a_link_is_followed(config, saved, tmp_path):
    """Where the file is a symbolic link, the new key goes where it points, and the link stays."""
    path, real = config.data_dir / "master.key", tmp_path / "elsewhere" / "key"
    real.parent.mkdir()
    shutil.move(path, real)
    path.symlink_to(real)
    before = _keys(real)

    assert _rotate(config) == "file"

    assert path.is_symlink()
    assert _keys(real) != before
    assert _opens(config, saved)


@pytest.mark.skipif(not can_mount(), reason="mounts a file, which only root may")
def test_a_mounted_file_is_refused_before_anything_is_changed(config, saved, tmp_path):
    """A file that is a mount, as container secrets are, cannot be replaced: that is said first, and nothing is lost."""
    path = config.data_dir / "master.key"
    secret = tmp_path / "secret"
    shutil.copyfile(path, secret)
    before = _keys(path)

    with mounted(secret, path):
        with pytest.raises(StorageError, match=r"nothing was changed.*PIXSTORE_NEW_MASTER_KEY_FILE"):
            _rotate(config)
        assert _keys(path) == before
        assert _opens(config, saved)
    assert _opens(config, saved)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EBUSY, errno.EACCES, errno.ENOSPC])
def test_a_file_that_cannot_be_replaced_loses_nothing(config, saved, monkeypatch, number):
    """A read-only directory, a mount, a full disk: the rotation says so, and the old key opens everything."""
    before = _keys(config.data_dir / "master.key")
    _fail_to_replace(monkeypatch, "master.key", number)

    with pytest.raises(StorageError, match="nothing was changed"):
        _rotate(config)
    monkeypatch.undo()

    assert _keys(config.data_dir / "master.key") == before
    assert _opens(config, saved)


def _fail_to_replace(monkeypatch, name, number, *, after=0):
    """Let the file *name* be replaced so many times, and never again."""
    usual, left = Path.replace, [after]

    def failing(path, target):
        if Path(target).name != name:
            return usual(path, target)
        left[0] -= 1
        if left[0] < 0:
            raise OSError(number, os.strerror(number))
        return usual(path, target)

    monkeypatch.setattr(Path, "replace", failing)


def test_a_file_that_can_be_replaced_once_keeps_both_keys(config, saved, monkeypatch, caplog):
    """If the last step fails, the file holds the old key and the new one, the store opens, and the next start ends it."""
    path = config.data_dir / "master.key"
    (old,) = _keys(path)
    _fail_to_replace(monkeypatch, "master.key", errno.EIO, after=1)

    assert _rotate(config) == "file holds both"
    assert _keys(path)[0] == old
    assert "both keys are still accepted" in caplog.text
    monkeypatch.undo()

    assert _opens(config, saved)
    assert len(_keys(path)) == 1
    assert _keys(path) != [old]


def test_a_rotation_that_was_cut_off_before_the_keyring(config, saved, monkeypatch):
    """With both keys in the file and the keyring under the old one, everything opens, and the rotation can be run again."""
    path = config.data_dir / "master.key"
    (old,) = _keys(path)
    _write(path, old, SECOND)

    assert _opens(config, saved)
    assert _keys(path) == [old, SECOND]
    assert _rotate(config) == "file"
    assert _keys(path) == [SECOND]
    assert _opens(config, saved)


def test_a_crash_between_any_two_steps_leaves_a_store_that_opens(config, saved, monkeypatch, tmp_path):
    """What lies on the disk after each step of a rotation opens, with every image."""
    states = []
    usual = files.replace_file

    def copy_state():
        states.append(tmp_path / f"state {len(states)}")
        shutil.copytree(config.data_dir, states[-1])

    def replace_and_copy(path, data):
        copy_state()
        usual(path, data)
        copy_state()

    with closing(ImageStore.open(config)) as store:
        monkeypatch.setattr("pixstore.master_key.replace_file", replace_and_copy)
        rotation.rotate_master(store)
        monkeypatch.undo()

    assert len(states) == 4
    assert all(_opens(replace(config, data_dir=state), saved) for state in states)


# --- a key from outside


@pytest.fixture(name="given")
def _given(config, tmp_path):
    """Return settings whose master key is mounted as a file, as a service manager does it, and an image under it."""
    given = replace(config, master_key_file=_write(tmp_path / "credential", FIRST))
    with closing(ImageStore.open(given)) as store:
        return given, store.save(images.png()).id


@pytest.mark.parametrize("way", ["file", "environment"])
def test_a_key_is_rotated_as_it_was_deployed(given, tmp_path, way):
    """The new key is given beside the current one; both are good until it is made the current one; no file is touched."""
    config, saved = given
    new = {"new_master_key": SECOND}
    if way == "file":
        new = {"new_master_key_file": _write(tmp_path / "new", SECOND)}
    both = replace(config, **new)

    assert _rotate(both) == "given"

    assert _keys(config.master_key_file) == [FIRST]
    assert _opens(both, saved)
    assert not _opens(config, saved)
    assert _opens(replace(config, master_key_file=_write(tmp_path / "credential", SECOND)), saved)


def test_hosts_that_accept_both_keys_go_on(given, now):
    """Servers that were given the new key before the rotation save and read through it, without a restart."""
    config, saved = given
    both = replace(config, new_master_key=SECOND)
    with closing(ImageStore.open(both, now=now)) as running:
        _rotate(both)
        now.forward(60_000)

        assert running.load(saved) == images.png()
        assert running.load(running.save(images.jpeg()).id) == images.jpeg()


def test_a_server_without_the_new_key_goes_on_and_says_so(given, now, caplog):
    """A server that was forgotten keeps the store keys it knows; the log says that it needs the new master key."""
    config, saved = given
    with closing(ImageStore.open(config, now=now)) as running:
        _rotate(replace(config, new_master_key=SECOND))
        now.forward(60_000)

        assert running.load(saved) == images.png()
        assert running.load(running.save(images.jpeg()).id) == images.jpeg()
    assert "restart this program with the new master key" in caplog.text


def test_a_server_without_the_new_key_seals_nothing_under_an_old_store_key(given, now):
    """Once there is a newer store key, a server that was forgotten shows its images, and refuses new ones with words."""
    config, saved = given
    both = replace(config, new_master_key=SECOND)
    with closing(ImageStore.open(config, now=now)) as running:
        _rotate(both)
        with closing(ImageStore.open(both, now=now)) as other:
            rotation.rotate_store_key(other)
        now.forward(60_000)

        assert running.load(saved) == images.png()
        assert running.record(saved).stateless_proof
        with pytest.raises(KeyringError, match="restart this program with the new master key"):
            running.save(images.jpeg())
        with pytest.raises(KeyringError, match="restart this program with the new master key"):
            running.seal_text("a title", purpose="title", row_id="1")


def test_a_key_of_the_environment_needs_a_new_one_from_there(config):
    """Without a new key beside it, a key of the environment is not rotated, and the words say where to put one."""
    with pytest.raises(PixstoreError, match="PIXSTORE_NEW_MASTER_KEY"):
        _rotate(replace(config, master_key=FIRST))


def test_rotating_twice_to_the_same_key_changes_nothing_that_matters(given):
    """Run again, the command finds the keyring under the new key and leaves it there."""
    config, saved = given
    both = replace(config, new_master_key=SECOND)
    _rotate(both)

    assert _rotate(both) == "given"
    assert _opens(both, saved)


@pytest.mark.parametrize("content", [b"", b"not a key\n", base64.b64encode(FIRST) * 3])
def test_a_new_key_that_is_none_is_refused(given, tmp_path, content):
    """A file that should hold the new key and does not is named at the start."""
    path = tmp_path / "new"
    path.write_bytes(content)

    with pytest.raises(KeyringError, match=f"{path} is not a key"):
        ImageStore.open(replace(given[0], new_master_key_file=path))


# --- a rotation that release 0.1 has begun


def test_a_rotation_of_the_first_release_is_finished(config, saved):
    """The new key that release 0.1 left beside its file takes its place at the next start."""
    path = config.data_dir / "master.key"
    (old,) = _keys(path)
    with closing(ImageStore.open(config)) as store:
        store.parts.keyring.change(lambda keyring: keyring, master_key=SECOND)
    _write(path, old)
    _write(path.with_suffix(".next"), SECOND)

    assert _opens(config, saved)

    assert _keys(path) == [SECOND]
    assert not path.with_suffix(".next").exists()


def test_settings_give_a_key_once():
    """A new master key comes by value or by file, not both."""
    with pytest.raises(PixstoreError, match="give one of them"):
        Config(new_master_key=SECOND, new_master_key_file=Path("key"))
