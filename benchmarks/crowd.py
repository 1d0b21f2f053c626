"""Eight processes with 64 tasks each on one ledger: how much they record together, and whether the log is whole afterwards.

    ./dev bench crowd                     20,000 calls in all on SQLite, and as many on PostgreSQL
    ./dev bench crowd --calls 100000

Each task makes one call after the other, as the asyncio driver does it: a record before, a record after, both durable. All
processes begin together. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))  # it's run as a script, too

from benchmarks.ledger import SystemClock, asyncio_tasks
from failsoft.ledger.location import locate
from failsoft.ledger.read import read
from failsoft.ledger.verify import verify
from failsoft.ledger.writing.writer import StoredLedger

PROCESSES = 8
TASKS = 64


def be_one(place: str, name: str, calls: int) -> None:
    """Open the ledger, say so, wait for the word, make the calls, and tell how long each record took."""
    ledger = StoredLedger(locate(place), origin="crowd", host="worker-1", clock=SystemClock())
    ledger.open()
    print("ready", flush=True)
    sys.stdin.readline()
    waits = asyncio.run(asyncio_tasks(ledger, calls, TASKS, name))
    print(json.dumps(waits), flush=True)
    ledger.close(60)


def crowd(place: str, calls: int) -> dict[str, float]:
    """So many calls by each process; what that took.

    Raises:
        AssertionError: a process failed, or the log isn't whole.
    """
    command = [sys.executable, __file__, "--be", place]
    processes = [
        subprocess.Popen(
            [*command, f"p{number}-", str(calls)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for number in range(PROCESSES)
    ]
    waits: list[float] = []
    try:
        for each in processes:
            assert each.stdout is not None
            assert each.stdout.readline() == "ready\n"
        begin = time.monotonic()
        for each in processes:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        for each in processes:
            assert each.stdout is not None
            waits += json.loads(each.stdout.readline())
        seconds = time.monotonic() - begin
        assert [each.wait(60) for each in processes] == [0] * PROCESSES
    finally:
        for each in processes:
            each.kill()
            each.communicate()
    examined(place, calls)
    waits.sort()
    return {
        "records_per_s": round(len(waits) / seconds),
        "records": len(waits),
        "p50_ms": round(1000 * waits[len(waits) // 2], 1),
        "p99_ms": round(1000 * waits[len(waits) * 99 // 100], 1),
        "worst_ms": round(1000 * waits[-1], 1),
    }


def examined(place: str, calls: int) -> None:
    """Every record of every process, the whole tree, no gap.

    Raises:
        AssertionError: that's not what is there.
    """
    found = verify(place)
    assert found.exit_code == 0, found.summary()
    assert found.kinds["call.started"] == found.kinds["call.completed"] == calls * PROCESSES
    assert found.kinds["emitter.opened"] == found.kinds["emitter.closed"] == PROCESSES
    numbers = dict[str, list[int]]()
    with read(place) as reader:
        for each in reader.records():
            if each.emitter is not None:
                numbers.setdefault(each.emitter, []).append(each.fields["eseq"])
    assert [each == list(range(2 * calls + 2)) for each in numbers.values()] == [True] * PROCESSES


def main() -> None:
    """Both stores."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--calls", type=int, default=20_000, help="of all processes together")
    calls = parser.parse_args().calls // PROCESSES
    postgres_server: Any = import_module("tests.postgres_server").postgres_server
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(dir=".") as folder:
        figures["sqlite"] = crowd(str(Path(folder) / "x.db"), calls)
    with postgres_server() as server:
        figures["postgresql"] = crowd(server.url, calls)
    for store, each in figures.items():
        print(store, *(f"{value:,} {name}" for name, value in each.items()), sep="\n  ")
    print(json.dumps(figures))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--be"]:
        be_one(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
