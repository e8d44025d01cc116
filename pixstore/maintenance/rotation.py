"""
Replaces keys: the master key, the store key, the service secret, and the keys of images.

Imports ``store``, ``sealed_blobs``.

    rotate_master           a new master key wraps the keyring; no image and no other row changes
    rotate_store_key        a new store key for new versions of images
    re_encrypt              every image under an older store key gets a new version under the active one
    rotate_service_secret   ends every session and every proof

If the master key lies in a file that this program can write, a rotation takes three steps. A crash after any
step loses nothing:

    1. the file holds the old key and the new one      if it cannot be replaced, nothing has been changed
    2. the keyring is wrapped by the new key           THE COMMIT POINT
    3. the file holds the new key alone                after a crash, the next start does this
"""

import secrets
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from pixstore.crypto import KEY_SIZE
from pixstore.database import connected
from pixstore.errors import (
    BlobNotFound,
    ImageChanged,
    ImageNotFound,
    KeyringError,
    PixstoreError,
    StorageError,
)
from pixstore.files import locked, storage_errors
from pixstore.formats import InspectedImage
from pixstore.keyring import Keyring
from pixstore.maintenance import Progress, no_progress
from pixstore.maintenance.sealed_blobs import open_sealed, unseal_image
from pixstore.master_key import finish_rotation, given_new_key, master_keys, write_key_file
from pixstore.models import ImageRow
from pixstore.parts import StoreParts
from pixstore.plausible_times import is_implausible
from pixstore.store import ImageStore

BATCH = 100
MOVE_ATTEMPTS = 100
RETIREMENT = 60 * 60_000
"""
Age in ms that the active store key must have before older ones are dropped.

No write under an older key lasts this long.
"""

UNKNOWN_TEXTS = "*"
"""The purpose that stands for texts of release 0.1, which did not note purposes."""


class ReencryptReport(NamedTuple):
    """
    The number of images and texts sealed again, and the images that failed, each with the reason.

    The older store keys are either in *dropped_keys* or, with the reason, in *kept_keys*.
    """

    images: int
    texts: int
    failed: dict[str, str]
    dropped_keys: list[str]
    kept_keys: dict[str, str]


def rotate_master(
    store: ImageStore, new_master_key: bytes | None = None
) -> Literal["given", "file", "file holds both"]:
    """
    Wrap the keyring by a new master key.

    If *new_master_key* or the settings give the new key, the operator must make it the current one
    afterwards; the result is "given". Otherwise a new random key replaces the current one in its file; the
    result is "file". If the second write of the file fails, it still holds both keys; the result is "file
    holds both".

    Raises:
        PixstoreError: If the master key comes from the environment and no new one is given.
        StorageError: If the file cannot be replaced. Nothing was changed.
    """
    config, keyring = store.config, store.parts.keyring
    new = given_new_key(config) if new_master_key is None else new_master_key
    if new is not None:
        keyring.change(lambda keyring: keyring, master_key=new)
        return "given"
    if config.master_key is not None:
        raise PixstoreError(
            "the master key comes from PIXSTORE_MASTER_KEY: give the new one beside it, in PIXSTORE_NEW_MASTER_KEY or "
            "PIXSTORE_NEW_MASTER_KEY_FILE"
        )
    unusable = storage_errors(f"the data directory {config.data_dir} cannot be used")
    with unusable, locked(config.data_dir / "keyring.lock"):
        current, *begun = master_keys(config)  # an interrupted rotation has left its new key there
        new = begun[0] if begun else secrets.token_bytes(KEY_SIZE)
        write_key_file(config, [current, new])
        keyring.change(lambda keyring: keyring, master_key=new)
        finish_rotation(config, new)
        return "file" if master_keys(config) == [new] else "file holds both"


def rotate_store_key(store: ImageStore) -> str:
    """Add a store key and make it the active one; return its id. Running servers use it within seconds."""
    return store.parts.keyring.change(lambda keyring: keyring.with_new_store_key(now=store.now())).active


def rotate_service_secret(store: ImageStore) -> None:
    """End every proof within seconds, and every session when the servers are restarted."""
    store.parts.keyring.change(lambda keyring: keyring.with_new_service_secret(now=store.now()))


