"""
Queries that are built once and executed with different values, and a fast way to read with them.

Peewee puts the SQL of a query together again whenever it is executed, which takes many times as long as SQLite takes to find
a row. So the queries of every look-up and every commit are written with peewee (``models``), and kept as SQL.

Imports ``database``.
"""

import sqlite3
from collections import deque
from collections.abc import Sequence
from typing import Any, NoReturn

import peewee

from pixstore.database import BUSY_TIMEOUT, connected, translated_errors

Row = tuple[Any, ...]


class _Argument:
    """A placeholder for a value that is given when the query is executed."""

    def __init__(self, index: int) -> None:
        self.index = index


def argument(index: int) -> peewee.Value:
    """Return a placeholder for argument number *index* of ``Query.values``. The driver gets its value unchanged."""
    return peewee.Value(_Argument(index), converter=False, unpack=False)


class Query:
    """A query as SQL. Values known in advance are part of it; the others are its arguments."""

    def __init__(self, query: Any) -> None:
        """Build the SQL of *query*, a peewee query on bound models with an ``argument`` for each argument."""
        self.sql, self._places = query.sql()

    def values(self, arguments: Sequence[Any]) -> list[Any]:
        """Return the values that the driver needs for the SQL."""
        return [arguments[place.index] if isinstance(place, _Argument) else place for place in self._places]


class Reader:
    """
    Reads rows. Every read sees all earlier commits.

    Outside of a transaction SQLite is asked on connections that are kept for this. Taking one from the pool of the database
    and giving it back takes longer than a look-up. They are not in a transaction, and cannot write.
    """

    def __init__(self, database: peewee.Database) -> None:
        self._database = database
        self._path = database.database if isinstance(database, peewee.SqliteDatabase) else None
        self._idle: deque[sqlite3.Connection] = deque()

    def rows(self, query: Query, *arguments: Any) -> list[Row]:
        """
        Return the rows that *query* finds.

        Raises:
            DatabaseUnavailable: If the database cannot be read.
        """
        values = query.values(arguments)
        if self._path is None or self._database.in_transaction():
            with connected(self._database):
                found: list[Row] = self._database.execute_sql(query.sql, values).fetchall()
                return found
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = _opened(self._path)
        try:
            found = connection.execute(query.sql, values).fetchall()
        except sqlite3.Error as error:
            connection.close()
            _raise_translated(error)
        self._idle.append(connection)
        return found

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            self._idle.pop().close()

    def dispose(self) -> None:
        """Forget the connections, which belong to the parent process, after a fork."""
        self._idle = deque()


def _opened(path: str) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA query_only = 1")
    except sqlite3.Error as error:
        _raise_translated(error)
    return connection


def _raise_translated(error: sqlite3.Error) -> NoReturn:
    with translated_errors():
        raise getattr(peewee, type(error).__name__, peewee.DatabaseError)(*error.args) from error
    raise AssertionError("unreachable")
