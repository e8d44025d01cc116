"""What stands readable of a picture in the database: neither its title, nor what its file is like."""

import json

import pytest
from playhouse.migrations import Runner

from pixstore.errors import DecryptionFailed
from pixstore.gallery import accounts, albums, descriptions, models, pictures, upkeep
from pixstore.gallery.scopes import Scope
from pixstore.maintenance import rotation
from tests.images import jpeg, png
from tests.web.earlier_release import unseal_descriptions

TITLE = "Grandmother in hospital"
WIDTH, HEIGHT = 331, 257


def values_of(gallery):
    """Return every value in the rows of pictures."""
    return [value for row in gallery.models.picture.select().tuples() for value in row]


def shown(gallery, name="anna"):
    """Return what pages show of the newest picture."""
    user = accounts.find_user(gallery, name)
    return pictures.page(gallery, Scope(user.id)).pictures[0]


@pytest.fixture
def picture(anna, gallery, add_pictures):
    """Return a picture of Anna, of a size of its own."""
    (picture,) = add_pictures("anna", data=jpeg(width=WIDTH, height=HEIGHT))
    return picture


@pytest.fixture
def earlier(picture, gallery, reload_picture):
    """Return a picture whose row an earlier release has written."""
    unseal_descriptions(gallery)
    return reload_picture(picture)


def is_sealed(row):
    """Tell whether nothing of a description stands in columns of its own."""
    emptied = (row.title_sealed, row.format, row.width, row.height, row.size)
    return row.description_sealed is not None and emptied == (b"", "", 0, 0, 0)


# --- at rest


def test_dimensions_format_and_size_are_not_in_the_row(picture, gallery):
    """No column of the gallery holds what the file of a picture is like; pages show it all the same."""
    size = len(jpeg(width=WIDTH, height=HEIGHT))

    assert not {WIDTH, HEIGHT, size, "jpg"} & set(values_of(gallery))
    view = shown(gallery)
    assert (view.width, view.height, view.size, view.format) == (WIDTH, HEIGHT, size, "jpg")


def test_length_of_what_is_sealed_tells_little(anna, gallery, add_pictures):
    """Pictures and albums with short and longer titles, of one digit more or less, look alike."""
    user = accounts.find_user(gallery, "anna")
    for title, side in (("A", 9), ("Anna at sea", 10), ("Anna in the wood", 1000)):
        (row,) = add_pictures("anna", data=png(width=side))
        pictures.rename_picture(gallery, user, row, title)
        albums.create_album(gallery, user, title)

    rows = list(gallery.models.picture.select())
    assert len({len(row.description_sealed) for row in rows}) == 1
    assert len({len(row.facts_sealed) for row in rows}) == 1
    assert len({len(row.title_sealed) for row in gallery.models.album.select()}) == 1


def test_description_opens_in_its_own_row_only(picture, gallery, add_pictures):
    """A description that is put into another row, or in the place of a title, does not open."""
    (other,) = add_pictures("anna")
    other.description_sealed = picture.description_sealed

    with pytest.raises(DecryptionFailed):
        descriptions.open_description(gallery, other)
    with pytest.raises(DecryptionFailed):
        gallery.store.open_text(
            picture.description_sealed, purpose="gallery/picture-title", row_id=picture.id
        )


def test_a_card_costs_one_unsealing(anna, gallery, add_pictures, monkeypatch):
    """A page of ten pictures opens ten texts."""
    add_pictures("anna", 10)
    user, opened, open_text = accounts.find_user(gallery, "anna"), [], gallery.store.open_text

    def noted(*args, **places):
        opened.append(places)
        return open_text(*args, **places)

    monkeypatch.setattr(gallery.store, "open_text", noted)
    pictures.page(gallery, Scope(user.id))

    assert len(opened) == 10


def test_a_replacement_keeps_the_title_given_meanwhile(picture, anna, gallery, monkeypatch):
    """A picture that is renamed while another file is put in its place has the new title and the new file."""
    user, decode = accounts.find_user(gallery, "anna"), pictures.decode

    def meanwhile_renamed(image, **options):
        pictures.rename_picture(gallery, user, picture, TITLE)
        return decode(image, **options)

    monkeypatch.setattr(pictures, "decode", meanwhile_renamed)

    replaced = pictures.replace_picture(gallery, user, picture, png(width=40, height=20))

    assert (replaced.title, replaced.format, replaced.width, replaced.height) == (TITLE, "png", 40, 20)
    assert shown(gallery) == replaced


def test_descriptions_move_to_a_new_store_key(picture, gallery, now):
    """After a rotation and a re-encryption they open without the old key."""
    before = shown(gallery)
    rotation.rotate_store_key(gallery.store)
    now.forward(2 * rotation.RETIREMENT)

    report = rotation.re_encrypt(
        gallery.store, reseal_texts=lambda _: upkeep.reseal_texts(gallery), text_purposes=upkeep.TEXT_PURPOSES
    )

    assert len(report.dropped_keys) == 1
    after = shown(gallery)
    assert (after.title, after.width, after.size) == (before.title, before.width, before.size)


# --- rows of an earlier release


