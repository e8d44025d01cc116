"""
A ``Scope`` says which pictures a page lists, and in what order. Links from the page keep the scope.

Pages of pictures, the neighbours of a picture, and the link back to the list work in the same way for every
scope. For a new kind of list (a search, the trash, a share), add a new kind of scope.
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
    """A place in the order "newest first": right behind the picture that it names."""

    at: int
    id: str

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """
        Undo ``str``.

        Raises:
            InvalidInput: If *text* is not a cursor.
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
        """Return the query for the pictures of this scope, without an order."""
        mine = picture.select().where(picture.user == self.user_id)
        return mine if self.album is None else mine.where(picture.album == self.album.dir)

    def newest(self, picture: type[Picture], *, before: Cursor | None = None) -> "ModelSelect[Picture]":
        """
        Return the query for the pictures of this scope, newest first.

        With *before*, only those behind that place.
        """
        query = self.select(picture).order_by(self._time(picture).desc(), picture.id.desc())
        return query if before is None else query.where(self._is_older(picture, before))

    def oldest(self, picture: type[Picture], *, after: Cursor) -> "ModelSelect[Picture]":
        """Return the query for the pictures of this scope newer than the place *after*, the nearest first."""
        query = self.select(picture).order_by(self._time(picture), picture.id)
        return query.where(self._is_newer(picture, after))

    def place_of(self, row: Picture) -> Cursor:
        """Return the place of *row* in the order."""
        return Cursor(row.created_at, row.id)

    def _time(self, picture: type[Picture]) -> BigIntegerField:
        return picture.created_at

    # Each condition compares (time, id) with the place. Its first half lets the database use the index.

    def _is_older(self, picture: type[Picture], place: Cursor) -> Expression:
        time = self._time(picture)
        condition: Expression = (time <= place.at) & ((time < place.at) | (picture.id < place.id))
        return condition

    def _is_newer(self, picture: type[Picture], place: Cursor) -> Expression:
        time = self._time(picture)
        condition: Expression = (time >= place.at) & ((time > place.at) | (picture.id > place.id))
        return condition
