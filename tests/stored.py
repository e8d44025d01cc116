"""What lies in a store: its rows, its blobs and their files. ``stored.blob_ids(store)`` reads well, so import the module."""


def row(store, image_id):
    """Return the row of an image."""
    with store.connected():
        return store.parts.models.image.get_by_id(image_id)


def change_row(store, image_id, **fields):
    """Write other values into the row of an image."""
    image = store.parts.models.image
    with store.connected():
        image.update(fields).where(image.id == image_id).execute()


def count_rows(store):
    """Return how many images have a row."""
    with store.connected():
        return store.parts.models.image.select().count()


def blob_ids(store):
    """Return the ids of all blobs."""
    return {info.blob_id for info in store.parts.blobs.blobs()}


def blob_file(store, image_id):
    """Return the file of an image's blob."""
    return file_of_blob(store, row(store, image_id).blob_id)


def file_of_blob(store, blob_id):
    """Return the file of a blob."""
    return store.config.blobs_path / "objects" / blob_id[:2] / blob_id


def flip_last_bit(path):
    """Alter the last bit of a file."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def lose_database(config):
    """Remove the database of a store that is closed."""
    for path in config.data_dir.glob("pixstore.sqlite*"):
        path.unlink()


def time_of_disk(store):
    """Return the time in ms that the disk gives to new files, by which the age of a blob is told."""
    return store.parts.blobs._objects.stat().st_mtime_ns // 1_000_000
