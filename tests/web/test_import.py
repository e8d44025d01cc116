"""`flask pixstore import`: a folder of photos becomes pictures of an account."""

import json
import os
import resource
import signal
import subprocess
import sys

import pytest

from app import create_app
from pixstore.config import Config
from pixstore.errors import StorageFull
from pixstore.gallery import accounts, albums, descriptions, importing, pictures
from pixstore.gallery.import_source import SourceFile
from pixstore.gallery.import_worker import FileImporter, ImportTask
from tests.eventually import eventually
from tests.gallery_server import ROOT
from tests.images import gif, jpeg, photo, png
from tests.web.exif import taken


@pytest.fixture
def folder(tmp_path):
    """Return an empty folder for photos."""
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


def fill(folder, **files):
    """Write the files into the folder: ``Sea__a=data`` is `Sea/a.jpg`."""
    for name, data in files.items():
        path = folder / f"{name.replace('__', '/')}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def contents(folder):
    """Return every file of the folder, with its bytes and the time it was changed."""
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()
    }


def kept(gallery, name="anna"):
    """Return the pictures of an account as title, album and bytes, sorted."""
    user = accounts.find_user(gallery, name)
    titles = {album.dir: album.title for album in albums.list_albums(gallery, user)}
    rows = gallery.models.picture.select().where(gallery.models.picture.user == user.id)
    return sorted(
        (
            descriptions.open_description(gallery, row).title,
            titles[row.album_id],
            gallery.store.load(row.original_id),
        )
        for row in rows
    )


# --- what becomes of a folder


def test_folders_become_albums(anna, gallery, run, folder):
    """Files at the top go to the first album, those of a folder to the album of that name; bytes and times stay."""
    photos = {"top": taken("2024:05:06 07:08:09"), "Sea__one": jpeg(seed=1), "Sea__Far__two": png(seed=2)}
    fill(folder, **photos)
    before = contents(folder)

    result = run("import", str(folder))

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "album My pictures: 1 added",
        "album Sea: 1 added",
        "album Sea / Far: 1 added",
        "3 pictures added, 0 already there, 0 refused, 0 skipped",
    ]
    top, one, two = photos.values()
    assert kept(gallery) == [("one", "Sea", one), ("top", "My pictures", top), ("two", "Sea / Far", two)]
    assert contents(folder) == before
    row = gallery.models.picture
    assert [picture.taken_at for picture in row.select() if picture.taken_at != picture.created_at] == [
        1_714_979_289_000
    ]


def test_imported_pictures_are_shown(anna, run, folder):
    """What was imported is on the pages, decrypted, like an upload."""
    fill(folder, walk=jpeg(width=40, height=30))

    run("import", str(folder))

    assert "walk" in anna.get("/").text


def test_an_album_of_that_title_is_taken(anna, gallery, run, folder):
    """Albums that there are take the files of the folder, and of the top if --album names one; case makes no difference."""
    user = accounts.find_user(gallery, "anna")
    for title in ("Sea", "Walks"):
        albums.create_album(gallery, user, title)
    fill(folder, SEA__one=jpeg(seed=1), two=jpeg(seed=2))

    run("import", str(folder), "--album", "walks")

    assert [(title, album) for title, album, _ in kept(gallery)] == [("one", "Sea"), ("two", "Walks")]
    assert len(albums.list_albums(gallery, user)) == 3


def test_a_folder_without_pictures_makes_no_album(anna, gallery, run, folder):
    """No album is made for a folder whose files are refused, skipped or there already."""
    fill(folder, Notes__a=b"words", Broken__b=jpeg()[:100])

    run("import", str(folder))

    assert len(albums.list_albums(gallery, accounts.find_user(gallery, "anna"))) == 1


def test_what_is_there_is_not_added_again(anna, gallery, run, folder):
    """Files that the account has, by upload or by an earlier import, and second copies in the folder, are left out."""
    anna.uploads(("uploaded.jpg", jpeg(seed=1)))
    fill(folder, a=jpeg(seed=1), b=jpeg(seed=2), Sea__copy_of_b=jpeg(seed=2))

    first, second = (run("import", str(folder)) for _ in range(2))

    assert first.stdout.endswith("1 pictures added, 2 already there, 0 refused, 0 skipped\n")
    assert second.stdout == "0 pictures added, 3 already there, 0 refused, 0 skipped\n"
    assert [first.exit_code, second.exit_code] == [0, 0]
    assert gallery.models.picture.select().count() == 2


