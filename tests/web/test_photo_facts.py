"""What is read from the metadata of photos, whoever wrote it, and where it is kept."""

import json
import math
import struct
from dataclasses import asdict, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL.ExifTags import GPS, IFD, Base

from pixstore import formats
from pixstore.formats import ImageLimits
from pixstore.gallery import accounts, pictures
from pixstore.gallery.photo_facts import MAX_TEXT, PhotoFacts
from pixstore.gallery.thumbnails import decode
from tests.images import jpeg
from tests.web import exif
from tests.web.exif import byte, double, place, pointer, rational, short, signed, taken, text

EVERYTHING = ImageLimits(formats=("png", "webp", "jpg", "jpeg", "avif", "tiff"))
MAY_2024 = 1_714_979_289_000
"""7:08:09 on 6 May 2024, in ms since 1970."""

CAMERA = [text(Base.Make, "NIKON CORPORATION"), text(Base.Model, "NIKON Z 6_2")]
TAKEN = [
    text(Base.DateTimeOriginal, "2024:05:06 07:08:09"),
    text(Base.OffsetTimeOriginal, "-03:30"),
    rational(Base.ExposureTime, (1, 200)),
    rational(Base.FNumber, (28, 10)),
    short(Base.ISOSpeedRatings, 400),
    rational(Base.FocalLength, (35, 1)),
    text(Base.LensModel, "NIKKOR Z 35mm f/1.8 S"),
]
LATITUDE_AND_LONGITUDE = (GPS.GPSLatitude, GPS.GPSLongitude)
SYDNEY = ((33, 51, 3120), "S", (151, 12, 4000), "E")
pillow_may_warn = pytest.mark.filterwarnings("ignore::UserWarning:PIL")
"""For broken metadata: as an error, the warning would keep the rest from being tried."""


def facts_of(data):
    """Return what the photo *data* says."""
    return decode(formats.inspect(data, EVERYTHING), max_pixels=1000, box=100).facts


# --- what cameras write


