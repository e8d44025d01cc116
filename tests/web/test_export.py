"""The export: every original of an account, byte for byte, in one zip file that any program opens."""

import io
import shutil
import subprocess
import tracemalloc
import zipfile

import pytest

from pixstore.errors import DatabaseUnavailable
from pixstore.gallery import accounts, albums, export, pictures
from pixstore.gallery.errors import NotThere
from pixstore.gallery.web import account
from tests.gallery_client import GalleryClient
from tests.images import jpeg, png
from tests.web.exif import taken


def exported(visitor):
    """Export everything and return the zip file."""
    answer = visitor.post("/account/export")
    assert answer.status_code == 200
    return zipfile.ZipFile(io.BytesIO(answer.data))


def entries(archive):
    """Return what is in a zip file, by name, its checksums verified."""
    assert archive.testzip() is None
    return {name: archive.read(name) for name in archive.namelist()}


def allowed():
    """Say that an export may go on."""
    return True


def test_every_original_is_there(anna):
    """Albums are folders, titles are file names, and every file is what was uploaded."""
    files = {"Sea.jpg": jpeg(seed=1), "Wood.png": png(seed=2), "Hill.jpg": jpeg(seed=3)}
    anna.uploads(*list(files.items())[:2], new_album="Walks")
    anna.uploads(("Hill.jpg", files["Hill.jpg"]))

    assert entries(exported(anna)) == {
        "Walks/Sea.jpg": files["Sea.jpg"],
        "Walks/Wood.png": files["Wood.png"],
        "My pictures/Hill.jpg": files["Hill.jpg"],
    }


def test_nobody_elses_pictures_are_there(anna, ben):
    """An export holds the pictures of who asks for it."""
    anna.uploads(("Sea.jpg", jpeg(seed=1)))
    ben.uploads(("Wood.jpg", jpeg(seed=2)))

    assert entries(exported(ben)) == {"My pictures/Wood.jpg": jpeg(seed=2)}


def test_export_of_nothing_is_empty(anna):
    """Without pictures the zip file is empty, and still one."""
    assert entries(exported(anna)) == {}


def test_headers(anna):
    """It is a file to save, named by the day and not after anything in it; nothing on the way keeps it."""
    answer = anna.post("/account/export")

    assert answer.headers["Content-Disposition"] == 'attachment; filename="pixstore-2025-11-21.zip"'
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert "Content-Length" not in answer.headers


def test_a_link_exports_nothing(anna):
    """A link or an address on another site puts nobody's pictures on a disk."""
    assert anna.get("/account/export").status_code == 405
    assert anna.flask.post("/account/export").status_code == 400


def test_files_are_dated_when_photos_were_taken(anna):
    """A file bears the time at which the photo was taken; before 1980, which no zip file can say, that year's first day."""
    anna.uploads(("New.jpg", taken("2024:05:06 07:08:10")), ("Old.jpg", taken("1969:07:20 20:17:40")))

    times = {entry.filename: entry.date_time for entry in exported(anna).infolist()}

    assert times == {
        "My pictures/New.jpg": (2024, 5, 6, 7, 8, 10),
        "My pictures/Old.jpg": (1980, 1, 1, 0, 0, 0),
    }


# --- names


@pytest.mark.parametrize(
    ("title", "name"),
    (
        ("Sea & <shore>", "Sea & _shore_.jpg"),
        ("../../etc/passwd", "_.._etc_passwd.jpg"),
        ("a/b\\c:d", "a_b_c_d.jpg"),
        ("..", "_.jpg"),
        (". .", "_.jpg"),
        ("Über Straße 漢字", "Über Straße 漢字.jpg"),
        ("con", "_con.jpg"),
        ("LPT1.old", "_LPT1.old.jpg"),
        ("console", "console.jpg"),
        ("ends with dots...", "ends with dots.jpg"),
        ("漢" * 120, "漢" * 66 + ".jpg"),
    ),
    ids=ascii,
)
def test_titles_become_names_that_every_system_takes(title, name):
    """Nothing of a title leads out of the folder, and nothing is left that some system refuses."""
    assert export.FileNames().file("", title, "jpg") == name


def test_names_are_given_once():
    """Equal titles are numbered, also where only case tells them apart; so are albums."""
    names = export.FileNames()

    folders = [names.folder(title) for title in ("Walks", "WALKS", "Walks/", "Walks_")]
    files = [names.file("Walks", title, "jpg") for title in ("Sea", "sea", "Sea (2)", "Sea")]

    assert folders == ["Walks", "WALKS (2)", "Walks_", "Walks_ (2)"]
    assert files == ["Walks/Sea.jpg", "Walks/sea (2).jpg", "Walks/Sea (2) (2).jpg", "Walks/Sea (3).jpg"]


def test_many_of_one_title_take_no_time():
    """Ten thousand pictures of one title are named in a moment."""
    names = export.FileNames()

    paths = {names.file("Walks", "Untitled", "jpg") for _ in range(10_000)}

    assert len(paths) == 10_000
    assert "Walks/Untitled (10000).jpg" in paths


def test_no_name_takes_the_place_of_the_list():
    """A picture or an album cannot pass for the list of what is missing."""
    names = export.FileNames()

    assert names.folder(export.MISSING) == f"{export.MISSING} (2)"


