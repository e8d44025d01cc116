"""How much is taken in at once: memory for files, places for large forms, and what is said to those who must come again."""

import os
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from pixstore.errors import StorageFull
from pixstore.gallery.errors import TooBusy
from pixstore.gallery.intake import COPIES, RETRY_AFTER, SMALL_FORM, Intake
from pixstore.gallery.spool import Spool
from pixstore.gallery.web import forms
from tests.images import jpeg, png

LARGE = SMALL_FORM + 1


# --- places


def _intake(at_once=2, patience=0.01):
    return Intake(at_once=at_once, max_file_bytes=1000, patience=patience)


def test_some_large_forms_are_taken_in_at_once():
    """As many as configured have a place; the next waits, and is sent away when its turn does not come."""
    intake = _intake()

    with (
        intake.place_for(LARGE),
        intake.place_for(LARGE),
        pytest.raises(TooBusy) as busy,
        intake.place_for(LARGE),
    ):
        pass

    assert busy.value.retry_after == RETRY_AFTER
    with intake.place_for(LARGE):
        pass


def test_small_forms_never_wait():
    """A small form is taken in whatever else is going on."""
    intake = _intake()

    with intake.place_for(LARGE), intake.place_for(LARGE), intake.place_for(SMALL_FORM):
        pass


def test_a_form_of_unknown_size_counts_as_large():
    """A body that does not say how long it is may be of any length."""
    intake = _intake(at_once=1)

    with intake.place_for(LARGE), pytest.raises(TooBusy), intake.place_for(None):
        pass


def test_only_a_few_forms_wait():
    """Where half as many wait as have a place, the next is sent away at once: threads are left for others."""
    intake = _intake(patience=60)
    waiting = [threading.Thread(target=lambda: intake.place_for(LARGE).__enter__())]

    with ExitStack() as places:
        places.enter_context(intake.place_for(LARGE))
        places.enter_context(intake.place_for(LARGE))
        waiting[0].start()
        while not intake._forms._turn.locked():
            pass
        with pytest.raises(TooBusy), intake.place_for(LARGE):
            pass
    waiting[0].join(30)

    assert not waiting[0].is_alive()


def test_memory_is_shared_by_files():
    """Files that fit together are in memory together; the largest there may be is there alone."""
    intake = _intake()

    with intake.memory_for(500), intake.memory_for(500):
        assert intake._files._free == 0
    with intake.memory_for(1000):
        assert intake._files._free == 0
    assert intake._files._free == COPIES * 1000


@pytest.fixture
def busy(app):
    """Let large forms be those of more than 10 kB, of which there are too many already."""
    app.extensions["pixstore.intake"] = intake = _intake(at_once=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pixstore.gallery.intake.SMALL_FORM", 10_000)
        with intake.place_for(LARGE):
            yield


def test_a_form_too_many_is_told_when_to_come_again(anna, gallery, busy):
    """A page says that nothing was kept, and when to send it again; the answer says so to programs."""
    answer = anna.sends_upload(("a.png", png(size_kb=20)))

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == str(RETRY_AFTER)
    assert "busy with other uploads, and nothing of this one was kept" in answer.text
    assert gallery.models.picture.select().count() == 0


def test_a_replacement_too_many_leaves_the_page_as_it_was(anna, add_pictures, busy):
    """The notice stands beside the form, in which the chosen file still stands."""
    (picture,) = add_pictures("anna")

    answer = anna.sends(f"/pictures/{picture.id}/replace", "file", ("a.png", png(size_kb=20)), htmx=True)

    assert answer.status_code == 503
    assert answer.headers["HX-Retarget"] == "#problem"
    assert "<html" not in answer.text


def test_others_are_answered_while_uploads_wait(anna, busy):
    """Pages and small forms need no place."""
    assert anna.get("/").status_code == 200
    assert anna.sends_upload(("a.jpg", jpeg())).status_code == 303


def test_a_place_is_given_back_whatever_happens(anna, app, monkeypatch):
    """Refused forms, forms without a token and failures leave the place to the next."""
    app.extensions["pixstore.intake"] = _intake(at_once=1)
    monkeypatch.setattr("pixstore.gallery.intake.SMALL_FORM", 0)
    app.config["PROPAGATE_EXCEPTIONS"] = False

    statuses = [anna.sends_upload(("a.txt", b"no image")).status_code, anna.post("/upload", {}).status_code]
    with monkeypatch.context() as patch:
        patch.setattr(forms, "files", None)
        statuses.append(anna.sends_upload(("a.jpg", jpeg())).status_code)
    statuses.append(anna.flask.post("/upload", data={"files": (None, "x")}).status_code)

    assert statuses[:3] == [422, 422, 500]
    assert anna.sends_upload(("a.jpg", jpeg())).status_code == 303


def test_a_plain_form_may_not_be_as_large_as_one_with_files(anna):
    """A body that has to be read into memory as a whole is bounded as every other form is."""
    assert anna.post("/upload", {"album": "x" * 100_000}).status_code == 413


# --- the spool


@pytest.fixture
def spool(tmp_path):
    """Return an empty spool."""
    spool = Spool(tmp_path)
    yield spool
    spool.close()


def _on_disk(spool):
    return os.pread(spool._descriptor, 10**6, 0)


def test_files_come_back_as_they_were_written(spool):
    """Whatever pieces a file comes in, it is read back whole, beside others."""
    first, second, empty = (spool.new_file(100) for _ in range(3))
    for file, piece in ((first, b"abc"), (second, b"xyz"), (first, b""), (first, b"def"), (second, b"!")):
        file.write(piece)

    assert (first.read(), second.read(), empty.read()) == (b"abcdef", b"xyz!", b"")
    assert (first.size, second.size, empty.size) == (6, 4, 0)


def test_a_file_keeps_no_more_than_its_limit(spool):
    """What is written beyond the limit is dropped, and the writer does not notice."""
    file = spool.new_file(5)

    assert [file.write(part) for part in (b"abc", b"def", b"ghi")] == [3, 3, 3]
    assert file.read() == b"abcde"


def test_what_lies_on_the_disk_is_sealed_and_has_no_name(spool, tmp_path):
    """Nothing of a picture can be read on the disk, and the file is gone with the process."""
    file, other = spool.new_file(1000), Spool(tmp_path)
    file.write(b"secret" * 10)
    other.new_file(1000).write(b"secret" * 10)

    assert b"secret" not in _on_disk(spool)
    assert _on_disk(spool) != _on_disk(other)
    assert list(tmp_path.iterdir()) == []
    other.close()


def test_file_systems_without_nameless_files(spool, tmp_path, monkeypatch):
    """Where a file must have a name, it has one for an instant only."""
    monkeypatch.delattr(os, "O_TMPFILE")
    file = spool.new_file(100)
    file.write(b"abc")

    assert file.read() == b"abc"
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_for_a_form_without_files(spool):
    """The file is made with the first byte."""
    spool.new_file(100).write(b"")

    assert spool._descriptor is None


def test_a_full_disk_is_told(anna, monkeypatch):
    """Where the disk takes no more, the page says that nothing was stored."""

    def full(*_):
        raise StorageFull("no room")

    monkeypatch.setattr(Spool, "append", full)

    answer = anna.sends_upload(("a.jpg", jpeg()))

    assert answer.status_code == 507
    assert "no space left" in answer.text


def test_an_upload_leaves_no_file_open(anna):
    """The spool of a form is closed when the form has been answered, whether kept or refused."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name, data in (("a.jpg", jpeg()), ("b.txt", b"no image")):
        anna.sends_upload((name, data))

    assert len(list(Path("/proc/self/fd").iterdir())) <= before
