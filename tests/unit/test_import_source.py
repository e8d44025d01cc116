"""Reading a folder of photos that may change meanwhile, or be laid out by somebody hostile."""

import os

import pytest

from pixstore.errors import ImageRejected, UnreadableFile
from pixstore.gallery import import_source
from pixstore.gallery.import_source import ImportSource
from tests.images import jpeg, png

LIMIT = 10_000_000


@pytest.fixture
def folder(tmp_path):
    """Return an empty folder."""
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


@pytest.fixture
def source(folder):
    """Return the folder, opened to import from."""
    source = ImportSource(folder)
    yield source
    source.close()


def add(folder, path, data=b"data"):
    """Write the file *path* below the folder."""
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(data)


def test_files_come_by_name_with_their_folder(folder, source):
    """Files are found in every folder, in the order of their names, each with the folder it is in."""
    for path in ("b.jpg", "a.jpg", "Sea/2.jpg", "Sea/1.jpg", "Sea/Far/3.jpg", "Alps/4.jpg"):
        add(folder, path)

    assert source.find().files == [
        ("a.jpg", ""),
        ("b.jpg", ""),
        ("Alps/4.jpg", "Alps"),
        ("Sea/1.jpg", "Sea"),
        ("Sea/2.jpg", "Sea"),
        ("Sea/Far/3.jpg", "Sea/Far"),
    ]


def test_hidden_files_and_sidecars_are_left_out(folder, source):
    """Hidden files and folders, and files that only describe a picture, are counted and left alone."""
    names = (".DS_Store", ".git/a.jpg", "Thumbs.db", "desktop.ini", "a.jpg.xmp", "A.XMP", "a.json", "a.aae")
    for name in (*names, "a.jpg"):
        add(folder, name)

    found = source.find()

    assert found.files == [("a.jpg", "")]
    assert found.ignored == len(names)


def test_symbolic_links_are_not_followed(folder, source, tmp_path):
    """No link is followed, to a file or to a folder, inside or outside; each is named."""
    add(tmp_path, "outside/secret.jpg")
    add(folder, "a.jpg")
    (folder / "link.jpg").symlink_to(tmp_path / "outside" / "secret.jpg")
    (folder / "inner.jpg").symlink_to("a.jpg")
    (folder / "out").symlink_to(tmp_path / "outside")

    found = source.find()

    assert found.files == [("a.jpg", "")]
    assert set(found.not_followed) == {"link.jpg", "inner.jpg", "out"}


@pytest.mark.parametrize("path", ("a.jpg", "inner/a.jpg"))
def test_a_link_that_takes_the_place_of_a_file_or_folder_is_not_followed(folder, source, tmp_path, path):
    """A file or a folder that becomes a link to somewhere else, after it was found, is not read through."""
    add(tmp_path, "outside/a.jpg", jpeg())
    add(folder, path, jpeg())
    top = folder / path.partition("/")[0]
    top.rename(tmp_path / "moved")
    top.symlink_to(tmp_path / "outside" / path.removeprefix("inner/") if top.suffix else tmp_path / "outside")

    with pytest.raises(UnreadableFile):
        source.read(path, max_bytes=LIMIT)


def test_the_folder_itself_may_be_a_link(folder, tmp_path):
    """The folder that is named to the command is opened wherever it is."""
    add(folder, "a.jpg")
    (tmp_path / "link").symlink_to(folder)

    source = ImportSource(tmp_path / "link")

    assert source.find().files == [("a.jpg", "")]
    source.close()


def test_pipes_and_sockets_are_not_opened(folder, source):
    """A pipe would be waited for without end: it is named and left alone, also where it takes the place of a file."""
    os.mkfifo(folder / "pipe.jpg")

    assert source.find().not_followed == {"pipe.jpg": "not a regular file"}
    with pytest.raises(UnreadableFile, match="not a regular file"):
        source.read("pipe.jpg", max_bytes=LIMIT)


def test_a_file_is_read_byte_for_byte(folder, source):
    """What is read is what lies in the file, which is not touched."""
    data = png(size_kb=300)
    add(folder, "Sea/a.png", data)
    before = (folder / "Sea" / "a.png").stat()

    assert source.read("Sea/a.png", max_bytes=LIMIT) == data
    assert (folder / "Sea" / "a.png").stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "empty"), (b"a film of hours", "not_an_image"), (jpeg(size_kb=200), "too_large")],
)
def test_what_is_no_picture_is_told_by_its_beginning(folder, source, data, reason):
    """Empty files, other files and images that are too large are refused without being read whole."""
    add(folder, "a.jpg", data)

    with pytest.raises(ImageRejected) as refusal:
        source.read("a.jpg", max_bytes=100_000)

    assert refusal.value.reason == reason


def test_a_file_that_has_vanished(folder, source):
    """A file that is gone when its turn comes is refused in words that do not repeat its name."""
    with pytest.raises(UnreadableFile, match="cannot be read: No such file") as refusal:
        source.read("gone.jpg", max_bytes=LIMIT)

    assert "gone" not in str(refusal.value)


@pytest.mark.parametrize(("changes", "is_read"), [(1, True), (import_source.READ_ATTEMPTS, False)])
def test_a_file_that_changes_while_it_is_read(folder, source, monkeypatch, changes, is_read):
    """A file that changes is read again; one that never rests is refused. Half of one and half of the other is never taken."""
    add(folder, "a.jpg", jpeg(seed=0))
    left, check_head = [changes], import_source._check_head

    def meanwhile_changed(*args):
        if left[0]:
            left[0] -= 1
            (folder / "a.jpg").write_bytes(jpeg(seed=1, width=17 + left[0]))
            os.utime(folder / "a.jpg", ns=(0, left[0]))
        check_head(*args)

    monkeypatch.setattr(import_source, "_check_head", meanwhile_changed)

    if is_read:
        assert source.read("a.jpg", max_bytes=LIMIT) == jpeg(seed=1, width=17)
    else:
        with pytest.raises(UnreadableFile, match="changes while it is read"):
            source.read("a.jpg", max_bytes=LIMIT)


def test_a_folder_that_cannot_be_listed_is_named(folder, source, monkeypatch):
    """A folder that cannot be read does not stop the others."""
    add(folder, "Alps/a.jpg")
    add(folder, "Sea/b.jpg")
    open_beneath = ImportSource._open_beneath

    def refuse(source, path, flags):
        if path == "Alps":
            raise PermissionError(13, "Permission denied", path)
        return open_beneath(source, path, flags)

    monkeypatch.setattr(ImportSource, "_open_beneath", refuse)

    found = source.find()

    assert found.files == [("Sea/b.jpg", "Sea")]
    assert found.unreadable == {"Alps": "it cannot be read: Permission denied"}


def test_folders_may_lie_deep(folder, source):
    """Folders within folders are found however many there are, beyond the longest path that a system takes at once."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(100):
        os.mkdir("x" * 100, dir_fd=here)
        inner = os.open("x" * 100, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("a.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)

    (found,) = source.find().files

    assert found.path.count("/") == 100
