"""Whoever may write a ledger's store and does what they like: over a file and over a database alike. No tests.

What a store holds is taken out as rows, changed in memory, and put back with every guard set aside: in SQLite the triggers
are dropped and made again, in PostgreSQL the owner of the tables sets ``session_replication_role = replica``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import psycopg
from attrs import define, field, frozen
from ledgers import CONTEXT, SystemClock, completed, ledger_at, settled, started
from tests.postgres_server import PostgresServer

from failsoft.context import CallContext, Case
from failsoft.core.effects import Recorded
from failsoft.core.evidence import ConfigActivated
from failsoft.ledger import receiving
from failsoft.ledger.checkpoints.publishing import Signing
from failsoft.ledger.format import canonical
from failsoft.ledger.format.merkle import BLOCK, Frontier, leaf_hash
from failsoft.ledger.keys.vault import PayloadKey, Sealing
from failsoft.ledger.location import InDatabase, InFile, Location
from failsoft.ledger.sqlite.schema import STATEMENTS
from failsoft.ledger.writing.writer import StoredLedger
from failsoft.postgres_address import Address

ANOTHER = CallContext(Case("T-17", "letter"))
"""The context of every second call in a world's middle."""

PAYLOAD_KEY = PayloadKey(bytes(range(32)))

TABLES = tuple(receiving.TABLES)

COPIES = ("emitter", "eseq", "rid", "type", "ts", "call_id", "case_id", "capability")
"""Columns of ``ledger_record`` after seq, leaf and body."""

Row = list[Any]
Fields = dict[str, Any]


@define
class Content:
    """All that a store holds: rows by table, in the order in which they lie."""

    tables: dict[str, list[Row]]

    @property
    def records(self) -> list[Row]:
        """seq, leaf, body, then `COPIES`."""
        return self.tables["ledger_record"]

    @property
    def payloads(self) -> list[Row]:
        """digest, dek, nonce, data."""
        return self.tables["ledger_payload"]

    @property
    def head(self) -> Row:
        """id, size, frontier, sig."""
        return self.tables["ledger_head"][0]

    @property
    def checkpoints(self) -> list[Row]:
        """size, note, tsr, published_to."""
        return self.tables["ledger_checkpoint"]

    def copy(self) -> Content:
        """Another one, of the same."""
        return Content({name: [list(row) for row in rows] for name, rows in self.tables.items()})

    def bodies(self) -> list[Fields]:
        """What each record says."""
        return [canonical.read(row[2]) for row in self.records]

    def edit(self, index: int, change: Callable[[Fields], object]) -> None:
        """One record's bytes, and its index copies with them; its leaf stays."""
        document = canonical.read(self.records[index][2])
        change(document)
        self.say(index, document)

    def say(self, index: int, document: Fields) -> None:
        """Give a record these bytes, and the index copies that go with them."""
        self.records[index][2] = canonical.dump(document)
        self.records[index][3:] = [
            *(document.get(name) for name in COPIES[:6]),
            document.get("case", {}).get("id"),
            document.get("capability", {}).get("name"),
        ]

    def fit(self) -> None:
        """Places, leaves, subtrees and head made to fit the bytes, as they now stand: all that needs no key."""
        frontier = Frontier()
        self.tables["ledger_subtree"] = []
        for seq, row in enumerate(self.records):
            row[0], row[1] = seq, leaf_hash(row[2])
            block = frontier.append(row[1])
            if block is not None:
                self.tables["ledger_subtree"].append([seq // BLOCK, block])
        self.head[1:3] = [frontier.size, frontier.to_bytes()]

    def retell(self) -> None:
        """As `fit`, and every number and every reference made to fit as well: a story that contradicts itself nowhere."""
        numbers: dict[str, int] = {}
        told: dict[str, str] = {}
        for index, (row, document) in enumerate(zip(self.records, self.bodies(), strict=True)):
            if "emitter" in document:
                document["eseq"] = numbers.setdefault(document["emitter"], 0)
                numbers[document["emitter"]] += 1
            if document["type"] == "emitter.closed":
                document["last"] = document["eseq"]
            for relation, leaf in document.get("refs", {}).items():
                document["refs"][relation] = told.get(leaf, leaf)
            self.say(index, document)
            told[row[1].hex()] = leaf_hash(row[2]).hex()
        self.fit()

    def drop(self, *indices: int) -> None:
        """Records go, with their payloads."""
        named = {each["digest"] for index in indices for each in self.bodies()[index].get("commitments", ())}
        self.tables["ledger_payload"] = [row for row in self.payloads if row[0].hex() not in named]
        self.tables["ledger_record"] = [row for index, row in enumerate(self.records) if index not in indices]

    def cut(self, size: int) -> None:
        """The tail goes, with its payloads."""
        self.drop(*range(size, len(self.records)))
        self.fit()

    def uncheckpointed(self, size: int) -> None:
        """Checkpoints of more records than these go."""
        self.tables["ledger_checkpoint"] = [row for row in self.checkpoints if row[0] <= size]

    def of_call(self, call_id: str) -> list[int]:
        """The places of a call's records."""
        return [index for index, row in enumerate(self.records) if row[3 + COPIES.index("call_id")] == call_id]

    def of_kind(self, kind: str) -> list[int]:
        """The places of records of a type."""
        return [index for index, row in enumerate(self.records) if row[3 + COPIES.index("type")] == kind]


class Attacked(Protocol):
    """A store in the hands of somebody who owns it."""

    @property
    def place(self) -> Location:
        """With the key of its payloads."""
        ...

    @property
    def closed(self) -> Location:
        """Without."""
        ...

    @property
    def folder(self) -> Path:
        """For what isn't in the store: keys of cases, the signer's state."""
        ...

    def take(self) -> Content:
        """What it holds."""
        ...

    def put(self, content: Content) -> None:
        """Let it hold this and nothing else."""
        ...

    def run(self, statement: str) -> None:
        """Any statement, the guards set aside."""
        ...


def _queries() -> Iterator[tuple[str, str, str]]:
    for table, columns in receiving.TABLES.items():
        order = "" if table == "ledger_payload" else " ORDER BY 1"
        yield table, f"SELECT * FROM {table}{order}", f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})"


