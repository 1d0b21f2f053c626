"""Many processes at once on one ledger, and processes that are killed at random: short runs of what the benchmarks do at
length (`benchmarks/crash.py`, `benchmarks/crowd.py`)."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from benchmarks import crash, crowd
from ledgers import until
from tests.postgres_server import PostgresServer

KILLS = 12
"""On each store."""


def place_of(store: str, folder: Path, server: PostgresServer, name: str) -> str:
    return str(folder / "x.db") if store == "file" else f"{server.url}&schema={name}"


def some_words(victim: crash.Writer, random: Random) -> None:
    """Until it has said so much: from nothing at all to a few batches. No clock decides."""
    words = random.choice((0, 1, 7, 16, 40, 90))
    until(lambda: len(victim.lines()) >= words, 120)


@pytest.mark.parametrize("store", ["file", "database"])
def test_processes_killed_at_random_lose_nothing_that_was_acknowledged(
    store: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    place = place_of(store, tmp_path, postgres, "stormed")
    writers = crash.stormed(place, tmp_path, KILLS, Random(KILLS), some_words)
    crash.closed(place)
    found = crash.examined(place, writers)
    assert found["killed"] == KILLS
    assert found["acknowledged"] > 100


@pytest.mark.parametrize("store", ["file", "database"])
def test_eight_processes_of_64_tasks_write_one_whole_log(store: str, postgres: PostgresServer, tmp_path: Path) -> None:
    figures = crowd.crowd(place_of(store, tmp_path, postgres, "crowded"), crowd.TASKS)
    assert figures["records"] == 2 * crowd.PROCESSES * crowd.TASKS
