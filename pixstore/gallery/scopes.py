"""
Which pictures are meant, and in what order: every page that lists pictures, and every link from one, has a ``Scope``.

A page of pictures, the neighbours of one, and the way back to the list are the same for every scope. A new kind of list (a
search, the trash, a share) is a new kind of scope.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from peewee import BigIntegerField, Expression, ModelSelect

from pixstore.gallery.albums import AlbumView
from pixstore.gallery.errors import InvalidInput
from pixstore.gallery.models import Picture

_CURSOR = re.compile(r"([0-9]{1,15})-([a-z0-9]{1,64})", re.ASCII)


class Cursor(NamedTuple):
    """A place in the order newest first: right behind the picture it names."""

    at: int
    id: str

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """
        Undo ``str``.

        Raises:
            InvalidInput: If *text* is no place.
        """
        match = _CURSOR.fullmatch(text)
        if match is None:
            raise InvalidInput("before", "This link is damaged.")
        return cls(int(match[1]), match[2])

    def __str__(self) -> str:
        return f"{self.at}-{self.id}"


@dataclass(frozen=True)
class Scope:
    """The pictures of one user: all of them, or those of *album*. Newest first."""

    user_id: str
    album: AlbumView | None = None

    def select(self, picture: type[Picture]) -> "ModelSelect[Picture]":
        """Return the query for the pictures of this scope, in no order."""
        mine = picture.select().where(picture.user == self.user_id)
        return mine if self.album is None else mine.where(picture.album == self.album.dir)

    def newest(self, picture: type[Picture], *, before: Cursor | None = None) -> "ModelSelect[Picture]":
        """Return the query for the pictures of this scope, newest first; with *before* only those behind that place."""
        query = self.select(picture).order_by(self._time(picture).desc(), picture.id.desc())
        return query if before is None else query.where(self._is_older(picture, before))

    def oldest(self, picture: type[Picture], *, after: Cursor) -> "ModelSelect[Picture]":
        """Return the query for the pictures of this scope in front of the place *after*, the nearest first."""
        query = self.select(picture).order_by(self._time(picture), picture.id)
        return query.where(self._is_newer(picture, after))

    def place_of(self, row: Picture) -> Cursor:
        """Return the place of *row* in the order."""
        return Cursor(row.created_at, row.id)

    def _time(self, picture: type[Picture]) -> BigIntegerField:
        return picture.created_at

    # The first half of each condition is implied by the second; it lets the index find the place.

    def _is_older(self, picture: type[Picture], place: Cursor) -> Expression:
        time = self._time(picture)
        condition: Expression = (time <= place.at) & ((time < place.at) | (picture.id < place.id))
        return condition

    def _is_newer(self, picture: type[Picture], place: Cursor) -> Expression:
        time = self._time(picture)
        condition: Expression = (time >= place.at) & ((time > place.at) | (picture.id > place.id))
        return condition
