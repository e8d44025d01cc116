"""What a page of the gallery asks of the database: the same however many pictures there are, and however far one has gone."""

import pytest

from pixstore.gallery import accounts, albums, descriptions, pictures
from pixstore.gallery.descriptions import Description
from pixstore.gallery.scopes import Scope
from pixstore.ids import new_image_id, new_key
from tests.costs import CostMeter

PAGE_STATEMENTS = 3
"""Who is logged in, the pictures of the page, their records."""
PICTURE_STATEMENTS = 6
"""Who is logged in, the picture, its records, the two beside it, and the albums of its owner."""
ALBUMS_STATEMENTS = 4
"""Who is logged in, the albums with their covers, their sizes, the records of the covers."""
FAR = 10


@pytest.fixture(name="meter", autouse=True)
def _meter():
    """Watch from before the application opens its database."""
    with CostMeter() as meter:
        yield meter


@pytest.fixture(name="add_rows")
def _add_rows(gallery):
    """Return a function that adds pictures of anna without images: a page shows them, and asks for as much."""

    def add_rows(count):
        user = accounts.find_user(gallery, "anna")
        album = albums.default_album(gallery, user)
        with gallery.transaction():
            for number in range(count):
                picture_id, shown = new_key(), Description(f"Picture {number}", "jpg", 4, 3, 100)
                gallery.models.picture.create(
                    id=picture_id,
                    user=user.id,
                    album=album.dir,
                    original_id=new_image_id(album.dir),
                    thumbnail_id=new_image_id(album.dir),
                    created_at=number,
                    updated_at=number,
                    taken_at=number,
                    **descriptions.columns(gallery, shown, picture_id=picture_id),
                )
        return Scope(user.id)

    return add_rows


def statements_of(meter, browser, path):
    """Return what the database is asked for a page."""
    assert browser.get(path).status_code == 200  # keys, templates and statements are kept from now on

    with meter.counted() as costs:
        assert browser.get(path).status_code == 200
    return costs.statements


@pytest.mark.parametrize("count", [1, 500])
def test_a_page_takes_the_same_queries_however_many_pictures_there_are(meter, anna, add_rows, count):
    """The first page of the gallery is read in three statements, with one picture and with hundreds."""
    add_rows(count)

    statements = statements_of(meter, anna, "/")

    assert len(statements) <= PAGE_STATEMENTS, statements


def test_a_far_page_takes_the_same_queries_as_the_first(meter, anna, add_rows, gallery):
    """The tenth page is read in as many statements as the first, and none of them counts its way there."""
    scope = add_rows((FAR + 1) * pictures.PAGE_SIZE)
    place = None
    for _ in range(FAR - 1):
        place = pictures.page(gallery, scope, before=place).next

    statements = statements_of(meter, anna, f"/?before={place}")

    assert len(statements) <= PAGE_STATEMENTS, statements
    assert not any("OFFSET" in statement for statement in statements)


def test_the_page_of_one_picture(meter, anna, add_rows, gallery):
    """The page of one picture is read in a number of statements that does not grow with the others."""
    shown = pictures.page(gallery, add_rows(100), size=50).pictures[-1]

    statements = statements_of(meter, anna, f"/pictures/{shown.id}")

    assert len(statements) <= PICTURE_STATEMENTS, statements


@pytest.mark.parametrize("count", [1, 20])
def test_the_page_of_albums(meter, anna, add_pictures, gallery, count):
    """The albums and their covers are read in four statements, however many there are."""
    user = accounts.find_user(gallery, "anna")
    for number in range(count):
        add_pictures("anna", album=albums.create_album(gallery, user, f"Album {number}"))

    statements = statements_of(meter, anna, "/albums")

    assert len(statements) <= ALBUMS_STATEMENTS, statements
