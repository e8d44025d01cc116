"""The pictures: their pages, and what can be done with one."""

import json

import pytest

from pixstore import proofs
from pixstore.gallery import accounts, albums, pictures
from pixstore.gallery.errors import NotThere
from pixstore.gallery.scopes import Scope
from tests.gallery_client.pages import heading, images, newer_picture, next_page, picture_ids
from tests.images import jpeg, photo, pixels, png


@pytest.fixture
def picture(anna, add_pictures):
    """Return one picture of Anna."""
    return add_pictures("anna")[0]


# --- pages


def test_newest_first(anna, add_pictures):
    """The picture added last comes first."""
    added = add_pictures("anna", 3)

    assert picture_ids(anna.get("/").text) == [picture.id for picture in reversed(added)]


def test_load_more_is_a_link_that_goes_on_where_the_page_ended(anna, add_pictures):
    """Following the link shows the older pictures, each picture once, and no link on the last page."""
    added = add_pictures("anna", pictures.PAGE_SIZE + 2)

    first = anna.get("/").text
    second = anna.get(next_page(first)).text

    assert len(picture_ids(first)) == pictures.PAGE_SIZE
    assert picture_ids(first) + picture_ids(second) == [picture.id for picture in reversed(added)]
    assert next_page(second) is None


def test_full_last_page_has_no_link(anna, add_pictures):
    """Where a page happens to end with the last picture, there is nothing more to show."""
    add_pictures("anna", pictures.PAGE_SIZE)

    assert next_page(anna.get("/").text) is None


def test_load_more_survives_a_deletion(anna, gallery, add_pictures):
    """The link goes on at the right place also when the picture it names has been deleted."""
    add_pictures("anna", 3)
    user = accounts.find_user(gallery, "anna")
    page = pictures.page(gallery, Scope(user.id), size=2)
    pictures.delete_picture(gallery, user, pictures.get_picture(gallery, user, page.pictures[1].id))

    rest = picture_ids(anna.get(f"/?before={page.next}").text)

    assert len(rest) == 1
    assert rest[0] not in {picture.id for picture in page.pictures}


def test_pictures_of_one_moment_keep_an_order(gallery, anna, now):
    """Pictures added in the same millisecond are neither lost nor shown twice between pages."""
    user = accounts.find_user(gallery, "anna")
    album = albums.default_album(gallery, user)
    for number in range(5):
        pictures.add_picture(gallery, user, album, jpeg(seed=number), file_name=None)

    seen, place = [], None
    while page := pictures.page(gallery, Scope(user.id), before=place, size=2):
        seen += [picture.id for picture in page.pictures]
        place = page.next
        if place is None:
            break

    assert len(seen) == len(set(seen)) == 5


@pytest.mark.parametrize(
    "before", ("", "x", "1", "1-", "-a", "1-A", "1-a;", "9" * 20 + "-a", "1-a\n", "١-a"), ids=ascii
)
def test_damaged_link_is_400(anna, before):
    """A place that no link names is refused in words."""
    answer = anna.get("/", query={"before": before})

    assert answer.status_code == 400
    assert "This link is damaged." in answer.text


def test_one_url_is_a_page_and_a_fragment(anna, picture):
    """The same address answers a browser with a page and htmx with the part, and caches are told."""
    page, part = anna.get("/"), anna.get("/", htmx=True)

    assert "<html" in page.text
    assert "<html" not in part.text
    assert picture_ids(page.text) == picture_ids(part.text) == [picture.id]
    assert all("HX-Request" in answer.vary for answer in (page, part))


def test_history_gets_a_page(anna, picture):
    """What htmx asks for to go back is a whole page."""
    answer = anna.flask.get("/", headers={"HX-Request": "true", "HX-History-Restore-Request": "true"})

    assert "<html" in answer.text


def test_image_tag_has_what_the_browser_needs_and_no_key(anna, picture, gallery):
    """The tag names image, version, proof, size and title; the proof is good; the key is nowhere."""
    text = anna.get(f"/pictures/{picture.id}").text
    record = gallery.store.record(picture.original_id)

    assert f'image-id="{picture.original_id}" token="{record.token}"' in text
    assert 'alt="picture 0"' in text
    assert 'width="16" height="12"' in " ".join(text.split()).replace(' " ', '" ')
    proof = images(text)[0].proof
    window = gallery.config.stateless_key_window_length
    key = gallery.store.secret("pixstore/v1/proof")
    assert proofs.verify(proof, picture.original_id, key=key, now=gallery.now(), window_length=window)
    for secret in (record.meta.key, record.meta.iv, record.meta.tag):
        assert secret not in text