# --- what is missing


def test_missing_pictures_are_named(anna, gallery, add_pictures):
    """A picture that is lost or damaged does not stop the others, and a text file says which it is."""
    lost, damaged, _ = add_pictures("anna", 3)
    gallery.store.delete(lost.original_id)
    row = gallery.store.parts.models.image.get_by_id(damaged.original_id)
    path = next(gallery.config.blobs_path.glob(f"objects/*/{row.blob_id}"))
    sealed = path.read_bytes()
    path.write_bytes(sealed[:-1] + bytes([sealed[-1] ^ 1]))

    found = entries(exported(anna))

    assert found.pop("My pictures/picture 2.jpg") == jpeg(seed=2)
    assert found.keys() == {export.MISSING}
    assert found[export.MISSING].decode().split("\r\n")[2:-1] == [
        "My pictures/picture 0.jpg",
        "My pictures/picture 1.jpg",
    ]


def test_pictures_deleted_or_moved_meanwhile(anna, gallery, add_pictures):
    """What is deleted during the export is not in it; what is moved is in it once."""
    _, second, third = add_pictures("anna", 3)
    user = accounts.find_user(gallery, "anna")
    walks = albums.create_album(gallery, user, "Aaa")
    pieces = export.export_pictures(gallery, user, is_allowed=allowed)
    received = [next(pieces)]

    pictures.delete_picture(gallery, user, second)
    pictures.move_picture(gallery, user, third, walks)
    received += pieces

    found = entries(zipfile.ZipFile(io.BytesIO(b"".join(received))))
    assert found == {"My pictures/picture 0.jpg": jpeg(seed=0), "Aaa/picture 2.jpg": jpeg(seed=2)}


def test_a_database_that_fails_breaks_it_off(anna, gallery, add_pictures, monkeypatch):
    """What was received until the database failed is no zip file: nobody takes it for everything."""
    add_pictures("anna", 3)
    user, load = accounts.find_user(gallery, "anna"), gallery.store.load
    loaded = []

    def fails_later(image_id):
        loaded.append(image_id)
        if len(loaded) == 3:
            raise DatabaseUnavailable("gone")
        return load(image_id)

    monkeypatch.setattr(gallery.store, "load", fails_later)
    received = []

    with pytest.raises(DatabaseUnavailable):
        received.extend(export.export_pictures(gallery, user, is_allowed=allowed))

    assert len(received) > 2
    assert not zipfile.is_zipfile(io.BytesIO(b"".join(received)))


def test_it_ends_with_the_login(anna, gallery, app, add_pictures):
    """When the login ends, a running export ends too, and what was received is no zip file."""
    add_pictures("anna", 3)
    elsewhere = GalleryClient(app).logs_in("anna")
    answer = anna.flask.post("/account/export", data={"csrf_token": anna.token()})
    pieces = answer.iter_encoded()
    received = [next(pieces)]

    elsewhere.post("/account/sessions/end")

    with pytest.raises(NotThere):
        received.extend(pieces)
    assert not zipfile.is_zipfile(io.BytesIO(b"".join(received)))
    answer.close()


# --- load


def test_one_original_at_a_time_is_in_memory(anna, gallery, add_pictures):
    """Exporting thirty pictures of a megabyte takes memory for a few of them, not for all."""
    data = png(size_kb=1000)
    add_pictures("anna", 30, data=data)
    user = accounts.find_user(gallery, "anna")
    tracemalloc.start()

    total = sum(len(piece) for piece in export.export_pictures(gallery, user, is_allowed=allowed))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert total > 30 * len(data)
    assert peak < 6 * len(data)


def test_only_so_many_at_once(anna, add_pictures):
    """While two exports run, a third is told to come back; when one has been received, or was given up, there is room."""
    add_pictures("anna", 1)
    token = anna.token()
    running = [
        anna.flask.post("/account/export", data={"csrf_token": token}) for _ in range(account.MAX_EXPORTS)
    ]

    refused = anna.post("/account/export")
    running[0].close()

    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "60"
    assert "busy with other exports" in refused.text
    assert len(entries(exported(anna))) == 1
    running[1].close()


@pytest.mark.skipif(shutil.which("unzip") is None, reason="unzip is not installed")
def test_unzip_opens_it(anna, tmp_path):
    """Info-ZIP, which many systems bring along, finds no fault in it and unpacks it."""
    anna.uploads(("Über Straße.jpg", jpeg(seed=1)), ("Sea.png", png(seed=2)), new_album="Äpfel & Birnen")
    (tmp_path / "export.zip").write_bytes(anna.post("/account/export").data)

    tested = subprocess.run(["unzip", "-t", "export.zip"], cwd=tmp_path, capture_output=True, check=False)
    subprocess.run(
        ["unzip", "-q", "export.zip"],
        cwd=tmp_path,
        env={"LC_ALL": "C.UTF-8"},
        check=True,
        capture_output=True,
    )

    assert tested.returncode == 0, tested.stdout
    assert (tmp_path / "Äpfel & Birnen" / "Über Straße.jpg").read_bytes() == jpeg(seed=1)