def re_encrypt(
    store: ImageStore,
    *,
    reseal_texts: Callable[[ImageStore], int] | None = None,
    text_purposes: Collection[str] = (),
    no_other_texts: bool = False,
    progress: Progress = no_progress,
) -> ReencryptReport:
    """
    Give every image under an older store key a new key, IV and blob under the active one; drop older keys.

    The server may run at the same time. After an interruption, run it again to continue. *reseal_texts* seals
    the application's texts again and returns how many there are; *text_purposes* are their purposes. A store
    key stays while it may have sealed texts for other purposes. *no_other_texts* says that release 0.1 sealed
    no other texts. In any case, older keys stay for an hour after a rotation.
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
                pass  # deleted in the meantime
            except PixstoreError as error:
                failed[image_id] = str(error)
            progress(moved + len(failed), total)
        after = image_ids[-1]
    texts = 0 if reseal_texts is None else reseal_texts(store)
    resealed = {*text_purposes, *([UNKNOWN_TEXTS] if no_other_texts else [])}
    dropped, kept = _drop_old_keys(parts, resealed)
    return ReencryptReport(moved, texts, failed, dropped, kept)


def _ids_after(parts: StoreParts, active: str, after: str) -> list[str]:
    image = parts.models.image
    with connected(parts.database):
        query = image.select(image.id).where((image.store_key_id != active) & (image.id > after))
        return [row.id for row in query.order_by(image.id).limit(BATCH)]


def _move(store: ImageStore, image_id: str) -> bool:
    """Write a new version of the image with the same content; return whether one was needed."""
    for _ in range(MOVE_ATTEMPTS):
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
    raise StorageError("the image is updated faster than it can be encrypted again", name=image_id)


def _reseal(store: ImageStore, row: ImageRow) -> None:
    """Seal the image again under the active store key, with a new key and the details it has."""
    parts = store.parts
    sealed = open_sealed(parts.blobs, row.blob_id, parts.keyring.latest())
    _, data = unseal_image(parts.blobs, sealed)
    # It was inspected when it was saved. The store does not keep its size in pixels.
    image = InspectedImage(data, row.format, width=0, height=0)
    with store.unit_of_work() as work:
        work.update(row.id, image, sealed.details.extra, expected_token=row.token)


def _drop_old_keys(parts: StoreParts, resealed: Collection[str]) -> tuple[list[str], dict[str, str]]:
    """Drop the store keys that nothing needs; return them, and the reason for each older one that stays."""
    keyring = parts.keyring.latest()
    if is_implausible(keyring.store_keys[keyring.active].created_at, now=parts.now()):
        # The clock was ahead. Writes under an older key may have begun just now, so the wait starts now.
        keyring = parts.keyring.change(lambda current: current.with_active_since(parts.now()))
    kept = {key_id: _reason_to_keep(parts, keyring, key_id, resealed) for key_id in keyring.store_keys}
    unused = [key_id for key_id, reason in kept.items() if reason is None]
    if unused:
        purpose = parts.models.text_purpose
        with connected(parts.database), parts.database.atomic():
            purpose.delete().where(purpose.store_key_id.in_(unused)).execute()
        try:
            parts.keyring.change(lambda current: current.without_store_keys(unused))
        except KeyringError as error:  # another process has just begun to use one of them
            kept |= dict.fromkeys(unused, str(error))
            unused = []
    return unused, {key_id: reason for key_id, reason in kept.items() if reason and key_id != keyring.active}


def _reason_to_keep(
    parts: StoreParts, keyring: Keyring, key_id: str, resealed: Collection[str]
) -> str | None:
    """Return the reason why the store key must stay, for people to read, or ``None`` if nothing needs it."""
    active = keyring.store_keys[keyring.active]
    image, purpose = parts.models.image, parts.models.text_purpose
    with connected(parts.database):
        images = image.select().where(image.store_key_id == key_id).count()
        texts = sorted(
            row.purpose for row in purpose.select(purpose.purpose).where(purpose.store_key_id == key_id)
        )
    others = [text for text in texts if text not in resealed]
    if key_id == keyring.active:
        return "it is the active one"
    if images:
        return f"{images} images are under it"
    if key_id in keyring.held:
        return "it came back from a copy of the keyring: `rebuild --merge` finds out whether a blob needs it"
    if others == [UNKNOWN_TEXTS]:
        return "release 0.1 may have sealed texts under it: if no other program sealed texts, `re-encrypt --no-other-texts` drops it"
    if others:
        return f"texts of other programs may be under it ({', '.join(others)}): these programs must seal their texts again"
    if parts.now() - active.created_at < RETIREMENT:
        until = datetime.fromtimestamp((active.created_at + RETIREMENT) / 1000, UTC)
        return (
            f"writes that began under it may still be going on: `re-encrypt` after {until:%H:%M} UTC drops it"
        )
    return None