@pytest.mark.parametrize("image_format", ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"))
def test_everything_is_read(image_format):
    """Date, camera, lens, exposure and place are read, from whatever format has them."""
    data = exif.photo(base=CAMERA, photo=TAKEN, gps=place(*SYDNEY), image_format=image_format)

    assert facts_of(data) == PhotoFacts(
        taken_at=MAY_2024,
        utc_offset=-210,
        camera="NIKON Z 6_2",
        lens="NIKKOR Z 35mm f/1.8 S",
        exposure_time=0.005,
        f_number=2.8,
        iso=400,
        focal_length=35.0,
        latitude=-33.858667,
        longitude=151.211111,
    )


@pytest.mark.parametrize(
    ("where", "expected"),
    (
        (((60, 10, 0), "N", (24, 56, 0), "E"), (60.166667, 24.933333)),
        (((33, 51, 3120), "S", (151, 12, 4000), "E"), (-33.858667, 151.211111)),
        (((22, 54, 3000), "S", (43, 12, 0), "W"), (-22.908333, -43.2)),
        (((90, 0, 0), "N", (180, 0, 0), "W"), (90.0, -180.0)),
    ),
    ids=("north east", "south east", "south west", "edge"),
)
def test_place(where, expected):
    """South and west are negative, and the ends of the earth belong to it."""
    facts = facts_of(exif.photo(gps=place(*where)))

    assert (facts.latitude, facts.longitude) == expected


@pytest.mark.parametrize(
    ("reference", "expected"),
    ((byte(GPS.GPSAltitudeRef, 0), 430.5), (byte(GPS.GPSAltitudeRef, 1), -430.5)),
    ids=("above", "below"),
)
def test_altitude(reference, expected):
    """A place below the sea, as at the Dead Sea, has a negative altitude."""
    gps = place((31, 30, 0), "N", (35, 28, 0), "E", reference, rational(GPS.GPSAltitude, (4305, 10)))

    assert facts_of(exif.photo(gps=gps)).altitude == expected


@pytest.mark.parametrize(
    ("entries", "camera"),
    (
        ((text(Base.Make, "Canon"), text(Base.Model, "Canon EOS R5")), "Canon EOS R5"),
        ((text(Base.Make, "Apple"), text(Base.Model, "iPhone 15")), "Apple iPhone 15"),
        ((text(Base.Make, "Holga"),), "Holga"),
        ((text(Base.Model, "iPhone 15"),), "iPhone 15"),
        ((text(Base.Make, "  "), text(Base.Model, " EOS\x07\n R5  \0 more")), "EOS R5"),
    ),
    ids=("repeated", "both", "maker", "model", "unclean"),
)
def test_camera(entries, camera):
    """A camera is called by maker and model, the maker once, without what cannot be printed."""
    assert facts_of(exif.photo(base=entries)).camera == camera


def test_digitized_date_stands_in():
    """A scan, which has no other date, was taken when it was scanned."""
    entries = [text(Base.DateTimeDigitized, "2024:05:06 07:08:09")]

    assert facts_of(exif.photo(photo=entries)).taken_at == MAY_2024


def test_first_of_several_sensitivities():
    """Where a camera lists several sensitivities, the first counts."""
    assert facts_of(exif.photo(photo=[short(Base.ISOSpeedRatings, 200, 0, 0)])).iso == 200


@pytest.mark.parametrize(
    "facts",
    (PhotoFacts(), PhotoFacts(taken_at=0, camera="\u00c9tude", latitude=-0.5, longitude=0.0, altitude=-1.5)),
    ids=("none", "some"),
)
def test_facts_survive_being_kept(facts):
    """What is written of facts reads as the same facts, those of a later release left out."""
    kept = json.loads(facts.to_json())

    assert PhotoFacts.from_json(json.dumps(kept)) == facts
    assert PhotoFacts.from_json(json.dumps({**kept, "weather": "rain"})) == facts


# --- what somebody else may have written


NONSENSE = {
    "nothing by nothing": {"photo": [rational(Base.ExposureTime, (0, 0)), rational(Base.FNumber, (0, 0))]},
    "by nothing": {"photo": [rational(Base.ExposureTime, (1, 0)), rational(Base.FocalLength, (5, 0))]},
    "not a number": {"photo": [double(Base.ExposureTime, math.nan), double(Base.FNumber, math.inf)]},
    "nothing": {"photo": [rational(Base.ExposureTime, (0, 1)), short(Base.ISOSpeedRatings, 0)]},
    "negative": {"photo": [signed(Base.ExposureTime, (-1, 200)), signed(Base.FocalLength, (35, -1))]},
    "enormous": {"photo": [rational(tag, (2**32 - 1, 1)) for tag in (Base.ExposureTime, Base.FNumber)]},
    "number as text": {"photo": [text(tag, "7") for tag in (Base.ExposureTime, Base.ISOSpeedRatings)]},
    "none as text": {"photo": [text(tag, "nan") for tag in (Base.ExposureTime, Base.FocalLength)]},
    "date of zeros": {"photo": [text(Base.DateTimeOriginal, "0000:00:00 00:00:00")]},
    "date of blanks": {"photo": [text(Base.DateTimeOriginal, "    :  :     :  :  ")]},
    "no such day": {"photo": [text(Base.DateTimeOriginal, "2024:02:30 00:00:00")]},
    "before photography": {"photo": [text(Base.DateTimeOriginal, "1700:01:01 00:00:00")]},
    "far future": {"photo": [text(Base.DateTimeOriginal, "9999:12:31 23:59:59")]},
    "endless date": {"photo": [text(Base.DateTimeOriginal, "2" * 50_000)]},
    "date as numbers": {"photo": [short(Base.DateTimeOriginal, 2024), short(Base.LensModel, 1, 2, 3)]},
    "date as fraction": {"photo": [rational(Base.DateTimeOriginal, (2024, 1))]},
    "offset beyond a day": {"photo": [text(Base.OffsetTimeOriginal, "+99:00")]},
    "endless offset": {"photo": [text(Base.OffsetTimeOriginal, "+" + "1" * 5000)]},
    "offset as fraction": {"photo": [rational(Base.OffsetTimeOriginal, (0, 0))]},
    "names as numbers": {"base": [rational(Base.Make, (0, 0)), short(Base.Model, 7)]},
    "names of nothing": {"base": [text(Base.Make, ""), text(Base.Model, " \x01\x02\x7f ")]},
    "beyond the pole": {"gps": place((91, 0, 0), "N", (24, 56, 0), "E")},
    "beyond the pole by a second": {"gps": place((89, 59, 6001), "S", (24, 56, 0), "E")},
    "beyond the date line": {"gps": place((60, 10, 0), "N", (181, 0, 0), "W")},
    "far beyond": {"gps": place((60, 10, 0), "N", (2**32 - 1, 0, 0), "W")},
    "zero place": {"gps": place((0, 0, 0), "N", (0, 0, 0), "E")},
    "latitude alone": {"gps": place((60, 10, 0), "N", (24, 56, 0), "E")[:2]},
    "longitude alone": {"gps": place((60, 10, 0), "N", (24, 56, 0), "E")[2:]},
    "place by nothing": {"gps": [rational(tag, (1, 0), (0, 0), (1, 1)) for tag in LATITUDE_AND_LONGITUDE]},
    "place not a number": {"gps": [double(tag, 1, math.nan, math.inf) for tag in LATITUDE_AND_LONGITUDE]},
    "negative place": {"gps": [signed(tag, (-10, 1), (0, 1), (0, 1)) for tag in LATITUDE_AND_LONGITUDE]},
    "place of many parts": {"gps": [rational(tag, *[(1, 1)] * 500) for tag in LATITUDE_AND_LONGITUDE]},
    "place as text": {"gps": [text(tag, "60,10.0N") for tag in LATITUDE_AND_LONGITUDE]},
    "altitude alone": {"gps": [rational(GPS.GPSAltitude, (100, 1))]},
    "directory as text": {"base": [text(IFD.Exif, "elsewhere"), rational(IFD.GPSInfo, (1, 0))]},
    "directory in itself": {"base": [pointer(tag, 8) for tag in (IFD.Exif, IFD.GPSInfo)]},
    "directory far away": {"base": [pointer(tag, 2**32 - 1) for tag in (IFD.Exif, IFD.GPSInfo)]},
    "text far away": {"base": [exif.Entry(Base.Model, 2, 2**31, b"\xff" * 4)]},
}


@pillow_may_warn
@pytest.mark.parametrize("entries", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_says_nothing(entries):
    """A value that cannot be is left out, whatever is wrong with it, and the photo is taken as it is."""
    assert facts_of(exif.photo(**entries)) == PhotoFacts()


@pillow_may_warn
@pytest.mark.parametrize(
    "data",
    (
        b"",
        b"II*\0",
        b"XX*\0\x08\0\0\0",
        b"II*\0" + b"\xff" * 4,
        b"II*\0\x08\0\0\0\xff\xff",
        b"MM\0*\0\0\0\x08" + b"\xff" * 60,
        bytes(500),
    ),
    ids=repr,
)
def test_broken_metadata_says_nothing(data):
    """Metadata that is none at all does not stop its photo."""
    assert facts_of(exif.with_exif(data)) == PhotoFacts()


def test_nonsense_does_not_hide_the_rest():
    """Beside a value that cannot be, the others count."""
    entries = [*TAKEN[:1], rational(Base.ExposureTime, (1, 0)), text(Base.OffsetTimeOriginal, "noon")]

    facts = facts_of(exif.photo(base=CAMERA, photo=entries, gps=place((91, 0, 0), "N", (0, 0, 0), "E")))

    assert facts == PhotoFacts(taken_at=MAY_2024, camera="NIKON Z 6_2")


def test_endless_text_is_cut():
    """However long the name of a camera or a lens is, so much of it is kept and no more."""
    endless = "x" * 20_000
    base = [text(Base.Make, endless), text(Base.Model, endless.upper())]

    facts = facts_of(exif.photo(base=base, photo=[text(Base.LensModel, endless)]))

    assert len(facts.camera) <= MAX_TEXT
    assert facts.lens == "x" * MAX_TEXT


@pillow_may_warn
@given(st.data())
def test_any_damage_leaves_facts_that_can_be(data):
    """Whichever bytes of the metadata are others, nothing is raised, and what is said is of the right kind and finite."""
    sound = bytearray(exif.exif(base=CAMERA, photo=TAKEN, gps=place(*SYDNEY)))
    for place_of, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(sound) - 1), st.integers(0, 255)), min_size=1, max_size=8)
    ):
        sound[place_of] = value

    facts = facts_of(exif.with_exif(bytes(sound)))

    kinds = {field.name: field.type for field in fields(facts)}
    said = {name: value for name, value in asdict(facts).items() if value is not None}
    assert all(isinstance(value, kinds[name]) for name, value in said.items())
    assert all(math.isfinite(value) for value in said.values() if not isinstance(value, str))
    assert PhotoFacts.from_json(facts.to_json()) == facts