def test_neighbours_among_all_and_in_the_album(anna, gallery, add_pictures):
    """Previous and next lead through all pictures, or through those of the album one came from."""
    user = accounts.find_user(gallery, "anna")
    walks = albums.create_album(gallery, user, "Walks")
    (first,), (between,), (last,) = (
        add_pictures("anna", album=walks),
        add_pictures("anna"),
        add_pictures("anna", album=walks),
    )

    everywhere = anna.get(f"/pictures/{first.id}").text
    in_album = anna.get(f"/pictures/{first.id}?album={walks.dir}").text

    assert newer_picture(everywhere) == f"/pictures/{between.id}"
    assert newer_picture(in_album) == f"/pictures/{last.id}?album={walks.dir}"
    assert 'class="older"' not in everywhere
    assert 'class="newer"' not in anna.get(f"/pictures/{last.id}").text


def test_picture_whose_image_was_lost_still_has_a_page(anna, gallery, picture, reload_picture):
    """Where the store has lost an image the pages say so, and the picture can be removed."""
    for image_id in (picture.original_id, picture.thumbnail_id):
        gallery.store.delete(image_id)

    assert "missing on the server" in anna.get("/").text
    assert "missing on the server" in anna.get(f"/pictures/{picture.id}").text
    assert anna.post(f"/pictures/{picture.id}/delete").status_code == 303
    assert reload_picture(picture) is None


# --- changes


def test_rename(anna, picture):
    """A new title is shown afterwards, on the same page."""
    answer = anna.post(f"/pictures/{picture.id}/rename", {"title": "  Sea & <shore>  "})

    assert answer.location == f"/pictures/{picture.id}"
    page = anna.get(answer.location).text
    assert heading(page) == "Sea &amp; &lt;shore&gt;"
    assert "The picture has been renamed." in page


def test_rename_in_place(anna, picture):
    """To htmx the answer is the part of the page with the new title."""
    answer = anna.post(f"/pictures/{picture.id}/rename", {"title": "Sea"}, htmx=True)

    assert answer.status_code == 200
    assert heading(answer.text) == "Sea"
    assert "<html" not in answer.text


@pytest.mark.parametrize("title", ("", "   ", "\u202e\u0000", "x" * 121), ids=ascii)
def test_impossible_title_is_refused_where_it_was_typed(anna, picture, title):
    """A title that cannot be one is refused beside its field, and nothing changes."""
    answer = anna.post(f"/pictures/{picture.id}/rename", {"title": title}, htmx=True)

    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text
    assert heading(answer.text) == "picture 0"


def test_move_to_another_album(anna, gallery, picture, reload_picture):
    """A moved picture is in the other album, under the same image ids."""
    walks = albums.create_album(gallery, accounts.find_user(gallery, "anna"), "Walks")

    anna.post(f"/pictures/{picture.id}/move", {"album": walks.dir})

    moved = reload_picture(picture)
    assert moved.album_id == walks.dir
    assert moved.original_id == picture.original_id
    assert picture_ids(anna.get(f"/albums/{walks.dir}").text) == [picture.id]


def test_move_to_a_new_album(anna, picture, reload_picture):
    """A title in the other field makes the album."""
    anna.post(f"/pictures/{picture.id}/move", {"album": picture.album_id, "new_album": "Walks"})

    assert "Walks" in anna.get(f"/albums/{reload_picture(picture).album_id}").text


def test_replace_keeps_the_ids_and_shows_the_new(anna, gallery, picture, reload_picture):
    """The new image comes under the same ids with a newer token, thumbnail, size and format included."""
    before = gallery.store.records([picture.original_id, picture.thumbnail_id])
    data = png(width=40, height=20)

    answer = anna.sends(f"/pictures/{picture.id}/replace", "file", ("new.png", data))

    assert answer.location == f"/pictures/{picture.id}"
    after = gallery.store.records([picture.original_id, picture.thumbnail_id])
    assert all(after[image_id].token > before[image_id].token for image_id in before)
    assert gallery.store.load(picture.original_id) == data
    assert pixels(gallery.store.load(picture.thumbnail_id)).size == (40, 20)
    replaced = pictures.view(gallery, reload_picture(picture))
    assert (replaced.format, replaced.width, replaced.height, replaced.size) == ("png", 40, 20, len(data))


def test_replace_in_place_shows_the_new_token(anna, gallery, picture):
    """To htmx the answer names the new version at once."""
    answer = anna.sends(f"/pictures/{picture.id}/replace", "file", ("new.jpg", photo()), htmx=True)

    token = gallery.store.records([picture.original_id])[picture.original_id].token
    assert answer.status_code == 200
    assert f'token="{token}"' in answer.text


