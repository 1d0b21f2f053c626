"""Makes a ledger's tables, and lets a role write to them that can't change anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from failsoft.errors import ConfigurationError, LedgerInvalid
from failsoft.ledger.postgres.read import PREPARE, Database, failed
from failsoft.ledger.postgres.schema import component, grants, short_of, steps
from failsoft.ledger.postgres.transaction import SECONDS, transaction
from failsoft.ledger.store import DatabaseFailed
from failsoft.migrations import bring_up
from failsoft.postgres_address import Address

_EVERY_LETTER = ("UTF8", "SQL_ASCII")
"""Encodings in which a database takes all that's valid: a name that another one refuses would fail its batch for ever."""


def set_up(database: Database) -> None:
    """Make the tables where they're missing.

    Raises:
        LedgerInvalid: they're those of a later version, maybe since this process began; or the database hasn't every letter.
        DatabaseFailed: that can't be done.
    """
    encoding = database.connection.info.parameter_status("server_encoding")
    if encoding not in _EVERY_LETTER:
        raise LedgerInvalid(
            f"{database.address}: this database is encoded in {encoding}, and couldn't hold every name: "
            "make one by CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )

    def run(query: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        try:
            cursor = database.connection.execute(query.encode(), values or None)
            return cursor.fetchall() if cursor.description is not None else []
        except psycopg.errors.InsufficientPrivilege as error:
            told = f"{failed(error)}: tables are made, and brought up to this version, by their owner ({PREPARE})"
            raise DatabaseFailed(told) from None
        except psycopg.Error as error:
            raise failed(error) from None

    schema = database.address.schema
    try:
        bring_up(run, component(schema), steps(schema), str(database.address))
    except ConfigurationError as error:
        raise LedgerInvalid(error.problems[0]) from None


def prepare(address: Address, writer: str) -> None:
    """Make the tables, and let a role write to them that can't change anything. Where it could, it's granted nothing.

    Args:
        address: as their owner.
        writer: the role's name. ``public``, which a server takes for everybody, is none.

    Raises:
        DatabaseFailed: that can't be done.
        LedgerInvalid: as `set_up`.
    """
    database = Database.at(address, SECONDS)
    try:
        set_up(database)
        query = "SELECT quote_ident(rolname) FROM pg_catalog.pg_roles WHERE rolname = ?"
        role = database.execute(query, (writer,)).fetchone()
        if role is None:
            raise DatabaseFailed(f"there's no role {writer!r}: make it first (CREATE ROLE … LOGIN)")
        with transaction(database):
            for each in grants(address.schema, role[0]):
                database.execute(each)
            if wrong := short_of(database, address.schema, writer):
                raise DatabaseFailed(f"{writer} isn't prepared to write and change nothing: {wrong[0]}")
    finally:
        database.close()
