"""One process of a fleet, under load: a program, no tests.

    fleet_process.py CONFIGURATION JOURNAL MENDED

Its adapter fails until the file MENDED exists. Each attempt that a half-open breaker lets through is a line of JOURNAL. It
calls until its standard input ends.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from failsoft import Capability, Isolation
from failsoft.core.effects import Ask


class Item(BaseModel, frozen=True):
    description: str


class Rating(BaseModel):
    stars: int


class RateItem(Capability[Item, Rating]):
    """How many stars?"""

    def fallback(self, request: Item) -> Rating:
        return Rating(stars=0)


def main() -> None:
    configuration, journal, mended = map(Path, sys.argv[1:])
    isolation = Isolation.from_file(configuration, capabilities=[RateItem])
    out = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    @isolation.adapter(
        "a",
        model="m-1",
        text=lambda reply: reply,
        attempts=1,
        breaker={"open_base_s": 0.6, "open_cap_s": 0.6, "jitter": 0.0},
    )
    def ask(ask: Ask) -> Any:
        state = isolation.health().adapters["a"].state
        if state == "half_open":
            os.write(out, f"{time.monotonic()} {os.getpid()} {mended.exists()}\n".encode())
        if not mended.exists():
            raise ConnectionError
        return '{"stars": 3}'

    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    with isolation:
        print("ready", flush=True)
        told = False
        while not ended.wait(0.05):
            outcome = isolation[RateItem].sync(Item(description="bolt"))
            if outcome.by_ai and not told:
                told = True
                print("answered", flush=True)


if __name__ == "__main__":
    main()