@pytest.mark.parametrize(
    ("files", "words"),
    (((("a.txt", b"text"),), "This is not an image"), ((), "Please choose a picture.")),
    ids=("text", "nothing"),
)
def test_bad_replacement_changes_nothing(anna, gallery, picture, files, words):
    """A file that is refused leaves the picture as it was."""
    before = gallery.store.load(picture.original_id)

    answer = anna.sends(f"/pictures/{picture.id}/replace", "file", *files)

    assert answer.status_code == 422
    assert words in answer.text
    assert gallery.store.load(picture.original_id) == before


def test_replace_is_all_or_nothing(anna, gallery, picture, monkeypatch):
    """If the row cannot be written, original and thumbnail stay the old ones."""
    before = [gallery.store.load(image_id) for image_id in (picture.original_id, picture.thumbnail_id)]

    def fail(*args):
        raise RuntimeError("in the middle")

    monkeypatch.setattr(pictures, "_change", fail)
    anna.app.config["PROPAGATE_EXCEPTIONS"] = False

    assert anna.sends(f"/pictures/{picture.id}/replace", "file", ("new.jpg", photo())).status_code == 500
    assert [
        gallery.store.load(image_id) for image_id in (picture.original_id, picture.thumbnail_id)
    ] == before


def test_delete_asks_first(anna, picture, reload_picture):
    """The link shows a question, on a page of its own or in a dialog, and removes nothing."""
    page, part = (anna.get(f"/pictures/{picture.id}/delete", htmx=htmx).text for htmx in (False, True))

    assert "Delete this picture?" in page
    assert "<html" in page
    assert "Delete this picture?" in part
    assert "<html" not in part
    assert reload_picture(picture) is not None


def test_delete_removes_everything(anna, gallery, picture, reload_picture):
    """Row, records and sealed bytes of original and thumbnail go."""
    answer = anna.post(f"/pictures/{picture.id}/delete")
    gallery.store.parts.reaper.reap()

    assert answer.location == "/"
    assert reload_picture(picture) is None
    assert gallery.store.parts.models.image.select().count() == 0
    assert list(gallery.store.parts.blobs.blobs()) == []
    assert anna.get(f"/pictures/{picture.id}").status_code == 404


def test_delete_goes_back_to_the_album(anna, picture):
    """Who came from an album returns to it."""
    answer = anna.post(f"/pictures/{picture.id}/delete?album={picture.album_id}")

    assert answer.location == f"/albums/{picture.album_id}"


@pytest.mark.parametrize("change", ("rename", "replace", "move", "delete"))
def test_change_of_a_picture_that_was_deleted_meanwhile(anna, gallery, picture, change):
    """A change that comes too late is refused, and leaves nothing behind."""
    user = accounts.find_user(gallery, "anna")
    pictures.delete_picture(gallery, user, picture)

    with pytest.raises(NotThere):
        {
            "rename": lambda: pictures.rename_picture(gallery, user, picture, "x"),
            "replace": lambda: pictures.replace_picture(gallery, user, picture, jpeg()),
            "move": lambda: pictures.move_picture(
                gallery, user, picture, albums.default_album(gallery, user)
            ),
            "delete": lambda: pictures.delete_picture(gallery, user, picture),
        }[change]()
    assert gallery.models.picture.select().count() == 0
    assert gallery.store.parts.models.image.select().count() == 0


# --- records


def test_records_are_fresh_and_without_keys(anna, gallery, picture, now):
    """The browser module gets new proofs for images it has on the page, and no key."""
    image_ids = [picture.original_id, picture.thumbnail_id]
    now.forward(3 * gallery.config.stateless_key_window_length)

    answer = anna.get("/pictures/records", query={"id": image_ids})

    assert answer.headers["Cache-Control"] == "no-store"
    found = {record["id"]: record for record in answer.get_json()["records"]}
    assert set(found) == set(image_ids)
    assert found == {
        image_id: record.to_json(with_meta=False)
        for image_id, record in gallery.store.records(image_ids).items()
    }
    assert "meta" not in json.dumps(found)


def test_records_only_of_own_pictures(ben, gallery, picture):
    """Other people's images, images of no picture and ids that are none are left out."""
    other = gallery.store.save(jpeg()).id
    asked = [picture.original_id, picture.thumbnail_id, other, "x", "../../etc", ""]

    assert ben.get("/pictures/records", query={"id": asked}).get_json() == {"records": []}


def test_at_most_a_hundred_records_at_once(anna):
    """A longer list is refused."""
    ids = [f"{number:08d}" for number in range(101)]

    assert anna.get("/pictures/records", query={"id": ids[:100]}).status_code == 200
    assert anna.get("/pictures/records", query={"id": ids}).status_code == 400
