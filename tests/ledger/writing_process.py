"""A process that writes calls to a ledger and prints each that was acknowledged.

Arguments: path, name, how many times eight calls; or path, ``leave-open``, how many calls to leave open.
"""

from __future__ import annotations

import sys

from ledgers import SystemClock, call, completed, ledger_at, settled, started

from failsoft.core.effects import Recorded


def main(path: str, name: str, calls: int) -> None:
    ledger = ledger_at(path, clock=SystemClock())
    ledger.open()
    for number in range(calls):
        batch = [call(ledger, f"{name}-{number}-{each}") for each in range(8)]
        for begin, end in batch:
            for ticket in (begin, end):
                result = settled(ticket, 60)
                assert isinstance(result, Recorded), result
                print(result.index, result.leaf.hex(), flush=True)
    ledger.close(30)


def leave_open(path: str, count: int) -> None:
    """Begin calls and wait to be killed."""
    ledger = ledger_at(path, clock=SystemClock())
    ledger.open()
    tickets = [ledger.submit(started(f"left-{number}")) for number in range(count)]
    tickets.append(ledger.submit(completed(tickets[0], "left-0")))
    for each in tickets:
        settled(each)
    print("ready", flush=True)
    sys.stdin.read()


def run() -> None:
    if sys.argv[2] == "leave-open":
        leave_open(sys.argv[1], int(sys.argv[3]))
    else:
        main(sys.argv[1], sys.argv[2], int(sys.argv[3]))


if __name__ == "__main__":
    run()