# --- what becomes of it


def test_page_says_when_the_photo_was_taken(anna, add_pictures):
    """The page of a picture has the date by the clock of the camera, and none where the file has none."""
    (dated,) = add_pictures("anna", data=taken("2024:05:06 23:59:59"))
    (undated,) = add_pictures("anna")

    page, other = (anna.get(f"/pictures/{picture.id}").text for picture in (dated, undated))

    assert '<dt>Taken</dt><dd><time datetime="2024-05-06T23:59:59">6 May 2024</time>' in page
    assert "<dt>Taken</dt>" not in other


def test_facts_are_kept_with_the_picture(anna, gallery):
    """An upload keeps what its file says, and counts as taken at that time."""
    anna.uploads(("sea.jpg", exif.photo(base=CAMERA, photo=TAKEN, gps=place(*SYDNEY))))

    (picture,) = gallery.models.picture.select()
    facts = pictures.facts_of(gallery, picture)
    assert picture.taken_at == facts.taken_at == MAY_2024
    assert (facts.camera, facts.latitude) == ("NIKON Z 6_2", -33.858667)


def test_photo_without_a_date_was_taken_when_it_was_added(anna, add_pictures):
    """Where the file does not say when, the time it came stands for it."""
    (picture,) = add_pictures("anna", data=exif.photo(base=CAMERA))

    assert picture.taken_at == picture.created_at


