"""Adding pictures."""

import io
import tempfile
import zlib
from collections import Counter

import pytest
from PIL import Image

from app import create_app
from pixstore import decoding, formats
from pixstore.config import Config
from pixstore.errors import DatabaseUnavailable, StorageFull
from pixstore.gallery import accounts, albums, pictures
from pixstore.gallery.scopes import Scope
from pixstore.gallery.titles import title_of_file
from pixstore.structure import jpeg as jpeg_structure
from tests.costly_images import motion_photo
from tests.gallery_client import PASSWORD, GalleryClient
from tests.images import gif, jpeg, photo, pixel_bomb, pixels, png, webp


def titles_of(gallery, name):
    """Return the titles of the pictures of a user, newest first."""
    scope = Scope(accounts.find_user(gallery, name).id)
    return [picture.title for picture in pictures.page(gallery, scope).pictures]


def test_several_files_become_pictures(anna, gallery):
    """Every file of the form becomes a picture in the chosen album, titled after its file."""
    answer = anna.sends_upload(
        ("Sea.jpg", jpeg()), ("Wood.png", png()), ("Hill.webp", webp()), new_album="Walks"
    )

    (walks,) = [
        album
        for album in albums.list_albums(gallery, accounts.find_user(gallery, "anna"))
        if not album.is_default
    ]
    assert answer.location == f"/albums/{walks.dir}"
    assert walks.title == "Walks"
    assert sorted(titles_of(gallery, "anna")) == ["Hill", "Sea", "Wood"]
    assert "3 pictures have been added." in anna.get(answer.location).text


@pytest.mark.parametrize("missing", range(8))
def test_original_is_kept_wherever_its_form_is_cut(anna, gallery, missing):
    """Bodies arrive in pieces of 64 KiB, and where such a piece ends within a form's last line, no byte is added."""
    head = (
        f'--cut\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n{anna.token()}\r\n'
        '--cut\r\nContent-Disposition: form-data; name="files"; filename="sea.jpg"\r\n\r\n'
    ).encode()
    end = b"\r\n--cut--\r\n"
    image = jpeg()
    # A JPEG may be followed by anything.
    image += b"x" * (65536 - len(head) - len(image) - len(end) + missing)

    answer = anna.flask.post(
        "/upload", data=head + image + end, content_type="multipart/form-data; boundary=cut"
    )

    assert answer.status_code == 303
    assert gallery.store.load(gallery.models.picture.get().original_id) == image


def test_original_is_kept_byte_for_byte(anna, gallery):
    """What was uploaded is what the store gives back."""
    data = photo(orientation=6)

    anna.sends_upload(("a.jpg", data))

    (picture,) = gallery.models.picture.select()
    assert gallery.store.load(picture.original_id) == data
    shown = pictures.view(gallery, picture)
    assert (shown.width, shown.height, shown.format, shown.size) == (1200, 1600, "jpg", len(data))


def test_a_motion_photo_is_kept_byte_for_byte(anna, gallery):
    """A photo with a film behind it, as phones take them, is kept whole; the bytes of the film are not judged."""
    data = motion_photo(photo(), 6 * 2**20)

    answer = anna.sends_upload(("a.jpg", data))

    (picture,) = gallery.models.picture.select()
    assert answer.status_code == 303
    assert gallery.store.load(picture.original_id) == data


def test_every_file_is_inspected_and_decoded_once(anna, monkeypatch):
    """However many images are made of a file, its bytes are walked through and decoded once."""
    counted = Counter()

    def count(module, name):
        usual = getattr(module, name)

        def counting(*rest, **named):
            counted[name] += 1
            return usual(*rest, **named)

        monkeypatch.setattr(module, name, counting)

    count(formats, "inspect")
    count(jpeg_structure, "end_of_picture")
    count(pictures, "decode")
    count(decoding, "open_image")

    assert anna.sends_upload(("a.jpg", jpeg()), ("b.jpg", photo())).status_code == 303
    assert counted == {"inspect": 2, "end_of_picture": 2, "decode": 2, "open_image": 2}


def test_thumbnail_is_its_own_image(anna, gallery):
    """A thumbnail is another encrypted image, upright, within the configured box."""
    anna.sends_upload(("a.jpg", photo(orientation=6)))

    (picture,) = gallery.models.picture.select()
    assert picture.thumbnail_id != picture.original_id
    assert pixels(gallery.store.load(picture.thumbnail_id)).size == (384, 512)


def test_image_ids_lie_in_the_album(anna, gallery):
    """An album is the namespace of the images uploaded into it, and its name says nothing of its title."""
    anna.sends_upload(("a.jpg", jpeg()), new_album="Walks")

    (picture,) = gallery.models.picture.select()
    assert picture.original_id.startswith(f"{picture.album_id}:")
    assert "walks" not in picture.album_id


