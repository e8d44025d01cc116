"""
New keys for old: master key, store key, and the images under old store keys. Imports ``store`` and what it imports.

    rotate_master      a new master key wraps the keyring; no image and no database row changes
    rotate_store_key   a new store key for new versions of images
    re_encrypt         every image under an older store key gets a new version under the active one
    rotate_service     ends every session and every proof
"""

import secrets
from collections.abc import Callable
from typing import NamedTuple

from pixstore.crypto import KEY_SIZE
from pixstore.errors import BlobNotFound, ImageNotFound, PixstoreError
from pixstore.keyring import Keyring
from pixstore.keyring_files import (
    commit_master_key,
    keyring_lock,
    load_keyring,
    prepare_master_key,
    read_master_key,
    write_keyring,
)
from pixstore.models import Image
from pixstore.store import ImageStore

BATCH = 100
RETIREMENT = 60 * 60_000
"""Age in ms of the active store key before older ones are dropped: no write that began under one lasts this long."""

Progress = Callable[[int, int], object]


class ReencryptReport(NamedTuple):
    """How many images and texts moved, which images could not, and the store keys that were dropped."""

    images: int
    texts: int
    failed: dict[str, str]
    dropped_keys: list[str]


def rotate_master(store: ImageStore, new_master_key: bytes | None = None) -> None:
    """
    Wrap the keyring by a new master key.

    Without *new_master_key* a random one is made and takes the place of the old one in its file. Where the master key
    comes from the environment, give the new one and set it there afterwards.

    Raises:
        PixstoreError: If the master key comes from the environment and no new one is given.
    """
    config = store.config
    if config.master_key is not None and new_master_key is None:
        raise PixstoreError("the master key comes from PIXSTORE_MASTER_KEY: give the new one")
    new = secrets.token_bytes(KEY_SIZE) if new_master_key is None else new_master_key
    with keyring_lock(config):
        keyring = load_keyring(config, store.blobs)
        if config.master_key is None:
            prepare_master_key(config, new)
        write_keyring(config, store.blobs, keyring, new)
        if config.master_key is None:
            commit_master_key(config)


def rotate_store_key(store: ImageStore) -> str:
    """Add a store key and make it the active one; return its id. Running servers take it up at their next write."""
    keyring = _change_keyring(store, lambda keyring: keyring.with_new_store_key(now=store.now()))
    return keyring.active


def rotate_service_secret(store: ImageStore) -> None:
    """End every session and every proof, once the servers are restarted."""
    _change_keyring(store, lambda keyring: keyring.with_new_service_secret(now=store.now()))


def re_encrypt(
    store: ImageStore,
    *,
    texts: Callable[[ImageStore], int] | None = None,
    progress: Progress = lambda _done, _total: None,
) -> ReencryptReport:
    """
    Give every image under an older store key a new key, IV and blob under the active one; then drop the older keys.

    The server may run meanwhile; run again after an interruption, it goes on. *texts* seals the caller's own texts anew
    and returns how many; without it, older keys are kept, for texts may need them. They stay for an hour after the
    rotation in any case.
    """
    active = store.current_keyring().active
    image = store.models.image
    is_old = image.store_key_id != active
    with store.connected():
        total = image.select().where(is_old).count()
    moved, failed, after = 0, dict[str, str](), ""
    while rows := _rows_after(store, active, after):
        for row in rows:
            try:
                moved += _move(store, row.id)
            except ImageNotFound:
                pass  # deleted meanwhile
            except PixstoreError as error:
                failed[row.id] = str(error)
            progress(moved + len(failed), total)
        after = rows[-1].id
    if texts is None:
        return ReencryptReport(moved, 0, failed, [])
    return ReencryptReport(moved, texts(store), failed, _drop_old_keys(store))


def _rows_after(store: ImageStore, active: str, after: str) -> list[Image]:
    image = store.models.image
    with store.connected():
        query = image.select().where((image.store_key_id != active) & (image.id > after))
        return list(query.order_by(image.id).limit(BATCH))


def _move(store: ImageStore, image_id: str) -> bool:
    """Write a new version of the image with the same content; an update that comes meanwhile is tried again after."""
    while True:
        try:
            with store.unit_of_work() as work:
                blob_id = work.reseal(image_id)
        except BlobNotFound as missing:
            row = store.rows([image_id]).get(image_id)
            if row is not None and row.blob_id == missing.name:
                raise
            continue  # it was replaced or deleted, and removed, before it could be read
        if blob_id is None:
            return False
        if work.records:
            return True


def _drop_old_keys(store: ImageStore) -> list[str]:
    keyring = store.current_keyring()
    active = keyring.store_keys[keyring.active]
    if store.now() - active.created_at < RETIREMENT:
        return []
    image = store.models.image
    with store.connected():
        needed = {row.store_key_id for row in image.select(image.store_key_id).distinct()}
    unused = [key_id for key_id in keyring.store_keys if key_id != keyring.active and key_id not in needed]
    if unused:
        _change_keyring(store, lambda current: current.without_store_keys(unused))
    return unused


def _change_keyring(store: ImageStore, change: Callable[[Keyring], Keyring]) -> Keyring:
    with keyring_lock(store.config):
        keyring = change(load_keyring(store.config, store.blobs))
        write_keyring(store.config, store.blobs, keyring, read_master_key(store.config))
        return keyring
