"""Connections to PostgreSQL whose commands end in time. Needs the extra ``postgres`` (psycopg 3).

Every command has a time limit *here*: a paused server answers nothing, and would never notice its own. What a driver's
error says is never passed on: an address may hold a password.
"""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import waiting
from psycopg.abc import RV, PQGen

CONNECT_SECONDS = 2
"""For an address to answer, log-in included."""


_Selector = getattr(selectors, "PollSelector", selectors.DefaultSelector)
"""One that costs no descriptor, where there is such: a command is waited for some ten times a commit."""


_SAID: Mapping[str, str] = {
    "does not exist": "there is no such database or role",
    "password": "the password isn't right, or there is none",
    "no pg_hba.conf entry": "the server lets nobody in from here",
    "could not translate host name": "its host isn't known",
    "Connection refused": "nobody listens there",
    "No such file or directory": "nobody listens there",
    "timeout expired": "it doesn't answer in time",
    "remaining connection slots": "it has no connection left",
    "too many clients": "it has no connection left",
}
"""What libpq says where nobody lets us in, and what of it may be told: its own words may repeat the address."""


class TooSlow(psycopg.OperationalError):
    """A command took longer than it may; the connection is of no use after that."""


class Bounded(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose commands end in time.

    Attributes:
        limit: seconds that a command may take.
    """

    limit: float = 5.0

    def wait(self, gen: PQGen[RV], interval: float = 0.0, *more: Any, **others: Any) -> RV:
        """As psycopg's, with a deadline. Raises `TooSlow`."""
        deadline = time.monotonic() + self.limit
        with _Selector() as selector:
            try:
                wants = next(gen)
                while True:
                    selector.register(self.pgconn.socket, wants)
                    ready = selector.select(max(0.0, deadline - time.monotonic()))
                    selector.unregister(self.pgconn.socket)
                    if not ready:
                        raise TooSlow("too slow")
                    wants = gen.send(waiting.Ready(ready[0][1]))
            except StopIteration as ended:
                result: RV = ended.value
                return result


def connect(address: str, seconds: float) -> Bounded:
    """A connection in autocommit mode, whatever encoding the database has.

    Args:
        address: as libpq takes it.
        seconds: that a command may take.

    Raises:
        psycopg.Error: it can't be reached, or doesn't let us in.
    """
    connection = Bounded.connect(
        address,
        autocommit=True,
        connect_timeout=CONNECT_SECONDS,
        application_name="failsoft",
        client_encoding="utf8",
    )
    connection.limit = seconds
    return connection


def disown(connection: Bounded) -> None:
    """In a forked child, before it has another thread: close a connection that its parent goes on using, without a word to
    the server.
    """
    if not connection.closed:
        os.close(connection.fileno())  # first: what libpq says goodbye on is gone
    connection.close()


def reason(error: psycopg.Error, otherwise: str) -> str:
    """What may be said of a driver's error: the server's code, which stands in PostgreSQL's manual, or this."""
    if isinstance(error, (TooSlow, psycopg.errors.QueryCanceled)):
        return "too slow"
    return otherwise if error.sqlstate is None else f"refused ({error.sqlstate})"


def unreachable(error: psycopg.Error) -> str:
    """Why a server can't be reached, or lets nobody in, as far as that may be told."""
    said = str(error)
    return "it can't be reached" + next((f": {told}" for part, told in _SAID.items() if part in said), "")
