"""Processes that write to one ledger and are killed at random moments, again and again, and what is found afterwards.

    ./dev bench crash                          100 kills on SQLite, 100 on PostgreSQL, some minutes
    ./dev bench crash --kills 20 --seed 7      shorter

Four processes write calls, tell each record that was acknowledged, and are killed with ``kill -9`` one after the other,
each started anew at once. At the end: what was acknowledged is there exactly once, each call that was started is
completed or orphaned, the tree is whole, and no emitter has a gap. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))  # it's run as a script, too

from benchmarks.ledger import SystemClock, completed, started
from failsoft.core.effects import Recorded
from failsoft.ledger.location import locate
from failsoft.ledger.read import read
from failsoft.ledger.verify import verify
from failsoft.ledger.writing.ticket import Ticket
from failsoft.ledger.writing.writer import StoredLedger

WRITERS = 4
AT_ONCE = 8
"""Calls of one writer that are under way together."""

LONGEST = 1.2
"""Seconds between two kills, at most: from before a writer has opened the ledger to well into its work."""


def write(place: str, name: str) -> None:
    """Be one of the writers, for ever: begin, end, and say so."""
    ledger = StoredLedger(locate(place), origin="crash", host="worker-1", clock=SystemClock())
    ledger.open()
    for number in range(1_000_000):
        names = [f"{name}-{number}-{each}" for each in range(AT_ONCE)]
        tickets = [(call_id, ledger.submit(started(call_id))) for call_id in names]
        tell(ticket for _, ticket in tickets)
        tell(ledger.submit(completed(call_id, begin)) for call_id, begin in tickets)


def tell(tickets: Iterable[Ticket]) -> None:
    """Wait for each, and print its place and its leaf."""
    for ticket in list(tickets):
        done = threading.Event()
        ticket.promise.on_done(done.set)
        done.wait()
        if isinstance(ticket.promise.value, Recorded):
            print(ticket.promise.value.index, ticket.promise.value.leaf.hex(), flush=True)


class Writer:
    """A process of them, and what it was told: in a file, so that it outlives a kill, to the last whole line."""

    def __init__(self, place: str, name: str, folder: Path) -> None:
        self.told = folder / f"{name}.txt"
        self.ended_by_itself = False
        with self.told.open("wb") as out:
            self.process = subprocess.Popen([sys.executable, __file__, "--write", place, name], stdout=out)

    def kill(self) -> None:
        """``kill -9``."""
        self.ended_by_itself = self.process.poll() is not None
        self.process.kill()
        self.process.wait()

    def lines(self) -> list[str]:
        """What it has printed."""
        return self.told.read_text().split("\n")[:-1]


Pause = Callable[[Writer, Random], None]
"""Given the next victim: returns at a random moment of its life."""


def some_time(_: Writer, random: Random) -> None:
    """By the clock."""
    time.sleep(random.uniform(0, LONGEST))


def stormed(place: str, folder: Path, kills: int, random: Random, pause: Pause = some_time) -> list[Writer]:
    """All writers that there ever were; none is left."""
    names = (f"w{number}" for number in range(kills + WRITERS))
    writers = [Writer(place, next(names), folder) for _ in range(WRITERS)]
    running = list(writers)
    try:
        for _ in range(kills - WRITERS):
            at = random.randrange(WRITERS)
            pause(running[at], random)
            running[at].kill()
            running[at] = Writer(place, next(names), folder)
            writers.append(running[at])
    finally:
        for each in running:
            each.kill()
    return writers


def closed(place: str) -> None:
    """Two lives more: whoever comes next names the orphans, and there's nothing left for the one after."""
    for _ in range(2):
        ledger = StoredLedger(locate(place), origin="crash", host="worker-1", clock=SystemClock())
        ledger.open()
        ledger.close(60)


def examined(place: str, writers: list[Writer]) -> dict[str, int]:
    """What is there, held against what was told.

    Raises:
        AssertionError: something isn't as it must be.
    """
    assert not any(each.ended_by_itself for each in writers)
    told = [line.split() for each in writers for line in each.lines()]
    found = verify(place)
    assert found.exit_code == 0, found.summary()
    assert found.in_flight == 0
    log, ends, numbers = dict[int, str](), Counter[str](), dict[str, list[int]]()
    begun, bodies = set[str](), Counter[bytes | None]()
    with read(place) as reader:
        for each in reader.records():
            log[each.index] = each.leaf.hex()
            bodies[each.body] += 1
            if each.emitter is not None:
                numbers.setdefault(each.emitter, []).append(each.fields["eseq"])
            if each.call_id is not None and each.kind == "call.started":
                begun.add(each.call_id)
            elif each.call_id is not None:
                ends[each.call_id] += 1
    lost = [each for each in told if log.get(int(each[0])) != each[1]]
    assert not lost, lost[:5]
    assert len({each[0] for each in told}) == len(told)
    assert max(bodies.values()) == 1
    assert begun == ends.keys()
    assert set(ends.values()) == {1}
    assert all(each == list(range(len(each))) for each in numbers.values())
    return {
        "killed": len(writers),
        "killed_before_a_word": sum(not each.told.stat().st_size for each in writers),
        "acknowledged": len(told),
        "records": found.size,
        "calls": len(begun),
        "orphaned": found.kinds.get("call.orphaned", 0),
        "emitters": len(numbers),
    }


def storm(place: str, folder: Path, kills: int, seed: int) -> dict[str, int]:
    """One storm on one ledger, and what was found."""
    begin = time.monotonic()
    writers = stormed(place, folder, kills, Random(seed))
    seconds = time.monotonic() - begin
    closed(place)
    return {**examined(place, writers), "seconds": round(seconds)}


def main() -> None:
    """Both stores."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=100, help="on each store")
    parser.add_argument("--seed", type=int, default=26_104)
    given = parser.parse_args()
    postgres_server: Any = import_module("tests.postgres_server").postgres_server
    figures: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory(dir=".") as folder:
        figures["sqlite"] = storm(str(Path(folder) / "x.db"), Path(folder), given.kills, given.seed)
    with tempfile.TemporaryDirectory(dir=".") as folder, postgres_server() as server:
        figures["postgresql"] = storm(server.url, Path(folder), given.kills, given.seed)
    for store, each in figures.items():
        print(store, *(f"{value:,} {name.replace('_', ' ')}" for name, value in each.items()), sep="\n  ")
    print(json.dumps({"seed": given.seed, **figures}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        write(*sys.argv[2:])
    else:
        main()