@pillow_may_warn
def test_broken_metadata_does_not_stop_an_upload(anna, gallery):
    """A photo with metadata that is none is kept like any other."""
    anna.uploads(("sea.jpg", exif.with_exif(b"MM\0*" + b"\xff" * 60)))

    (picture,) = gallery.models.picture.select()
    assert picture.taken_at == picture.created_at
    assert pictures.facts_of(gallery, picture) == PhotoFacts()


@pytest.mark.parametrize("image_format", ("JPEG", "PNG"))
def test_nothing_but_the_date_stands_readable_in_the_database(anna, gallery, config, image_format):
    """Camera, lens and place are sealed: no file of the database holds them, while the date can be sorted by."""
    data = exif.photo(base=CAMERA, photo=TAKEN, gps=place(*SYDNEY), image_format=image_format)
    assert all(words in data for words in (b"NIKON", b"NIKKOR"))

    anna.uploads(("sea.jpg", data))

    held = b"".join(path.read_bytes() for path in config.data_dir.glob("pixstore.sqlite*"))
    sought = (b"NIKON", b"NIKKOR", b"-33.8586", b"151.2111", b"latitude", struct.pack(">d", -33.858667))
    assert not [words for words in sought if words in held]
    assert struct.pack(">q", MAY_2024).lstrip(b"\0") in held


def test_facts_open_in_their_own_row_only(anna, gallery, add_pictures):
    """The facts of one photo, moved to the row of another, do not open."""
    first, second = add_pictures("anna", 2)
    row = gallery.models.picture
    row.update(facts_sealed=first.facts_sealed).where(row.id == second.id).execute()
    anna.app.config["PROPAGATE_EXCEPTIONS"] = False

    assert anna.get(f"/pictures/{first.id}").status_code == 200
    assert anna.get(f"/pictures/{second.id}").status_code == 500


@pytest.mark.parametrize("has_date", (True, False), ids=("dated", "undated"))
def test_replacement_brings_its_own_date(anna, gallery, add_pictures, reload_picture, has_date):
    """Nothing of the replaced photo's facts is left: the date is the new file's, or the time the picture was added."""
    (picture,) = add_pictures("anna", data=exif.photo(base=CAMERA, photo=TAKEN, gps=place(*SYDNEY)))
    data = taken("2025:01:02 03:04:05", camera="Holga") if has_date else jpeg(seed=7)

    anna.replaces(picture.id, ("new.jpg", data))

    replaced = reload_picture(picture)
    expected = PhotoFacts(taken_at=1_735_787_045_000, camera="Holga") if has_date else PhotoFacts()
    assert pictures.facts_of(gallery, replaced) == expected
    assert replaced.taken_at == (expected.taken_at if has_date else picture.created_at)
    assert ("2 January 2025" in anna.get(f"/pictures/{picture.id}").text) is has_date


def test_facts_of_somebody_else_are_not_told(anna, ben, gallery, add_pictures):
    """Another user's photo tells no date, as it tells nothing."""
    (picture,) = add_pictures("anna", data=taken("2024:05:06 07:08:09"))

    answer = ben.get(f"/pictures/{picture.id}")

    assert answer.status_code == 404
    assert "2024" not in answer.text
    assert accounts.find_user(gallery, "ben").id != picture.user_id
