"""A database that is being filled from another store: see `failsoft.ledger.receiving`."""

from __future__ import annotations

from collections.abc import Sequence

from failsoft.ledger.postgres.read import Database
from failsoft.ledger.postgres.tables import set_up
from failsoft.ledger.postgres.transaction import SECONDS, copy_in, transaction
from failsoft.ledger.receiving import TABLES, Row, check_alone
from failsoft.postgres_address import Address

_TYPES = {
    "ledger_record": ("int8", "bytea", "bytea", "text", "int8", *["text"] * 6),
    "ledger_payload": ("bytea", "bytea", "bytea", "bytea"),
}


class DatabaseReceiver:
    """The tables in one schema of a database. Made where there are none."""

    def __init__(self, address: Address) -> None:
        self.queries = self._database = Database.at(address, SECONDS)
        try:
            set_up(self._database)
        except BaseException:
            self._database.close()
            raise

    def take(self, rows: dict[str, Sequence[Row]], after: int) -> None:
        """As any receiver."""
        database = self._database
        with transaction(database):
            database.execute("SELECT pg_advisory_xact_lock(hashtext(?))", (f"failsoft copy {database.address.schema}",))
            check_alone(database, database.address, after)
            for table, each in rows.items():
                if table in _TYPES:
                    size = sum(len(value) for row in each for value in row if isinstance(value, bytes))
                    copy_in(database, f"COPY {table} FROM STDIN (FORMAT BINARY)", _TYPES[table], each, size)
                    continue
                marks = ", ".join("?" * TABLES[table])
                again = " ON CONFLICT DO NOTHING" if table == "ledger_artifact" else ""
                for row in each:
                    database.execute(f"INSERT INTO {table} VALUES ({marks}){again}", row)  # noqa: S608 -- our own names

    def remember(self, emitters: Sequence[str]) -> None:
        """As any receiver: lines whose lock nobody holds."""
        for each in emitters:
            self._database.execute("INSERT INTO ledger_live VALUES (?) ON CONFLICT DO NOTHING", (each,))

    def close(self) -> None:
        """As any receiver."""
        self._database.close()
