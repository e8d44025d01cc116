"""
Two ways to the same images: by the library in this process, and by HTTP through gunicorn. Both have the same verbs.

``Absent`` says that there is no such image (any more). A token of ``None`` was not learned: pages do not tell it.
"""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from pixstore import wire
from pixstore.errors import ImageNotFound, PixstoreError
from pixstore.gallery import Gallery, accounts, albums, pictures
from pixstore.records import ImageRecord
from pixstore.store import ImageStore
from tests.gallery_client import GalleryClient, ImageMissing, Refused, Seen, Shown
from tests.payloads import image_of, unsealed

FILE_NAME = "registered.png"


class Place(NamedTuple):
    """Where an image is: its id, and that of the gallery's picture which it is the original of, if it is one."""

    image_id: str
    picture_id: str = ""


class Absent(Exception):
    """There is no such image."""


class Gone(Absent):
    """The image is deleted. The requested change may have been made before the deletion."""


class Look(NamedTuple):
    """The result of a read."""

    token: int | None
    image: bytes


class ImageAccess(Protocol):
    """The operations of both kinds of access."""

    def save(self, image: bytes) -> tuple[Place, int | None]:
        """Save a new image; return its place and its token."""

    def update(self, place: Place, image: bytes) -> int | None:
        """Replace an image and return the new token."""

    def delete(self, place: Place) -> None:
        """Delete an image."""

    def read(self, kind: str, place: Place) -> Look:
        """Read an image in the way that *kind* names; ``cached`` uses the record of an earlier read."""

    def close(self) -> None:
        """Close the store or the connection."""


class LibraryAccess:
    """The library, as any program uses it; reads also as the endpoint does."""

    def __init__(self, store: ImageStore) -> None:
        self.store = store
        self._held: dict[str, ImageRecord] = {}

    def save(self, image: bytes) -> tuple[Place, int | None]:
        """Save an image that belongs to no picture of the gallery."""
        record = self.store.save(image)
        return Place(record.id), record.token

    def update(self, place: Place, image: bytes) -> int:
        """Replace an image, and learn the token."""
        try:
            return self.store.update(place.image_id, image).token
        except ImageNotFound:
            raise Absent from None

    def delete(self, place: Place) -> None:
        """Delete an image."""
        if not self.store.delete(place.image_id):
            raise Absent

    def read(self, kind: str, place: Place) -> Look:
        """``load`` the image, or read it as a browser does: by record and proof, ``page`` by a record without key."""
        if kind != "load":
            return self._answered(kind, place.image_id)
        try:
            return Look(None, self.store.load(place.image_id))
        except ImageNotFound:
            raise Absent from None

    def close(self) -> None:
        """Nothing: the threads of a process share the store."""

    def _answered(self, kind: str, image_id: str) -> Look:
        held = self._held.get(image_id) if kind == "cached" else None
        if kind == "page":
            record = self.store.records([image_id]).get(image_id)
        else:
            record = held or self.store.record(image_id)
        if record is None:
            raise Absent
        self._held[image_id] = record if record.meta else self._held.get(image_id, record)
        payload = self.store.answer(
            image_id,
            proof=self.store.records([image_id]).get(image_id, record).stateless_proof,
            client_token=record.token if record.meta else None,
        ).to_bytes()
        return opened(payload, record)


class LibraryAccessToPictures(LibraryAccess):
    """The library in a program of the gallery's: what it saves are pictures of the account *name*."""

    def __init__(self, store: ImageStore, name: str) -> None:
        super().__init__(store)
        self._gallery = Gallery.open(store)
        self._name = name

    def save(self, image: bytes) -> tuple[Place, int | None]:
        """Add a picture."""
        with self.store.connected():
            user = accounts.find_user(self._gallery, self._name)
            assert user is not None
            album = albums.default_album(self._gallery, user)
            picture = pictures.add_picture(self._gallery, user, album, image, file_name=FILE_NAME)
        assert picture.original is not None
        return Place(picture.original.id, picture.id), None


class HttpAccess:
    """A client of a running gallery."""

    def __init__(self, client: GalleryClient) -> None:
        self._client = client
        self._held: dict[str, Seen] = {}

    def save(self, image: bytes) -> tuple[Place, int | None]:
        """Upload a picture."""
        (card,) = self._client.uploads((FILE_NAME, image))
        return Place(self._client.opens(card.picture_id).image_id, card.picture_id), None

    def update(self, place: Place, image: bytes) -> int | None:
        """Replace a picture. The answer shows it as it is afterwards: not at all, if somebody has deleted it by then."""
        try:
            with _absence():
                self._client.replaces(place.picture_id, (FILE_NAME, image))
        except Absent:
            raise Gone from None
        return None

    def delete(self, place: Place) -> None:
        """Delete a picture."""
        with _absence():
            self._client.deletes(place.picture_id)

    def read(self, kind: str, place: Place) -> Look:
        """Look at a picture: on its page (``load``), with a fresh proof, from the browser's cache, or in a batch."""
        with _absence():
            shown = self._shown(kind, place)
            if kind == "page":
                (seen,) = self._client.sees_all([shown])
            else:
                before = self._held.get(place.image_id) if kind == "cached" else None
                seen = self._client.sees(shown, before=before)
        if seen is None:
            raise Absent
        self._held[place.image_id] = seen
        return Look(seen.token, seen.data)

    def close(self) -> None:
        """Close the connection."""
        self._client.leaves()

    def _shown(self, kind: str, place: Place) -> Shown:
        if kind == "load":
            return self._client.opens(place.picture_id)
        found = self._client.records([place.image_id])
        if not found:
            raise Absent
        return found[0]


@contextmanager
def _absence() -> Iterator[None]:
    """Say ``Absent`` where the gallery says that there is no such picture, or that its image is gone."""
    try:
        yield
    except ImageMissing:
        raise Absent from None
    except Refused as error:
        if error.status == 404:
            raise Absent from None
        raise


def opened(payload: bytes, record: ImageRecord) -> Look:
    """Decode an answer of the endpoint, for a client that has *record*."""
    answer = wire.decode(payload)
    if isinstance(answer, wire.Success):
        assert record.meta is not None
        key, iv, tag = (base64.b64decode(part) for part in (record.meta.key, record.meta.iv, record.meta.tag))
        return Look(record.token, unsealed(answer.ciphertext, key, iv, tag))
    if isinstance(answer, wire.Updated):
        return Look(answer.token, image_of(answer))
    if answer.state is wire.WireState.NOT_FOUND:
        raise Absent
    raise PixstoreError(f"the endpoint answered {answer.state.name}")