def test_pictures_of_an_earlier_release_are_not_added_again(anna, gallery, run, folder):
    """Where an earlier release has not kept which files the pictures are, the import reads them first."""
    anna.uploads(("uploaded.jpg", jpeg(seed=1)))
    gallery.models.picture.update(content_id=None).execute()
    fill(folder, a=jpeg(seed=1))

    result = run("import", str(folder))

    assert result.stdout == "0 pictures added, 1 already there, 0 refused, 0 skipped\n"


def test_another_accounts_pictures_do_not_count(anna, ben, gallery, run, folder):
    """What another account has is added all the same."""
    ben.uploads(("his.jpg", jpeg(seed=1)))
    fill(folder, mine=jpeg(seed=1))

    run("import", str(folder), "--user", "Anna")

    assert [title for title, _, _ in kept(gallery)] == ["mine"]


def test_what_is_refused_or_skipped_is_named(anna, gallery, run, folder):
    """Files that are no images are skipped; images that cannot be kept are refused, with exit code 1. Others are added."""
    fill(folder, broken=jpeg()[:200], good=jpeg(), words=b"only words", moving=gif())
    (folder / "link.jpg").symlink_to("/etc/hostname")

    result = run("import", str(folder))

    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "skipped: link.jpg: a symbolic link, which is not followed",
        "skipped: words.jpg: this is not an image we know",
        *sorted(line for line in result.stdout.splitlines() if line.startswith("refused: ")),
        "album My pictures: 1 added",
        "1 pictures added, 0 already there, 2 refused, 2 skipped",
    ]
    assert "refused: broken.jpg: the image is truncated: its end is missing" in result.stdout
    assert len(kept(gallery)) == 1


def test_what_is_no_image_is_no_failure(anna, run, folder):
    """Files that are no images do not change the exit code."""
    fill(folder, words=b"only words", empty=b"")

    assert run("import", str(folder)).exit_code == 0


def test_a_dry_run_changes_nothing(anna, gallery, run, folder):
    """With --dry-run the command says what it would do, and neither the folder nor the store is changed."""
    anna.uploads(("uploaded.jpg", jpeg(seed=1)))
    fill(folder, a=jpeg(seed=1), b=jpeg(seed=2), Sea__c=jpeg(seed=3), Sea__d=jpeg(seed=3))
    before = (kept(gallery), contents(folder), gallery.models.album.select().count())

    result = run("import", str(folder), "--dry-run")

    assert result.stdout.splitlines() == [
        "album My pictures: 1 would be added",
        "album Sea: 1 would be added",
        "2 pictures would be added, 2 already there, 0 refused, 0 skipped",
    ]
    assert (kept(gallery), contents(folder), gallery.models.album.select().count()) == before


def test_a_dry_run_makes_no_key(anna, gallery, run, folder):
    """A dry run for an account that has no picture yet finds its copies, and leaves no trace in the account."""
    fill(folder, a=jpeg(), b=jpeg())

    result = run("import", str(folder), "--dry-run")

    assert "1 pictures would be added, 1 already there" in result.stdout
    assert accounts.find_user(gallery, "anna").content_key_sealed is None


def test_the_report_as_json(anna, run, folder):
    """With --json the report is JSON, with every path and reason."""
    fill(folder, Sea__a=jpeg(), broken=jpeg()[:200], words=b"words")

    result = run("import", str(folder), "--json")

    assert json.loads(result.stdout) == {
        "files": 3,
        "added": 1,
        "already_there": 0,
        "ignored": 0,
        "albums": {"Sea": 1},
        "skipped": {"words.jpg": "this is not an image we know"},
        "refused": {"broken.jpg": "the image is truncated: its end is missing"},
        "stopped": "",
    }


@pytest.mark.parametrize("as_json", (True, False))
def test_hostile_names_do_not_reach_the_terminal(anna, gallery, run, folder, as_json):
    """Names with control characters, turned text or bytes that are no text are escaped where they are shown."""
    hostile = b"\x1b[31m\r\n\x07\xe2\x80\xae\xff.jpg"
    for path, data in (
        (b"no " + hostile, b"words"),
        (b"cut " + hostile, jpeg()[:200]),
        (b"ok " + hostile, jpeg()),
    ):
        inside = folder / os.fsdecode(b"album " + hostile)
        inside.mkdir(exist_ok=True)
        (inside / os.fsdecode(path)).write_bytes(data)

    result = run("import", str(folder), *(["--json"] if as_json else []))

    assert isinstance(result.exception, SystemExit)
    assert all(character.isprintable() for line in result.stdout.split("\n") for character in line)
    ((title, album, _),) = kept(gallery)
    assert title.isprintable()
    assert album.isprintable()


