"""Albums."""

import re

import pytest

from pixstore.gallery import accounts, albums, pictures
from pixstore.gallery.errors import InvalidInput, NotThere
from pixstore.ids import clean_directory
from tests.gallery_client.pages import album_sizes, images, next_page, picture_ids
from tests.images import jpeg


@pytest.fixture
def user(anna, gallery):
    """Return Anna's account."""
    return accounts.find_user(gallery, "anna")


@pytest.fixture
def walks(gallery, user):
    """Return an album of Anna."""
    return albums.create_album(gallery, user, "Walks")


def test_new_account_has_a_default_album(anna):
    """There is an album from the start, and it cannot be deleted."""
    page = anna.get("/albums")

    assert album_sizes(page.text) == [("My pictures", "0")]


def test_create(anna):
    """A new album is shown empty."""
    answer = anna.post("/albums", {"title": "Walks"})

    assert re.fullmatch("/albums/[a-z0-9]{26}", answer.location)
    assert "This album is empty" in anna.get(answer.location).text


def test_create_in_place(anna):
    """To htmx the answer is the list with the new album in it."""
    answer = anna.post("/albums", {"title": "Walks"}, htmx=True)

    assert album_sizes(answer.text) == [("My pictures", "0"), ("Walks", "0")]
    assert "<html" not in answer.text


@pytest.mark.parametrize(
    ("title", "words"),
    (("", "enter a title"), ("WALKS", "already an album called"), ("x" * 121, "too long")),
    ids=ascii,
)
def test_impossible_title_is_refused(anna, gallery, walks, title, words):
    """A title that is empty, taken or too long is refused beside its field."""
    answer = anna.post("/albums", {"title": title})

    assert answer.status_code == 422
    assert words in answer.text
    assert gallery.models.album.select().count() == 2


def test_two_users_may_use_one_title(gallery, anna, ben, walks):
    """Titles are one's own: another user's albums are not in the way."""
    assert ben.post("/albums", {"title": "Walks"}).status_code == 303


def test_dir_is_random_and_a_valid_namespace(gallery, user):
    """The name of the namespace tells nothing, and the store takes it as it is."""
    album = albums.create_album(gallery, user, "Diagnosis")

    assert re.fullmatch("[a-z2-7]{26}", album.dir)
    assert clean_directory(album.dir) == album.dir


def test_list_shows_sizes_and_newest_covers(anna, gallery, walks, add_pictures):
    """Each album is shown with its number of pictures and its newest as cover; the default one comes first."""
    add_pictures("anna", 2, album=walks)
    (newest,) = add_pictures("anna", album=walks)

    page = anna.get("/albums").text

    assert album_sizes(page) == [("My pictures", "0"), ("Walks", "3")]
    assert [image.image_id for image in images(page)] == [newest.thumbnail_id]


def test_album_shows_only_its_pictures(anna, walks, add_pictures):
    """An album's page holds the album's pictures, and its links stay in the album."""
    add_pictures("anna")
    (picture,) = add_pictures("anna", album=walks)

    page = anna.get(f"/albums/{walks.dir}").text

    assert picture_ids(page) == [picture.id]
    assert f'href="/pictures/{picture.id}?album={walks.dir}"' in page


def test_album_loads_more_of_itself(anna, walks, add_pictures):
    """The next page of an album is of that album."""
    add_pictures("anna", pictures.PAGE_SIZE + 1, album=walks)

    link = next_page(anna.get(f"/albums/{walks.dir}").text)

    assert link.startswith(f"/albums/{walks.dir}?before=")
    assert anna.get(link, htmx=True).text.count('<li class="card') == 1


def test_rename(anna, walks):
    """A renamed album has the new title; its pictures' ids do not change."""
    anna.post(f"/albums/{walks.dir}/rename", {"title": "Long walks"})

    assert "<h1>Long walks</h1>" in anna.get(f"/albums/{walks.dir}").text


def test_rename_in_place(anna, walks):
    """To htmx the answer is the head of the album."""
    answer = anna.post(f"/albums/{walks.dir}/rename", {"title": "WALKS"}, htmx=True)

    assert "<h1>WALKS</h1>" in answer.text
    assert "<html" not in answer.text


def test_rename_to_a_taken_title(anna, walks):
    """A title of another album is refused, and the old one stays."""
    answer = anna.post(f"/albums/{walks.dir}/rename", {"title": "my pictures"})

    assert answer.status_code == 422
    assert "already an album called" in answer.text
    assert "<h1>Walks</h1>" in answer.text


def test_delete_asks_what_becomes_of_the_pictures(anna, walks, add_pictures):
    """The question names the number of pictures and both ways to go on."""
    add_pictures("anna", 2, album=walks)

    page = anna.get(f"/albums/{walks.dir}/delete").text

    assert "its 2 pictures" in page
    assert "Move to “My pictures”" in page


def test_delete_keeps_the_pictures(anna, gallery, user, walks, add_pictures):
    """Without another word the pictures of a deleted album move to the default one."""
    add_pictures("anna", 2, album=walks)

    answer = anna.post(f"/albums/{walks.dir}/delete")

    assert answer.location == "/albums"
    assert album_sizes(anna.get("/albums").text) == [("My pictures", "2")]
    assert anna.get(f"/albums/{walks.dir}").status_code == 404


def test_delete_with_the_pictures(anna, gallery, walks, add_pictures):
    """If the form says so the pictures go too, with their images; others stay."""
    (kept,) = add_pictures("anna")
    add_pictures("anna", 2, album=walks)
    (lost,) = add_pictures("anna", album=walks)
    gallery.store.delete(lost.original_id)

    anna.post(f"/albums/{walks.dir}/delete", {"pictures": "delete"})

    assert [row.id for row in gallery.models.picture.select()] == [kept.id]
    assert gallery.store.parts.models.image.select().count() == 2


def test_default_album_cannot_be_deleted(anna, gallery, user):
    """The album that takes what has no other stays."""
    album = albums.default_album(gallery, user)

    answer = anna.post(f"/albums/{album.dir}/delete")

    assert answer.status_code == 422
    assert "cannot be deleted" in answer.text


def test_picture_added_during_the_deletion_is_not_lost(gallery, user, walks, add_pictures, monkeypatch):
    """A picture that arrives between question and commit stops the deletion of an album with its pictures."""
    add_pictures("anna", album=walks)
    existing = albums.existing_images

    def with_an_arrival(gallery, image_ids):
        found = existing(gallery, image_ids)
        pictures.add_picture(gallery, user, walks, jpeg(seed=9), file_name="late.jpg")
        return found

    monkeypatch.setattr(albums, "existing_images", with_an_arrival)

    with pytest.raises(InvalidInput):
        albums.delete_album(gallery, user, walks, with_pictures=True)
    assert gallery.models.picture.select().count() == 2
    assert gallery.store.parts.models.image.select().count() == 4


def test_deleting_twice(gallery, user, walks):
    """Who comes second is told that there is no such album."""
    albums.delete_album(gallery, user, walks, with_pictures=False)

    with pytest.raises(NotThere):
        albums.delete_album(gallery, user, walks, with_pictures=False)