@pytest.mark.parametrize(
    ("data", "words"),
    (
        (b"", "The file is empty."),
        (b"just text", "This is not an image we know (PNG, WEBP or JPEG)."),
        (gif(), "GIF images are not accepted here"),
        (jpeg(size_kb=4)[:-200], "truncated"),
        (pixel_bomb(), "megapixels"),
        (png(size_kb=4).replace(b"IHDR", b"IHDX"), "damaged"),
    ),
    ids=("empty", "text", "gif", "truncated", "bomb", "damaged"),
)
def test_refused_file_does_not_stop_the_others(anna, gallery, data, words):
    """A file that is refused is named with its reason, and the other files are kept."""
    answer = anna.sends_upload(("one.jpg", jpeg()), ("bad <b>.jpg", data), ("two.jpg", jpeg(seed=2)))

    assert answer.status_code == 200
    assert "2 added, 1 refused" in answer.text
    assert "bad &lt;b&gt;.jpg" in answer.text
    assert words in answer.text
    assert sorted(titles_of(gallery, "anna")) == ["one", "two"]


def test_nothing_kept_is_422(anna, gallery):
    """A form of which nothing could be kept is not accepted, and leaves no image behind."""
    answer = anna.sends_upload(("bad.jpg", b"just text"))

    assert answer.status_code == 422
    assert gallery.store.parts.models.image.select().count() == 0


def test_damage_that_only_decoding_finds_is_refused(anna, gallery):
    """An image whose structure is whole, but whose pixels cannot be decoded, is refused."""
    data = bytearray(png(size_kb=4))
    at = data.index(b"IDAT") + 4
    length = int.from_bytes(data[at - 8 : at - 4], "big")
    data[at : at + length] = bytes(length)
    data[at + length : at + length + 4] = zlib.crc32(data[at - 4 : at + length]).to_bytes(4, "big")

    answer = anna.sends_upload(("bad.png", bytes(data)))

    assert "damaged and cannot be read" in answer.text
    assert gallery.store.parts.models.image.select().count() == 0


def test_no_file_chosen_is_said(anna):
    """A form without a file says what is missing."""
    answer = anna.post("/upload", {"album": ""})

    assert answer.status_code == 422
    assert "Please choose at least one picture." in answer.text


def test_too_long_album_title_is_said_before_anything_is_kept(anna, gallery):
    """The whole form is refused where it names no possible album."""
    answer = anna.sends_upload(("a.jpg", jpeg()), new_album="x" * 200)

    assert "The title is too long" in answer.text
    assert titles_of(gallery, "anna") == []


def test_new_album_is_made_once(anna, gallery):
    """Files sent one by one with the same new title land in one album."""
    for number in range(3):
        anna.sends_upload((f"{number}.jpg", jpeg(seed=number)), new_album="Walks", htmx=True)

    assert gallery.models.album.select().count() == 2  # and the default one


def test_fragment_for_the_script(anna):
    """The answer to a script holds the results alone, the same partial as the page."""
    answer = anna.sends_upload(("one.jpg", jpeg()), ("bad.txt", b"x"), htmx=True)

    assert answer.text.lstrip().startswith("<li")
    assert answer.text.count('class="result') >= 2
    assert "<html" not in answer.text


def test_file_larger_than_an_image_may_be_is_refused_alone(config):
    """A file beyond the largest image is refused by name; smaller ones beside it are kept."""
    app = create_app(Config(data_dir=config.data_dir, max_image_bytes=2000))
    with app.extensions["pixstore"].connected():
        accounts.create_user(app.extensions["pixstore.gallery"], "anna", PASSWORD)
    visitor = GalleryClient(app).logs_in("anna")

    answer = visitor.sends_upload(("large.png", png(size_kb=8)), ("small.jpg", jpeg()))

    assert "1 added, 1 refused" in answer.text
    assert "more than the" in answer.text
    app.extensions["pixstore"].close()


def test_form_larger_than_allowed_is_413(config):
    """The form as a whole has a bound, too."""
    app = create_app(Config(data_dir=config.data_dir, max_upload_bytes=100_000))
    with app.extensions["pixstore"].connected():
        accounts.create_user(app.extensions["pixstore.gallery"], "anna", PASSWORD)
    visitor = GalleryClient(app).logs_in("anna")

    answer = visitor.sends_upload(*((f"{number}.png", png(size_kb=40, seed=number)) for number in range(5)))

    assert answer.status_code == 413
    assert "larger than allowed" in answer.text
    app.extensions["pixstore"].close()


