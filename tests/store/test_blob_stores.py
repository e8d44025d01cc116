"""The blob stores: each keeps the contract, and the local one survives what a disk may do."""

import errno
import os
import time
from pathlib import Path

import pytest

from pixstore.blobs.local import LocalBlobs
from pixstore.blobs.memory import MemoryBlobs
from pixstore.errors import BlobNotFound, StorageError, StorageFull
from pixstore.ids import new_blob_id
from tests.store.blob_store_contract import COPY, IMAGE, NAME, BlobStoreContract


class TestMemoryBlobs(BlobStoreContract):
    """Blobs in memory."""

    @pytest.fixture(name="blobs")
    def _blobs(self):
        return MemoryBlobs()

    @pytest.fixture(name="reopened")
    def _reopened(self, blobs):
        return lambda: blobs


class TestLocalBlobs(BlobStoreContract):
    """Blobs in a directory."""

    @pytest.fixture(name="root")
    def _root(self, tmp_path):
        return tmp_path / "deep" / "blobs"

    @pytest.fixture(name="blobs")
    def _blobs(self, root):
        return LocalBlobs(root)

    @pytest.fixture(name="reopened")
    def _reopened(self, root):
        return lambda: LocalBlobs(root)

    def test_layout(self, blobs, root):
        """A blob lies in the directory of the first three digits of its name, and nothing lies beside it."""
        blobs.put(NAME, [b"blob"])

        assert [path for path in root.rglob("*") if path.is_file()] == [root / "objects" / NAME[:2] / NAME]

    def test_only_the_owner_reads_it(self, blobs, root):
        """Neither files nor directories are open to other users, whatever the umask."""
        previous = os.umask(0)
        try:
            blobs.put(NAME, [b"blob"])
            blobs.put_copy(COPY, b"{}")
            blobs.bury([IMAGE])
        finally:
            os.umask(previous)

        modes = {path.stat().st_mode & 0o777 for path in (root, *root.rglob("*"))}
        assert modes == {0o600, 0o700}

    def test_foreign_files_are_no_blobs(self, blobs, root):
        """What somebody else put there is neither listed nor a problem."""
        blobs.put(NAME, [b"blob"])
        (root / "objects" / "README").write_text("hello")
        (root / "objects" / NAME[:2] / ".DS_Store").write_text("hello")

        assert [info.blob_id for info in blobs.blobs()] == [NAME]

    def test_durability(self, blobs, root, monkeypatch):
        """The file is synced before it gets its name, and its directory after."""
        steps = []
        real_fsync, real_rename = os.fsync, os.rename

        def fsync(descriptor):
            path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115 - of a descriptor, not of a path
            steps.append(f"sync {path.relative_to(root).parts[0]} {'directory' if path.is_dir() else 'file'}")
            real_fsync(descriptor)

        monkeypatch.setattr(os, "fsync", fsync)
        monkeypatch.setattr(os, "rename", lambda *paths: steps.append("rename") or real_rename(*paths))
        blobs.put(NAME, [b"blob"])

        assert steps == ["sync unfinished file", "rename", "sync objects directory"]

    @pytest.mark.parametrize(
        ("code", "kind"),
        (
            (errno.ENOSPC, StorageFull),
            (errno.EDQUOT, StorageFull),
            (errno.EFBIG, StorageFull),
            (errno.EIO, StorageError),
        ),
        ids=("no space", "quota", "file size limit", "input/output error"),
    )
    @pytest.mark.parametrize("step", ("fsync", "open"))
    def test_a_disk_that_fails(self, blobs, root, monkeypatch, step, code, kind):
        """The error says so, tells a full disk from a broken one, and no half file is left."""

        def fail(*_arguments, **_options):
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, step, fail)
        with pytest.raises(StorageError, match=os.strerror(code)) as error:
            blobs.put(NAME, [b"blob"])
        monkeypatch.undo()

        assert type(error.value) is kind
        assert error.value.name == NAME
        assert [path for path in root.rglob("*") if path.is_file()] == []

    def test_what_an_interrupted_put_left_is_discarded_when_it_is_old(self, blobs, root):
        """A file of a process that was killed goes, one that is being written stays."""
        old, young = root / "unfinished" / "old", root / "unfinished" / "young"
        for path in (old, young):
            path.write_bytes(b"half")
        os.utime(old, (1000, 1000))

        discarded = blobs.discard_unfinished(before=int(time.time() * 1000) - 60_000)

        assert (discarded, old.exists(), young.exists()) == (1, False, True)

    def test_an_interrupted_put_is_never_seen(self, blobs, root):
        """What lies in `unfinished` is neither listed nor opened."""
        (root / "unfinished" / NAME).write_bytes(b"half")

        assert list(blobs.blobs()) == []
        with pytest.raises(BlobNotFound):
            blobs.open(NAME)

    def test_a_root_that_cannot_be_made(self, tmp_path):
        """A file in the way is named."""
        (tmp_path / "file").write_text("in the way")

        with pytest.raises(StorageError, match=r"the image directory .*file/blobs could not be made"):
            LocalBlobs(tmp_path / "file" / "blobs")

    @pytest.mark.parametrize("name", ["../key.json", "a/b.json", "note.txt", ""])
    def test_a_copy_has_a_plain_name(self, blobs, name):
        """A name that leads out of the directory of the copies is refused."""
        with pytest.raises(StorageError, match="not the name of a copy"):
            blobs.put_copy(name, b"{}")

    def test_the_copy_of_the_first_release(self, blobs, root):
        """The copy that release 0.1 kept in another place is listed, and can be removed."""
        (root / "keyring.json").write_bytes(b"{}")

        assert blobs.copies() == {"keyring.json": b"{}"}
        blobs.remove_copy("keyring.json")
        assert blobs.copies() == {}

    def test_for_reading_only_nothing_is_made(self, tmp_path):
        """Opened for reading, a directory that is not there is empty, and stays away."""
        blobs = LocalBlobs(tmp_path / "none", read_only=True)

        assert (list(blobs.blobs()), blobs.copies(), list(blobs.buried())) == ([], {}, [])
        assert not (tmp_path / "none").exists()

    def test_a_copy_of_the_keyring_that_cannot_be_read(self, blobs, root):
        """It is an error, and not taken for a missing copy, which might be written over."""
        (root / "keyring.json").mkdir()

        with pytest.raises(StorageError, match="copy of the keyring could not be read: Is a directory"):
            blobs.copies()

    def test_a_file_of_another_length_is_not_taken_for_a_blob(self, blobs, monkeypatch):
        """Where the disk says that it wrote more than it did, the put fails."""
        real_fstat = os.fstat

        def shorter(descriptor):
            status = list(real_fstat(descriptor))
            status[6] -= 1  # st_size
            return os.stat_result(status)

        monkeypatch.setattr(os, "fstat", shorter)
        with pytest.raises(StorageError, match="the length of its file is wrong"):
            blobs.put(NAME, [b"blob"])
        monkeypatch.undo()

        with pytest.raises(BlobNotFound):
            blobs.open(NAME)

    def test_no_directory_is_crowded(self, blobs, root):
        """Blobs spread over the directories evenly."""
        for _ in range(300):
            blobs.put(new_blob_id(), [b""])

        assert max(len(list(shard.iterdir())) for shard in (root / "objects").iterdir()) <= 8
