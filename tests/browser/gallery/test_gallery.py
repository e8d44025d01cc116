"""What a person does with the gallery, in a real browser against a real server."""

import hashlib

import pytest

from tests.browser.engines.locator import expect
from tests.browser.gallery.conftest import OWNER, PASSWORD
from tests.browser.gallery.gallery_page import GalleryPage
from tests.eventually import eventually

pytestmark = pytest.mark.browser


def test_the_set_up_link_works_once(gallery, new_person):
    """After the owner's account is made, the link leads nowhere, and was printed by one worker only."""
    visitor = new_person()

    response = visitor.page.goto(gallery.setup_link())

    assert response is not None
    assert response.status == 404


def test_uploads_are_shown_pixel_for_pixel(maria, photo):
    """Photos of every kind, turned, transparent or large, look in the page as they do outside it."""
    files = [photo("harbour.jpg"), photo("window.png"), photo("meadow.webp")]

    maria.uploads(*files)
    assert "3 added, 0 refused." in maria.page.locator("#upload-status").inner_text()

    for file in files:
        maria.opens_picture(file.stem)
        assert maria.compares_with(file) == "same"
        assert maria.downloads() == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_refused_file_stops_no_other(maria, photo, tmp_path):
    """Each file that is no picture is named with its reason; the others are added."""
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(photo("harbour.jpg").read_bytes()[:200_000])
    letter = tmp_path / "letter.png"
    letter.write_text("Dear doctor")

    maria.uploads(broken, photo("dune.webp"), letter)

    assert "1 added, 2 refused." in maria.page.locator("#upload-status").inner_text()
    assert "broken.jpg\nThe image is truncated: its end is missing." in maria.results()
    assert "letter.png\nThis is not an image we know" in maria.results()


def _first_answers(person, *answers):
    """Let the first forms of *person* be answered by these functions of a route, and the next by the server."""
    left = list(answers)

    def answer(route):
        (left.pop(0) if left and route.request.method == "POST" else type(route).fallback)(route)

    person.page.route("**/upload", answer)
    return left


def _busy(route):
    route.fulfill(status=503, headers={"Retry-After": "1"}, body='<p class="notice">The server is busy.</p>')


def test_a_file_for_which_there_is_no_place_is_sent_again(maria, photo):
    """Where the server is too busy, the page waits as long as it was told, and sends the file again by itself."""
    left = _first_answers(maria, _busy, _busy)

    maria.uploads(photo("pebble.webp"))

    assert left == []
    assert "1 added, 0 refused." in maria.page.locator("#upload-status").inner_text()


def test_a_file_that_does_not_get_through_stays_chosen(maria, photo):
    """A file that could not be sent is named with the reason, and is sent by pressing the button once more."""
    _first_answers(maria, lambda route: route.abort())

    maria.uploads(photo("cliff.webp"))

    status = maria.page.locator("#upload-status")
    assert "0 added, 0 refused. 1 did not get through" in status.inner_text()
    assert "cliff.webp\nThe server cannot be reached." in maria.results()
    maria.page.get_by_role("button", name="Add 1 picture").click()
    expect(status).to_have_text("1 added, 0 refused.")


def test_thumbnails_stand_upright(maria, photo):
    """A thumbnail of a photo that EXIF turns is turned itself."""
    maria.uploads(photo("tower.jpg"))
    maria.opens("Pictures")

    image = maria.sees(maria.page.get_by_role("link", name="tower").locator("pixstore-image"))

    assert image.evaluate("element => element.naturalHeight > element.naturalWidth")


def test_a_reload_makes_no_image_request(maria, photo):
    """What was seen once comes from the cache, decrypted and without asking the server."""
    maria.uploads(photo("island.webp"), photo("valley.png"))
    maria.opens("Pictures")
    count = maria.page.locator(".card").count()
    maria.sees_thumbnails(count)
    eventually(lambda: len(maria.cached_ids()) >= count)
    maria.image_requests.clear()

    maria.page.reload()
    maria.sees_thumbnails(count)

    assert maria.image_requests == []


def test_a_replaced_picture_is_shown_at_once(maria, photo):
    """The new picture stands in the page without a reload, in the grid too, and the old one is gone from disk."""
    maria.uploads(photo("before.webp"))
    maria.opens_picture("before")
    assert maria.compares_with(photo("before.webp")) == "same"
    image_id = maria.picture.get_attribute("image-id")

    maria.replaces_by(photo("after.png"))

    assert maria.compares_with(photo("after.png")) == "same"
    assert maria.picture.get_attribute("image-id") == image_id
    maria.opens_picture("before")
    assert maria.compares_with(photo("after.png")) == "same"


def test_a_deleted_picture_is_gone_everywhere(gallery, maria, photo):
    """Delete removes a picture from page, disk, database and cache."""
    eventually(lambda: len(gallery.blobs()) == len(gallery.image_ids()))
    ids_before, blobs_before = gallery.image_ids(), gallery.blobs()
    maria.uploads(photo("secret.webp"))
    maria.opens_picture("secret")
    maria.sees(maria.picture)
    ours = gallery.image_ids() - ids_before
    eventually(lambda: ours <= set(maria.cached_ids()))
    assert len(ours) == 2

    maria.deletes()

    expect(maria.page.get_by_role("link", name="secret")).to_have_count(0)
    assert gallery.image_ids() == ids_before
    eventually(lambda: gallery.blobs() == blobs_before)
    assert ours.isdisjoint(maria.cached_ids())


def test_logging_out_empties_the_cache(maria, new_person, photo):
    """After a logout this browser keeps no picture, and back leads to no page."""
    maria.uploads(photo("family.webp"))
    maria.opens_picture("family")
    maria.sees(maria.picture)
    eventually(maria.cached_ids)

    maria.logs_out()

    eventually(lambda: maria.cached_ids() == [])
    maria.page.go_back()
    expect(maria.page.get_by_role("heading", name="Log in")).to_be_visible()


def test_another_account_sees_nothing_of_it(gallery, maria, photo, browser):
    """To another person a picture is not there: the same page as for one that never was."""
    maria.uploads(photo("letters.webp"))
    maria.opens_picture("letters")
    address = maria.page.url
    maria.makes_account("otto", PASSWORD)
    context = browser.new_context()
    otto = GalleryPage(context, gallery.url)
    otto.logs_in("otto", PASSWORD)
    theirs = otto.page.goto(address)
    seen = otto.page.locator("main").inner_text()
    nobodys = otto.page.goto(f"{gallery.url}/pictures/aaaaaaaaaaaaaaaaaaaaaaaaaa")

    assert (theirs.status, nobodys.status) == (404, 404)
    assert otto.page.locator("main").inner_text() == seen
    context.close()


def test_nothing_readable_lies_on_disk(gallery, maria, photo):
    """No image, no title, no file name and no album stands in the data directory in the clear."""
    file = photo("biopsy-of-frau-k.jpg")
    maria.uploads(file, album="Patients of March")

    everything = gallery.every_byte()

    content = file.read_bytes()
    assert content[1000:1032] not in everything
    for magic in (b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xe1", b"\x89PNG\r\n", b"WEBPVP8", b"Exif\0\0"):
        assert magic not in everything
    for words in (b"biopsy", b"frau-k", b"Patients of March", b"harbour", PASSWORD.encode()):
        assert words not in everything
    assert (
        OWNER.encode() in everything
    )  # account names are not hidden; this shows that the search finds what is there