def test_other_forms_are_small(anna):
    """A form without files may not be large, however it is encoded."""
    large = {"title": "x" * 100_000}

    assert anna.post("/albums", large).status_code == 413
    assert anna.flask.post("/albums", data=large, content_type="multipart/form-data").status_code == 413


def test_large_body_of_a_stranger_is_not_read(stranger):
    """Who is not logged in is turned away before the body is looked at."""
    body = io.BytesIO(b"x" * 1_000_000)

    answer = stranger.flask.post(
        "/upload", input_stream=body, content_length=1_000_000, content_type="image/png"
    )

    assert answer.status_code == 303
    assert body.tell() == 0


def test_uploads_never_touch_the_disk_unsealed(anna, monkeypatch):
    """No temporary file is made of a large file, but for the sealed one of ``test_intake``."""

    def refuse(*args, **kwargs):
        raise AssertionError("a temporary file was made")

    for name in ("TemporaryFile", "SpooledTemporaryFile", "NamedTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    monkeypatch.setattr("werkzeug.formparser.SpooledTemporaryFile", refuse)

    assert anna.sends_upload(("large.png", png(width=600, height=400, size_kb=1500))).status_code == 303


@pytest.mark.parametrize(
    ("error", "status", "words"),
    (
        (StorageFull("no room"), 507, "no space left"),
        (DatabaseUnavailable("busy"), 503, "not available"),
    ),
    ids=("full", "busy"),
)
def test_storage_trouble_is_told_per_file(anna, monkeypatch, error, status, words):
    """Where the storage fails, each file says so, and the status too if none was kept."""

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(type(anna.app.extensions["pixstore"].parts.blobs), "put", fail)

    answer = anna.sends_upload(("a.jpg", jpeg()))

    assert answer.status_code == status
    assert words in answer.text


def test_original_thumbnail_and_row_come_together(anna, gallery, monkeypatch):
    """If the row cannot be written, neither image is there."""

    def fail(*args, **kwargs):
        raise RuntimeError("in the middle")

    monkeypatch.setattr(gallery.models.picture, "save", fail)
    anna.app.config["PROPAGATE_EXCEPTIONS"] = False

    assert anna.sends_upload(("a.jpg", jpeg())).status_code == 500
    assert gallery.store.parts.models.image.select().count() == 0
    assert list(gallery.store.parts.blobs.blobs()) == []


@pytest.mark.parametrize(
    ("name", "title"),
    (
        ("sea.jpg", "sea"),
        ("C:\\Users\\anna\\sea at night.jpg", "sea at night"),
        ("/home/anna/sea.tar.gz", "sea.tar"),
        ("../../etc/passwd", "passwd"),
        ("a\u202egpj.exe", "agpj"),
        ("line\nbreak\x00.jpg", "line break"),
        (".jpg", "jpg"),
        ("...", "Untitled"),
        ("x" * 500 + ".jpg", "x" * 120),
        ("\u00e9t\u00e9.jpg", "\u00e9t\u00e9"),
        ("e\u0301te\u0301.jpg", "\u00e9t\u00e9"),
    ),
    ids=ascii,
)
def test_title_comes_from_the_file_name(name, title):
    """A title is the file's name without folders, extension and invisible trouble."""
    assert title_of_file(name) == title


def test_album_deleted_meanwhile(anna, gallery, monkeypatch):
    """A picture for an album that is deleted while it is being stored is refused, and leaves nothing."""
    user = accounts.find_user(gallery, "anna")
    album = albums.create_album(gallery, user, "Walks")
    row = gallery.models.album
    row.delete().where(row.dir == album.dir).execute()

    with pytest.raises(albums.NotThere):
        pictures.add_picture(gallery, user, album, jpeg(), file_name="a.jpg")
    assert gallery.store.parts.models.image.select().count() == 0


def test_picture_with_transparency(anna, gallery):
    """The thumbnail of a transparent picture is transparent."""
    anna.sends_upload(("a.png", png(alpha=True)))

    (picture,) = gallery.models.picture.select()
    thumbnail = Image.open(io.BytesIO(gallery.store.load(picture.thumbnail_id)))
    assert (thumbnail.format, thumbnail.mode) == ("WEBP", "RGBA")


def test_nothing_readable_in_the_data_directory(anna, config):
    """After uploads no file of the data directory holds an image's beginning, a title or a file name."""
    anna.sends_upload(
        ("Grandmother in hospital.jpg", jpeg(size_kb=20)), ("b.png", png()), new_album="Diagnosis 2026"
    )

    forbidden = (b"\xff\xd8\xff\xe0", b"\x89PNG", b"JFIF", b"Grandmother", b"hospital", b"Diagnosis")
    for path in config.data_dir.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert not [text for text in forbidden if text in content], path
