"""A process whose database goes away: it spools, says so, and waits to be killed. Arguments: URL, folder."""

from __future__ import annotations

import sys
from pathlib import Path

from ledgers import SystemClock, call, completed, ledger_at, settled, started

from failsoft.core.effects import Recorded
from failsoft.ledger.location import InDatabase
from failsoft.ledger.spool.file import Spooling
from failsoft.postgres_address import Address


def main(url: str, folder: str) -> None:
    place = InDatabase(Address.parse(url), spooling=Spooling(Path(folder), SystemClock()))
    ledger = ledger_at(place, clock=SystemClock(), policy="spool")
    ledger.open()
    begin = ledger.submit(started("begun"))
    settled(begin)
    print("begun", flush=True)
    sys.stdin.readline()
    for ticket in (*call(ledger, "spooled"), ledger.submit(completed(begin, "begun")), ledger.submit(started("open"))):
        result = settled(ticket, 60)
        assert isinstance(result, Recorded), result
        assert result.index is None
    print("spooled", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
