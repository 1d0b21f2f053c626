"""Whether what was committed is in the file: the connection that writes has in memory what it needs, and wouldn't notice.

After each checkpoint another connection, which has nothing in memory, reads a part of the log, on from where it ended last
time, and a row of each table; as the file is closed, the end of the log. So a file that was overwritten as a whole is
noticed then, and a page of records sooner or later. What's kept of payloads only `failsoft verify` reads.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable

from failsoft.ledger.format.merkle import leaf_hash
from failsoft.ledger.receiving import TABLES

LOOKED_AT = 128
"""Records that are read at once: more than are written from one checkpoint to the next, one by one."""

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Look:
    """Looks at one file, again and again.

    Args:
        connect: makes a connection to read it.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._next = 0

    def intact(self, size: int = 0) -> bool:
        """Is the next part of it as it was committed? That it can't be looked at just now says nothing against it.

        Args:
            size: so many records were committed: the last of them are looked at.
        """
        first = max(0, size - LOOKED_AT) if size else self._next
        try:
            with contextlib.closing(self._connect()) as connection:
                connection.execute("PRAGMA cell_size_check = ON")
                for table in TABLES:
                    connection.execute(f"SELECT 1 FROM {table} NOT INDEXED LIMIT 1").fetchall()  # noqa: S608 -- our own names
                query = "SELECT seq, leaf, body FROM ledger_record WHERE seq >= ? ORDER BY seq LIMIT ?"
                rows = connection.execute(query, (first, LOOKED_AT)).fetchall()
            self._next = first + len(rows) if len(rows) == LOOKED_AT else 0
            return first + len(rows) >= max(size, 1) and all(
                seq == index and (body is None or leaf_hash(body) == leaf)
                for index, (seq, leaf, body) in enumerate(rows, first)
            )
        except sqlite3.DatabaseError as error:
            return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF not in _DAMAGE
        except (TypeError, ValueError):  # a column of a damaged file holds what it can't
            return False