# --- whose pictures


def test_one_of_several_accounts_has_to_be_named(anna, ben, run, folder):
    """With several accounts, the command wants to know which one: that is wrong use, and nothing happens."""
    result = run("import", str(folder))

    assert result.exit_code == 2
    assert "--user" in result.stderr


@pytest.mark.parametrize("people", ("none", "one"))
def test_an_account_that_is_not_there(request, run, folder, people):
    """Without any account, or with a name that nobody has, the command says so."""
    if people == "one":
        request.getfixturevalue("anna")

    result = run("import", str(folder), "--user", "nobody")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("pixstore: there is no ")


def test_an_album_title_that_cannot_be(anna, run, folder):
    """A title that no album can have is refused in words."""
    result = run("import", str(folder), "--album", "x" * 200)

    assert result.exit_code == 1
    assert result.stderr == "pixstore: the title is too long: at most 120 characters\n"


# --- one file, in this process


@pytest.fixture
def importer(anna, gallery, folder):
    """Return what a worker process does with a file, and the folder it is in."""
    user = accounts.find_user(gallery, "anna")
    key = pictures.content_ids.key_of(gallery, user)
    return FileImporter(gallery, ImportTask(root=folder, user_id=user.id, content_key=key))


def test_an_album_that_is_deleted_meanwhile_is_made_again(importer, gallery, folder):
    """Somebody deletes an album while files are added to it: the next file makes it again."""
    fill(folder, Sea__a=jpeg(seed=1), Sea__b=jpeg(seed=2))
    user = accounts.find_user(gallery, "anna")
    importer.take(SourceFile("Sea/a.jpg", "Sea"))
    (album,) = [album for album in albums.list_albums(gallery, user) if album.title == "Sea"]
    albums.delete_album(gallery, user, album, with_pictures=True)

    outcome = importer.take(SourceFile("Sea/b.jpg", "Sea"))

    assert outcome.became == "added"
    assert [(title, album) for title, album, _ in kept(gallery)] == [("b", "Sea")]


def test_a_full_disk_stops_the_import(importer, gallery, folder, monkeypatch):
    """Where there is no room for a file, there is none for the next: the import stops and says why."""
    fill(folder, a=jpeg())

    def full(*_):
        raise StorageFull("the image could not be written: No space left on device")

    monkeypatch.setattr(type(gallery.store.parts.blobs), "put", full)

    outcome = importer.take(SourceFile("a.jpg", ""))

    assert outcome == ("stopped", "the image could not be written: No space left on device", b"")
    assert kept(gallery) == []


def test_an_account_that_is_deleted_meanwhile_stops_the_import(importer, gallery, folder):
    """When the account goes, the import ends, and nothing is left of the file it was at."""
    fill(folder, a=jpeg())
    gallery.models.album.delete().execute()
    gallery.models.user.delete().execute()

    assert importer.take(SourceFile("a.jpg", "")).became == "stopped"
    assert list(gallery.store.parts.blobs.blobs()) == []


def test_a_file_that_vanishes_is_refused(importer):
    """A file that is gone when its turn comes is named, and the import goes on."""
    outcome = importer.take(SourceFile("gone.jpg", ""))

    assert outcome[:2] == ("refused", "it cannot be read: No such file or directory")


# --- interruptions


@pytest.fixture
def many(folder):
    """Return a folder of photos that take a while."""
    for number in range(30):
        (folder / f"{number:02}.jpg").write_bytes(photo(seed=number))
    return folder


