"""Where a ledger is: a file, or a database. What a configuration, a command line or a program names it by."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from attrs import field, frozen

from failsoft.errors import ConfigurationError, LedgerInvalid
from failsoft.ledger.checkpoints.opening import Anchored
from failsoft.ledger.checkpoints.signer import Signer
from failsoft.ledger.disk import BALLAST
from failsoft.ledger.keys.vault import Sealing
from failsoft.ledger.receiving import Receiver
from failsoft.ledger.spool.file import Spooling
from failsoft.ledger.spool.store import SpoolingStore
from failsoft.ledger.sqlite import read as sqlite_read
from failsoft.ledger.sqlite import store as sqlite
from failsoft.ledger.sqlite.receiving import FileReceiver
from failsoft.ledger.store import Source, Store
from failsoft.postgres_address import Address, is_postgres

Tell = Callable[[str, dict[str, Any]], None]


def _silent(name: str, fields: dict[str, Any]) -> None: ...


class Location(Protocol):
    """A ledger's place, whether there's one or not. ``str`` of it may be shown: it holds no password."""

    @property
    def sealing(self) -> Sealing | None:
        """What opens its payloads; None: they're in clear, or stay closed."""
        ...

    def exists(self) -> bool:
        """Is anything there? A database that can't be reached is taken to be."""
        ...

    def connect(self) -> Source:
        """To read it.

        Raises:
            LedgerInvalid: it's no ledger, or it can't be read.
        """
        ...

    def store(self, signer: Signer | None = None, anchored: Anchored = tuple, tell: Tell = _silent) -> Store:
        """To write to it, as one emitter."""
        ...

    def receiver(self) -> Receiver:
        """To fill it from another one.

        Raises:
            LedgerInvalid: something else stands there.
        """
        ...


def _itself(path: Path) -> Path:
    """The file, not a link to it: locks stand beside the file, and all who use it must take the same."""
    return path.resolve() if os.path.islink(path) else path


@frozen
class InFile:
    """A ledger in an SQLite file.

    Args:
        path: of the file; a symbolic link is followed.
        connect_to: makes a connection to write: the seam where tests put faults.
        ballast: bytes kept free, so that a full disk can still be told.
        sealing: what opens its payloads.
    """

    path: Path = field(converter=_itself)
    connect_to: sqlite.Connect = sqlite.connect
    ballast: int = BALLAST
    sealing: Sealing | None = None

    def __str__(self) -> str:
        return str(self.path)

    def exists(self) -> bool:
        """As any."""
        return os.path.exists(self.path)  # no matter what's wrong with the name

    def connect(self) -> Source:
        """As any."""
        return sqlite_read.connect(self.path)

    def store(self, signer: Signer | None = None, anchored: Anchored = tuple, tell: Tell = _silent) -> Store:
        """As any."""

        def warn(reason: str) -> None:
            tell("ledger.warning", {"reason": reason})

        return sqlite.LedgerFile(self.path, self.connect_to, signer, anchored, self.ballast, warn)

    def receiver(self) -> Receiver:
        """As any."""
        return FileReceiver(self.path)


@frozen
class InDatabase:
    """A ledger in a PostgreSQL database. Needs the extra ``postgres``.

    Args:
        sealing: what opens its payloads.
        spooling: where records wait while it's away; None: they don't.
    """

    address: Address = field(repr=False)
    sealing: Sealing | None = None
    spooling: Spooling | None = None

    def __str__(self) -> str:
        return str(self.address)

    def exists(self) -> bool:
        """As any."""
        return True

    def connect(self) -> Source:
        """As any."""
        from failsoft.ledger.postgres import read as postgres_read

        return postgres_read.connect(self.address)

    def store(self, signer: Signer | None = None, anchored: Anchored = tuple, tell: Tell = _silent) -> Store:
        """As any."""
        from failsoft.ledger.postgres import store as postgres

        store = postgres.LedgerDatabase(self.address, signer, anchored)
        if self.spooling is None:
            return store

        def spools(reason: str | None) -> None:
            tell("ledger.recovered", {}) if reason is None else tell(
                "ledger.failed", {"reason": reason, "policy": "spool"}
            )

        return SpoolingStore(store, self.spooling, spools)

    def log_beside(self, other: InDatabase) -> str | None:
        """The log's name, where this and the other address lead to the same tables; None where they don't.

        Raises:
            LedgerInvalid: there's no ledger at one of them, or it can't be read.
        """
        from failsoft.ledger.postgres import read as postgres_read

        return postgres_read.same_log(self.address, other.address)

    def receiver(self) -> Receiver:
        """As any."""
        from failsoft.ledger.postgres.receiving import DatabaseReceiver

        return DatabaseReceiver(self.address)


def is_same(one: Location, other: Location) -> bool:
    """Is it one place, whoever asks and whatever opens its payloads?"""
    if isinstance(one, InFile) and isinstance(other, InFile):
        return one.path == other.path or (one.exists() and other.exists() and one.path.samefile(other.path))
    return str(one) == str(other)


_MEANT_OTHERWISE = re.compile(
    r""" ://                                # of something else
    | ^ \s* (?: postgres(?:ql)? | sqlite ) \s* (?: : | // )
    | \b pass (?: word | wd | file )? \s* =  # as libpq takes it: host=… password=…
    | ^ [^/]* : [^/]* @                     # user:password@host""",
    re.VERBOSE | re.IGNORECASE,
)
"""An address that's mistyped, rather than a file's name."""


def locate(ledger: str | Path | Location) -> Location:
    """The place that's named.

    Args:
        ledger: a path, or a URL as a configuration has it: ``sqlite:///…``, ``postgresql://…``.

    Raises:
        LedgerInvalid: it's no address of a database, or the extra that it needs isn't installed.
    """
    if isinstance(ledger, Path):
        return InFile(ledger)
    if not isinstance(ledger, str):
        return ledger
    if not is_postgres(ledger):
        file = ledger.removeprefix("sqlite:///")
        if _MEANT_OTHERWISE.search(file):  # it may hold a password: its text isn't shown
            raise LedgerInvalid("the ledger's address: a file, sqlite:///file.db, or postgresql://host/database")
        return InFile(Path(file))
    try:
        return InDatabase(Address.parse(ledger))
    except ConfigurationError as error:
        raise LedgerInvalid(f"the ledger's address: {error.problems[0]}") from None