def test_pages_show_pictures_of_an_earlier_release(earlier, anna):
    """A picture whose row has not been sealed yet is shown as any other, everywhere."""
    page = anna.get(f"/pictures/{earlier.id}").text

    assert f"{WIDTH} × {HEIGHT}, JPEG" in page
    assert "<h1>picture 0</h1>" in page
    for path in ("/", f"/albums/{earlier.album_id}", f"/pictures/{earlier.id}/delete"):
        assert "picture 0" in anna.get(path).text
    assert anna.get("/albums").status_code == 200


@pytest.mark.parametrize("change", ("rename", "replace"))
def test_a_change_seals_the_row(earlier, anna, gallery, reload_picture, change):
    """A picture of an earlier release that is renamed or replaced keeps nothing readable."""
    if change == "rename":
        anna.post(f"/pictures/{earlier.id}/rename", {"title": TITLE})
    else:
        anna.sends(f"/pictures/{earlier.id}/replace", "file", ("new.png", png(width=40, height=20)))

    assert is_sealed(reload_picture(earlier))
    view = shown(gallery)
    assert (view.title, view.width) == ((TITLE, WIDTH) if change == "rename" else ("picture 0", 40))


def test_upgrade_seals_the_row(earlier, gallery, reload_picture, app):
    """The command seals what stood readable, empties the columns, and changes nothing that is shown."""
    before = shown(gallery)

    result = app.test_cli_runner().invoke(args=["pixstore", "upgrade-pictures"])

    assert (result.exit_code, result.stdout) == (0, "1 pictures brought up to date\n")
    assert is_sealed(reload_picture(earlier))
    assert shown(gallery) == before
    assert upkeep.count_outdated(gallery) == 0


def test_upgrade_seals_what_cannot_be_read(earlier, gallery, reload_picture, app):
    """A picture whose file is lost keeps nothing readable, either; it is named, and tried again the next time."""
    gallery.models.picture.update(facts_sealed=None).execute()
    gallery.store.delete(earlier.original_id)

    first, second = (app.test_cli_runner().invoke(args=["pixstore", "upgrade-pictures"]) for _ in range(2))

    assert [result.exit_code for result in (first, second)] == [1, 1]
    assert f"failed: picture {earlier.id}" in second.stdout
    assert is_sealed(reload_picture(earlier))


def test_upgrade_that_is_interrupted_goes_on(anna, gallery, add_pictures, monkeypatch):
    """Stopped in the middle, the command leaves every picture sealed or as it was, and does the rest when run again."""
    add_pictures("anna", 5)
    unseal_descriptions(gallery)

    def stop(done, _total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upkeep.upgrade_pictures(gallery, progress=stop)
    half = [is_sealed(row) for row in gallery.models.picture.select()]
    report = upkeep.upgrade_pictures(gallery)

    assert sum(half) == 2
    assert report.pictures == 3
    assert all(is_sealed(row) for row in gallery.models.picture.select())


def test_upgrade_does_not_undo_a_new_title(earlier, gallery, anna, monkeypatch):
    """A picture that is renamed before its turn keeps the new title."""
    user = accounts.find_user(gallery, "anna")
    unread_row = upkeep._unread_row

    def meanwhile_renamed(*args):
        pictures.rename_picture(gallery, user, earlier, TITLE)
        return unread_row(*args)

    monkeypatch.setattr(upkeep, "_unread_row", meanwhile_renamed)

    upkeep.upgrade_pictures(gallery)

    assert shown(gallery).title == TITLE


def test_titles_of_an_earlier_release_open_as_they_were(anna, gallery):
    """Titles of albums that were sealed without padding are shown unchanged."""
    user = accounts.find_user(gallery, "anna")
    album = albums.create_album(gallery, user, "x")
    row = gallery.models.album
    sealed = gallery.store.seal_text("Walks", purpose="gallery/album-title", row_id=album.dir)
    row.update(title_sealed=sealed).where(row.dir == album.dir).execute()

    assert albums.get_album(gallery, user, album.dir).title == "Walks"


# --- the migration


@pytest.fixture
def runner(gallery):
    """Return the migrations of the gallery."""
    return Runner(gallery.store.database, str(models.MIGRATIONS), table_name=models.MIGRATION_TABLE)


def test_migration_goes_down_where_nothing_is_sealed_yet(earlier, gallery, runner):
    """Back to the earlier release, and forth again, a row keeps what it held."""
    before = shown(gallery)

    runner.down("0004_description")
    runner.up()

    assert shown(gallery) == before


def test_migration_does_not_go_down_over_sealed_descriptions(picture, gallery, runner):
    """Going back would lose titles that stand nowhere else: it is refused, and nothing changes."""
    before = shown(gallery)

    with pytest.raises(RuntimeError, match="restore a backup"):
        runner.down("0004_description")

    runner.up()  # the later ones, which could go
    assert shown(gallery) == before
    assert "0004_description" in runner.applied()


def test_description_says_what_it_says(picture, gallery):
    """The sealed text is JSON with five values; another program with the keys can read it."""
    text = gallery.store.open_text(
        picture.description_sealed, purpose=descriptions.DESCRIPTION, row_id=picture.id
    )

    assert len(text.encode()) % 64 == 0
    assert set(json.loads(text)) == {"title", "format", "width", "height", "size"}


def test_description_of_a_newer_release_opens(picture, gallery):
    """What this release does not know of a description is left out: two releases may run over one database for a while."""
    known = descriptions.open_description(gallery, picture)
    text = json.dumps({**json.loads(known.to_json()), "mood": "calm"})

    assert descriptions.Description.from_json(text) == known
