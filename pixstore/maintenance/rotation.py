"""
New keys for old: master key, store key, and the images under old store keys. Imports ``store``, ``sealed_blobs``.

    rotate_master           a new master key wraps the keyring; no image and no database row changes
    rotate_store_key        a new store key for new versions of images
    re_encrypt              every image under an older store key gets a new version under the active one
    rotate_service_secret   ends every session and every proof
"""

import secrets
from collections.abc import Callable
from typing import NamedTuple

from pixstore.crypto import KEY_SIZE
from pixstore.database import connected
from pixstore.errors import BlobNotFound, ImageChanged, ImageNotFound, PixstoreError
from pixstore.formats import InspectedImage
from pixstore.keyring import Keyring
from pixstore.keyring_files import (
    commit_master_key,
    keyring_lock,
    load_keyring,
    prepare_master_key,
    read_master_key,
    write_keyring,
)
from pixstore.maintenance import Progress, no_progress
from pixstore.maintenance.sealed_blobs import open_sealed, unseal_image
from pixstore.models import ImageRow
from pixstore.parts import StoreParts
from pixstore.store import ImageStore

BATCH = 100
RETIREMENT = 60 * 60_000
"""Age in ms of the active store key before older ones are dropped: no write that began under one lasts this long."""


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
    config, blobs = store.config, store.parts.blobs
    if config.master_key is not None and new_master_key is None:
        raise PixstoreError("the master key comes from PIXSTORE_MASTER_KEY: give the new one")
    new = secrets.token_bytes(KEY_SIZE) if new_master_key is None else new_master_key
    with keyring_lock(config):
        keyring = load_keyring(config, blobs)
        if config.master_key is None:
            prepare_master_key(config, new)
        write_keyring(config, blobs, keyring, new)
        if config.master_key is None:
            commit_master_key(config)


def rotate_store_key(store: ImageStore) -> str:
    """Add a store key and make it the active one; return its id. Running servers take it up at their next write."""
    keyring = _change_keyring(store.parts, lambda keyring: keyring.with_new_store_key(now=store.now()))
    return keyring.active


def rotate_service_secret(store: ImageStore) -> None:
    """End every session and every proof, once the servers are restarted."""
    _change_keyring(store.parts, lambda keyring: keyring.with_new_service_secret(now=store.now()))


def re_encrypt(
    store: ImageStore,
    *,
    reseal_texts: Callable[[ImageStore], int] | None = None,
    progress: Progress = no_progress,
) -> ReencryptReport:
    """
    Give every image under an older store key a new key, IV and blob under the active one; then drop the older keys.

    The server may run meanwhile. Run again after an interruption, it goes on. *reseal_texts* seals the caller's own texts
    anew and returns how many; without it, older keys are kept, because texts may need them. They stay for an hour after
    the rotation in any case.
    """
    parts = store.parts
    active = parts.keyring.latest().active
    image = parts.models.image
    with connected(parts.database):
        total = image.select().where(image.store_key_id != active).count()
    moved, failed, after = 0, dict[str, str](), ""
    while image_ids := _ids_after(parts, active, after):
        for image_id in image_ids:
            try:
                moved += _move(store, image_id)
            except ImageNotFound:
                pass  # deleted meanwhile
            except PixstoreError as error:
                failed[image_id] = str(error)
            progress(moved + len(failed), total)
        after = image_ids[-1]
    if reseal_texts is None:
        return ReencryptReport(moved, 0, failed, [])
    return ReencryptReport(moved, reseal_texts(store), failed, _drop_old_keys(parts))


def _ids_after(parts: StoreParts, active: str, after: str) -> list[str]:
    image = parts.models.image
    with connected(parts.database):
        query = image.select(image.id).where((image.store_key_id != active) & (image.id > after))
        return [row.id for row in query.order_by(image.id).limit(BATCH)]


def _move(store: ImageStore, image_id: str) -> bool:
    """Write a new version of the image with the same content; return whether one was needed."""
    while True:
        row = store.parts.row(image_id)
        if row is None:
            raise ImageNotFound(image_id)
        if row.store_key_id == store.parts.keyring.latest().active:
            return False
        try:
            _reseal(store, row)
        except ImageChanged:
            continue  # an update came first
        except BlobNotFound as missing:
            current = store.parts.row(image_id)
            if current is not None and current.blob_id == missing.name:
                raise
            continue  # the image was replaced or deleted, and its blob removed, before it could be read
        return True


def _reseal(store: ImageStore, row: ImageRow) -> None:
    """Seal the image again under the active store key, with a new key and the details it has."""
    parts = store.parts
    sealed = open_sealed(parts.blobs, row.blob_id, parts.keyring.latest())
    _, data = unseal_image(parts.blobs, sealed)
    # It was inspected when it was saved; how large it is in pixels, the store does not keep.
    image = InspectedImage(data, row.format, width=0, height=0)
    with store.unit_of_work() as work:
        work.update(row.id, image, sealed.details.extra, expected_token=row.token)


def _drop_old_keys(parts: StoreParts) -> list[str]:
    keyring = parts.keyring.latest()
    active = keyring.store_keys[keyring.active]
    if parts.now() - active.created_at < RETIREMENT:
        return []
    image = parts.models.image
    with connected(parts.database):
        needed = {row.store_key_id for row in image.select(image.store_key_id).distinct()}
    unused = [key_id for key_id in keyring.store_keys if key_id != keyring.active and key_id not in needed]
    if unused:
        _change_keyring(parts, lambda current: current.without_store_keys(unused))
    return unused


def _change_keyring(parts: StoreParts, change: Callable[[Keyring], Keyring]) -> Keyring:
    with keyring_lock(parts.config):
        keyring = change(load_keyring(parts.config, parts.blobs))
        write_keyring(parts.config, parts.blobs, keyring, read_master_key(parts.config))
        return keyring
