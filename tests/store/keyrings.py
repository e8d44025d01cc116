"""What is there of a keyring: its row, its store keys, its copies beside the blobs."""


def row_of(store):
    """Return the row."""
    with store.connected():
        return store.parts.models.keyring.get()


def keys_of(store):
    """Return the ids of the store keys that an open store knows."""
    return store.parts.keyring.latest().store_keys.keys()


def copies_of(config):
    """Return the copies by name."""
    return {path.name: path.read_bytes() for path in (config.blobs_path / "keyring").iterdir()}


def lose_database(config):
    """Remove the database."""
    for path in config.sqlite_path.parent.glob(f"{config.sqlite_path.name}*"):
        path.unlink()
