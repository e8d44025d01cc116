"""Units of work that change very many images at once."""

import sqlite3

from tests.images import png

COUNT = 3000


def test_thousands_of_images_are_deleted_at_once(store):
    """A unit may delete more images than one query of the database takes values."""
    image = store.parts.models.image
    like = image.select().where(image.id == store.save(png()).id).dicts().get()
    ids = [f"image{number:08d}" for number in range(COUNT)]
    with store.connected():
        store.database.connection().setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 2000)
        for number, image_id in enumerate(ids):
            image.create(**{**like, "id": image_id, "blob_id": f"{number:032x}"})

        with store.unit_of_work() as work:
            for image_id in ids:
                work.delete(image_id)

        assert image.select().count() == 1
