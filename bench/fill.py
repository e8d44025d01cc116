"""
Make many rows in a moment, for the bench: one program for each kind, started as a child because a store needs its own process.

    python fill.py '{"what": "images", "directory", "count"}'     rows of a store, each with a wrapped key that opens
    python fill.py '{"what": "npm", "directory", "count"}'        as many rows of npm's database, copied from one it has made
    python fill.py '{"what": "pictures", "directory", "count"}'   a gallery of one account with so many pictures

Prints {"ids"} of some of the images, chosen at random. The sealed files are missing: a look-up, a page and a start read none.
"""

import itertools
import json
import random
import secrets
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pixstore.config import Config
from pixstore.gallery import Gallery, accounts, albums, descriptions, pictures
from pixstore.gallery.descriptions import Description
from pixstore.gallery.photo_facts import PhotoFacts
from pixstore.ids import new_blob_id, new_image_id, new_key
from pixstore.models import ImageRow
from pixstore.store import ImageStore

IDS_SHOWN = 2000
ACCOUNT, PASSWORD = "bench", "correct horse battery"
_PORTION = 10_000


def images(directory: str, count: int) -> list[str]:
    """Add *count* rows to the store in *directory*."""
    store = ImageStore.open(Config.from_env(None, data_dir=directory))
    image_ids = [new_image_id() for _ in range(count)]
    _insert(store, "image", (_row(store, image_id) for image_id in image_ids))
    store.close()
    return image_ids


def pictures_of_one(directory: str, count: int) -> list[str]:
    """Make an account with *count* pictures in its album, a minute apart."""
    store = ImageStore.open(Config.from_env(None, data_dir=directory))
    gallery = Gallery.open(store)
    with store.connected():
        user = accounts.create_user(gallery, ACCOUNT, PASSWORD)
        album = albums.default_album(gallery, user)
    ids = [(new_key(), new_image_id(album.dir), new_image_id(album.dir)) for _ in range(count)]
    every_image = [image_id for _, *both in ids for image_id in both]
    _insert(store, "image", (_row(store, image_id) for image_id in every_image))
    shared = {"user_id": user.id, "album_id": album.dir}

    def rows() -> Iterator[Mapping[str, Any]]:
        for number, (picture_id, original, thumbnail) in enumerate(ids):
            at = 1_700_000_000_000 + number * 60_000
            description = Description(f"Picture {number}", "jpg", 4000, 3000, 2_000_000)
            yield {
                "id": picture_id,
                **shared,
                "original_id": original,
                "thumbnail_id": thumbnail,
                "created_at": at,
                "updated_at": at,
                **pictures.photo_columns(gallery, picture_id, PhotoFacts(), added_at=at),
                **descriptions.columns(gallery, description, picture_id=picture_id),
            }

    _insert(store, "gallery_picture", rows())
    store.close()
    return every_image


def npm(directory: str, count: int) -> list[str]:
    """Add *count* rows to the database that npm's package has made in *directory*, with one image."""
    connection = sqlite3.connect(Path(directory) / "images.sqlite")
    token, meta = connection.execute("SELECT token, meta FROM image_records").fetchone()
    image_ids = [secrets.token_hex(16) for _ in range(count)]
    with connection:
        connection.executemany(
            "INSERT INTO image_records (id, token, meta) VALUES (?, ?, ?)",
            ((image_id, token, meta) for image_id in image_ids),
        )
    connection.close()
    return image_ids


def _row(store: ImageStore, image_id: str) -> dict[str, Any]:
    keyring, blob_id, now = store.parts.keyring.latest(), new_blob_id(), store.now()
    return ImageRow(
        id=image_id,
        token=now,
        format="jpg",
        size=10_000,
        blob_id=blob_id,
        payload_offset=400,
        payload_size=10_001,
        store_key_id=keyring.active,
        wrapped_key=keyring.wrap_key(secrets.token_bytes(32), image_id=image_id, blob_id=blob_id),
        iv=secrets.token_bytes(12),
        tag=secrets.token_bytes(16),
        written_at=now,
    )._asdict()


def _insert(store: ImageStore, table: str, rows: Iterator[Mapping[str, Any]]) -> None:
    """Insert plain values, past the models: they would take minutes."""
    with store.connected():
        connection = store.database.connection()
        while portion := list(itertools.islice(rows, _PORTION)):
            names = list(portion[0])
            places = ", ".join("?" * len(names))
            with store.database.atomic():
                connection.executemany(
                    f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})",
                    [tuple(row[name] for name in names) for row in portion],
                )


_KINDS: dict[str, Callable[[str, int], list[str]]] = {
    "images": images,
    "npm": npm,
    "pictures": pictures_of_one,
}


def main() -> None:
    """Make the rows."""
    given = json.loads(sys.argv[1])
    image_ids = _KINDS[given["what"]](given["directory"], given["count"])
    print(json.dumps({"ids": random.sample(image_ids, min(IDS_SHOWN, len(image_ids)))}))


if __name__ == "__main__":
    main()