@frozen
class AttackedFile:
    """A ledger in SQLite."""

    folder: Path
    place: InFile = field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(
            self, "place", InFile(self.folder / "x.db", sealing=Sealing(PAYLOAD_KEY, self.folder / "x.keys"))
        )

    @property
    def closed(self) -> InFile:
        return InFile(self.place.path)

    def take(self) -> Content:
        with self._connected() as connection:
            return Content({table: [list(row) for row in connection.execute(read)] for table, read, _ in _queries()})

    def put(self, content: Content) -> None:
        with self._connected(guarded=False) as connection:
            for table, _, write in _queries():
                connection.execute(f"DELETE FROM {table}")
                connection.executemany(write, content.tables[table])

    def run(self, statement: str) -> None:
        with self._connected(guarded=False) as connection:
            connection.execute(statement)

    @contextmanager
    def _connected(self, *, guarded: bool = True) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.place.path, isolation_level=None)
        try:
            guards = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'")]
            for name in () if guarded else guards:
                connection.execute(f"DROP TRIGGER {name}")
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")
            for each in () if guarded else STATEMENTS:
                if each.startswith("CREATE TRIGGER"):
                    connection.execute(each)
        finally:
            connection.close()


@frozen
class AttackedDatabase:
    """A ledger in PostgreSQL, by the owner of its tables."""

    folder: Path
    url: str
    place: InDatabase = field(init=False)

    def __attrs_post_init__(self) -> None:
        sealing = Sealing(PAYLOAD_KEY, self.folder / "x.keys")
        object.__setattr__(self, "place", InDatabase(Address.parse(self.url), sealing))

    @property
    def closed(self) -> InDatabase:
        return InDatabase(self.place.address)

    def take(self) -> Content:
        with self._connected() as connection:
            return Content(
                {table: [list(row) for row in connection.execute(read.encode())] for table, read, _ in _queries()}
            )

    def put(self, content: Content) -> None:
        with self._connected() as connection:
            for table, _, write in _queries():
                connection.execute(f"DELETE FROM {table}".encode())
                connection.cursor().executemany(write.replace("?", "%s").encode(), content.tables[table])

    def run(self, statement: str) -> None:
        with self._connected() as connection:
            connection.execute(statement.encode())

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.place.address.url) as connection:
            connection.execute(f"SET search_path TO {self.place.address.schema}".encode())
            connection.execute(b"SET session_replication_role = replica")
            yield connection


def in_a_file(folder: Path) -> AttackedFile:
    """A place for a ledger, in a folder that is made."""
    folder.mkdir(parents=True)
    return AttackedFile(folder)


def in_a_database(folder: Path, server: PostgresServer, schema: str) -> AttackedDatabase:
    """A place for a ledger in a schema that nobody else uses."""
    folder.mkdir(parents=True)
    return AttackedDatabase(folder, f"{server.url}&schema={schema}")


# --- a ledger that is worth attacking --------------------------------------------------------------------------------------


@frozen
class World:
    """A ledger in the attacker's hands, as it was at four moments.

    Args:
        early: long ago; a checkpoint of it is stored.
        before: when the pin was taken, before whatever the attack changes came to light; likewise.
        kept: later, in the middle of a life: its head is signed, and no checkpoint is of it.
        newest: as it is.
    """

    attacked: Attacked
    early: Content
    before: Content
    kept: Content
    newest: Content

    @property
    def pins(self) -> tuple[tuple[int, str], tuple[int, str]]:
        """Before the change, and of the newest."""
        first, last = (Frontier.from_bytes(*each.head[1:3]) for each in (self.before, self.newest))
        return (first.size, first.root().hex()), (last.size, last.root().hex())


def opened(attacked: Attacked, signing: Signing | None) -> StoredLedger:
    ledger = ledger_at(attacked.place, clock=SystemClock(), signing=signing)
    ledger.open()
    return ledger


def called(ledger: StoredLedger, name: str, context: CallContext = CONTEXT) -> None:
    begin = ledger.submit(started(name, context=context))
    assert isinstance(settled(ledger.submit(completed(begin, name, context=context))), Recorded)


def lived(attacked: Attacked, signing: Signing | None) -> World:
    ledger = opened(attacked, signing)
    settled(ledger.submit(ConfigActivated(b'{"a":1}', (), ())))
    called(ledger, "e0")
    ledger.close()
    early = attacked.take()
    one, two = (opened(attacked, signing) for _ in range(2))
    for number in range(2):
        called(one, f"a{number}")
        called(two, f"b{number}", ANOTHER)
    one.close()
    two.close()
    before = attacked.take()
    ledger = opened(attacked, signing)
    called(ledger, "c0")
    kept = attacked.take()
    called(ledger, "c1")
    ledger.close()
    return World(attacked, early, before, kept, attacked.take())