@pytest.fixture
def start(anna, gallery, config):
    """Return a function that starts the command as people do, in a process group of its own."""
    started = []

    def start(*words, **options):
        environ = {**os.environ, "PIXSTORE_DATA_DIR": str(config.data_dir)}
        command = [sys.executable, "-m", "flask", "pixstore", "import", *map(str, words)]
        process = subprocess.Popen(
            command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True, **options,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def workers_of(process):
    """Return the process ids of the workers of a running import."""
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as children:
        pids = children.read().split()
    return [int(pid) for pid in pids if "spawn_main" in command_of(pid)]


def command_of(pid):
    """Return the command line of a process, or nothing where it has ended."""
    try:
        with open(f"/proc/{pid}/cmdline") as command:
            return command.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def wait_for_pictures(gallery, count=3):
    """Wait until so many pictures have been added."""
    eventually(lambda: gallery.models.picture.select().count() >= count, 60, "pictures are added")


def is_sound(run, gallery, count):
    """Tell whether there are so many pictures, each file once, and every image is whole."""
    rows = list(gallery.models.picture.select())
    check = run("check", "--deep")
    findings = [line for line in check.stdout.splitlines()[:-1] if not line.startswith("orphan")]
    return (len(rows), len({row.content_id for row in rows}), findings) == (count, count, [])


def test_an_import_that_is_killed_goes_on(start, many, gallery, run):
    """Killed in the middle, an import leaves no process behind; run again, it adds what is missing and nothing twice."""
    process = start(many)
    wait_for_pictures(gallery)
    workers = workers_of(process)

    process.kill()
    process.wait()

    eventually(lambda: not any("spawn_main" in command_of(pid) for pid in workers), 30, "the workers end")
    added = gallery.models.picture.select().count()
    assert workers
    assert 3 <= added < 30
    assert run("import", str(many)).stdout.endswith(
        f"{30 - added} pictures added, {added} already there, 0 refused, 0 skipped\n"
    )
    assert is_sound(run, gallery, 30)


def test_an_import_that_is_interrupted_goes_on(start, many, gallery, run):
    """Ctrl-C lets what is being added be added, says what was done, and the next import does the rest."""
    process = start(many)
    wait_for_pictures(gallery)

    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)

    added = gallery.models.picture.select().count()
    assert process.returncode == 1
    assert output.endswith(f"{added} pictures added, 0 already there, 0 refused, 0 skipped\n")
    assert errors.splitlines() == [
        "pixstore: the import has stopped: it was interrupted",
        "pixstore: what was added stays; run it again and it goes on",
    ]
    run("import", str(many))
    assert is_sound(run, gallery, 30)


def test_a_worker_that_is_killed_costs_a_few_files(start, many, gallery, run):
    """Where the system kills a worker, the files it had are named, and the others are added."""
    process = start(many, "--processes", 1)
    wait_for_pictures(gallery, 1)

    os.kill(workers_of(process)[0], signal.SIGKILL)
    output, _ = process.communicate(timeout=100)

    assert process.returncode == 1
    assert 1 <= output.count(": the process that had it was killed\n") <= importing.THREADS
    run("import", str(many))
    assert is_sound(run, gallery, 30)


def test_two_imports_at_once_add_everything_once(start, many, gallery, run):
    """Two imports of the same folder share the work: every file is added by one of them."""
    both = [start(many, "--json") for _ in range(2)]

    reports = [json.loads(process.communicate(timeout=100)[0]) for process in both]

    assert sum(report["added"] for report in reports) == 30
    assert sum(report["already_there"] for report in reports) == 30
    assert is_sound(run, gallery, 30)


def test_a_disk_without_room_ends_the_import(start, folder, gallery, run):
    """Where no room is left, the import stops with clear words; what was added is there, and it goes on later."""
    fill(folder, a=jpeg(seed=1), b=jpeg(seed=2), large=jpeg(size_kb=2000), z=jpeg(seed=3))
    limit = (1_000_000, 1_000_000)

    process = start(
        folder, "--processes", 1, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    )
    output, errors = process.communicate(timeout=60)

    added = gallery.models.picture.select().count()
    assert 1 <= added <= 3  # what was on its way is still stored
    assert process.returncode == 1
    assert output.endswith(f"{added} pictures added, 0 already there, 0 refused, 0 skipped\n")
    assert errors.startswith(
        "pixstore: the import has stopped: the image could not be written: File too large"
    )
    assert run("import", str(folder)).stdout.endswith(
        f"{4 - added} pictures added, {added} already there, 0 refused, 0 skipped\n"
    )


def test_importing_works_with_a_key_of_the_settings(folder, tmp_path):
    """Worker processes get the master key that this one was given, however it came."""
    app = create_app(Config(data_dir=tmp_path / "other", master_key=b"k" * 32))
    gallery = app.extensions["pixstore.gallery"]
    with gallery.store.connected():
        accounts.create_user(gallery, "anna", "long enough for anybody")
    fill(folder, a=jpeg())

    result = app.test_cli_runner().invoke(args=["pixstore", "import", str(folder)])

    assert result.stdout.endswith("1 pictures added, 0 already there, 0 refused, 0 skipped\n")
    gallery.store.close()
