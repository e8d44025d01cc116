"""A gallery of an earlier release, whose pictures come to what this one keeps of them."""

import pytest

from pixstore.gallery import accounts, pictures, upkeep
from pixstore.gallery.photo_facts import PhotoFacts
from pixstore.maintenance import rotation
from tests import stored
from tests.gallery_client import GalleryClient
from tests.gallery_fixtures import command_line
from tests.images import jpeg, png
from tests.web.earlier_release import undo_migrations
from tests.web.exif import taken

DATES = ("2024:05:06 07:08:09", "1999:12:31 23:59:59", "2001:01:01 00:00:00")
TIMES = (1_714_979_289_000, 946_684_799_000, 978_307_200_000)


@pytest.fixture
def earlier(anna, add_pictures, gallery, reopened):
    """
    Return the gallery over the database of the first release, and its pictures, oldest first.

    Of four pictures of Anna the last one has no date.
    """
    dated = [add_pictures("anna", data=taken(date, seed=seed))[0] for seed, date in enumerate(DATES)]
    undated = add_pictures("anna")
    undo_migrations(gallery, "0002_photo_facts")
    app = reopened()
    with app.extensions["pixstore"].connected():
        yield app, [*dated, *undated]


def rows_of(app, ids):
    """Return the rows of the pictures, in that order."""
    row = app.extensions["pixstore.gallery"].models.picture
    return [row.get_by_id(picture.id) for picture in ids]


def test_pictures_count_as_taken_when_they_were_added(earlier):
    """The migration takes the time a picture came for the time it was taken, and knows nothing more of it."""
    app, before = earlier

    rows = rows_of(app, before)

    assert [row.taken_at for row in rows] == [picture.created_at for picture in before]
    assert [row.facts_sealed for row in rows] == [None] * 4
    assert [row.original_id for row in rows] == [picture.original_id for picture in before]


def test_pictures_can_be_seen_before_they_are_upgraded(earlier):
    """A picture whose file has not been read yet has a page, which says nothing of when it was taken."""
    app, (picture, *_) = earlier

    page = GalleryClient(app).logs_in("anna").get(f"/pictures/{picture.id}")

    assert page.status_code == 200
    assert "<dt>Taken</dt>" not in page.text


def test_upgrade_reads_the_files(earlier):
    """The command reads date and facts from the files; what has no date stays with the time it was added."""
    app, before = earlier

    result = command_line(app)("upgrade-pictures")

    assert (result.exit_code, result.stdout) == (0, "4 pictures brought up to date\n")
    gallery, rows = app.extensions["pixstore.gallery"], rows_of(app, before)
    assert [row.taken_at for row in rows] == [*TIMES, before[3].created_at]
    assert [pictures.facts_of(gallery, row) for row in rows] == [
        *(PhotoFacts(taken_at=time, camera="LEICA Q2") for time in TIMES),
        PhotoFacts(),
    ]
    assert [row.updated_at for row in rows] == [picture.updated_at for picture in before]
    assert "6 May 2024" in GalleryClient(app).logs_in("anna").get(f"/pictures/{before[0].id}").text


def test_upgrade_twice_does_nothing(earlier):
    """Run again, the command finds nothing to do, and changes nothing."""
    app, before = earlier
    command_line(app)("upgrade-pictures")
    once = [row.__data__ for row in rows_of(app, before)]

    again = command_line(app)("upgrade-pictures")

    assert (again.exit_code, again.stdout) == (0, "0 pictures brought up to date\n")
    assert [row.__data__ for row in rows_of(app, before)] == once


def test_upgrade_goes_through_all_portions(earlier, monkeypatch):
    """However few pictures are read at a time, all of them are."""
    app, before = earlier
    monkeypatch.setattr(upkeep, "BATCH", 1)
    seen = []

    report = upkeep.upgrade_pictures(
        app.extensions["pixstore.gallery"], progress=lambda *done: seen.append(done)
    )

    assert (report.pictures, report.failed) == (4, {})
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert None not in [row.facts_sealed for row in rows_of(app, before)]


def test_unreadable_picture_is_named(earlier):
    """A picture whose file does not open is named, with exit code 1; the others are read, and it is tried again."""
    app, before = earlier
    stored.flip_last_bit(stored.blob_file(app.extensions["pixstore"], before[1].original_id))

    first, second = (command_line(app)("upgrade-pictures") for _ in range(2))

    failed = f"failed: picture {before[1].id}: "
    assert first.exit_code == second.exit_code == 1
    assert first.stdout.startswith(f"3 pictures brought up to date\n{failed}")
    assert second.stdout.startswith(f"0 pictures brought up to date\n{failed}")
    assert [row.facts_sealed is None for row in rows_of(app, before)] == [False, True, False, False]


def test_upgrade_does_not_undo_a_replacement(earlier, monkeypatch):
    """A picture that is replaced while its old file is read has the facts of the new one."""
    app, before = earlier
    gallery = app.extensions["pixstore.gallery"]
    user, read_photo_facts = accounts.find_user(gallery, "anna"), upkeep.read_photo_facts
    picture, old = before[0], gallery.store.load(before[0].original_id)

    def meanwhile_replaced(image):
        if image.data == old:
            pictures.replace_picture(gallery, user, picture, taken("2025:01:02 03:04:05", camera="Holga"))
        return read_photo_facts(image)

    monkeypatch.setattr(upkeep, "read_photo_facts", meanwhile_replaced)

    upkeep.upgrade_pictures(gallery)

    (row,) = rows_of(app, before[:1])
    assert row.taken_at == 1_735_787_045_000
    assert pictures.facts_of(gallery, row).camera == "Holga"


@pytest.mark.parametrize("change", ("replace", "delete"))
def test_pictures_changed_before_their_turn(earlier, change):
    """Pictures that are replaced or deleted while others are read are no failure, and do not stop the command."""
    app, _ = earlier
    gallery = app.extensions["pixstore.gallery"]
    user = accounts.find_user(gallery, "anna")

    def change_the_rest(done, _total):
        if done > 1:
            return
        for row in gallery.models.picture.select().where(gallery.models.picture.facts_sealed.is_null()):
            if change == "replace":
                pictures.replace_picture(gallery, user, row, png())
            else:
                pictures.delete_picture(gallery, user, row)

    report = upkeep.upgrade_pictures(gallery, progress=change_the_rest)

    assert report.failed == {}
    assert upkeep.count_outdated(gallery) == 0
    assert gallery.models.picture.select().count() == (4 if change == "replace" else 1)


def test_upgraded_on_replacement(earlier):
    """A picture of the first release that is replaced needs no upgrade any more."""
    app, (picture, *_) = earlier
    anna = GalleryClient(app).logs_in("anna")

    anna.replaces(picture.id, ("new.jpg", jpeg(seed=9)))

    (row,) = rows_of(app, [picture])
    assert row.taken_at == picture.created_at
    assert upkeep.count_outdated(app.extensions["pixstore.gallery"]) == 3


def test_texts_of_pictures_not_upgraded_move_to_a_new_key(earlier, now):
    """A picture without facts has none to encrypt again: re-encryption does not stumble over it."""
    app, before = earlier
    command_line(app)("rotate", "store-key")
    now.forward(2 * rotation.RETIREMENT)

    result = command_line(app)("re-encrypt")

    # The titles of four pictures and of an album.
    assert result.stdout == "8 images and 5 texts encrypted again, 1 old keys dropped\n"
    assert command_line(app)("upgrade-pictures").stdout == "4 pictures brought up to date\n"
    assert [row.taken_at for row in rows_of(app, before)][:3] == list(TIMES)
