"""What the ledger's tests share: evidence, clocks, faults. No tests."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from failsoft.context import Actor, CallContext, Case
from failsoft.core.evidence import Attempt, CallCompleted, CallStarted
from failsoft.ledger.location import InFile, Location, locate
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.writing.composing import Batch, Composer
from failsoft.ledger.writing.ticket import Ticket
from failsoft.ledger.writing.writer import StoredLedger
from failsoft.outcome import Grade, Pin, Served, Source
from failsoft.postgres_address import is_postgres
from failsoft.prompt import Sampling

START = 1_795_442_400_000_000_000  # 2026-11-23T14:00:00Z


class SteppedClock:
    """A clock that goes on by a microsecond at each look, and by whatever it's told."""

    def __init__(self) -> None:
        self.now = 0
        self.wall = START

    def monotonic_ns(self) -> int:
        self.now += 1000
        return self.now

    def time_ns(self) -> int:
        self.wall += 1000
        return self.wall


class SystemClock:
    monotonic_ns = staticmethod(time.monotonic_ns)
    time_ns = staticmethod(time.time_ns)


def ledger_at(place: Path | str | Location, **options: Any) -> StoredLedger:
    where = {
        name: options.pop(option)
        for name, option in (("connect_to", "connect"), ("ballast", "ballast"))
        if option in options
    }
    location: Location
    if isinstance(place, Path) or (isinstance(place, str) and not is_postgres(place)):
        location = InFile(Path(place), **{"ballast": 64 * 1024, **where})
    else:
        location = locate(place)
    settings: dict[str, Any] = {
        "origin": "example.com/failsoft-test",
        "host": "worker-1",
        "clock": SteppedClock(),
        "back_off": (0.001, 0.01),
    }
    return StoredLedger(location, **{**settings, **options})


CONTEXT = CallContext(Case("SPE4A7-26-R-0001", "solicitation"), Actor("u-7", "user"), frozenset({"CUI"}))


def started(call_id: str = "call-1", **changes: Any) -> CallStarted:
    values: dict[str, Any] = {
        "call_id": call_id,
        "capability": "classify-item",
        "capability_version": "1",
        "request": b'{"description":"NUT,SELF-LOCKING,HEXAGON"}',
        "deadline_ms": 8000,
        "route": ("gpt", "local"),
        "context": CONTEXT,
        "config_sha256": "8f" * 32,
    }
    return CallStarted(**{**values, **changes})


def attempt(n: int = 1, **changes: Any) -> Attempt:
    values: dict[str, Any] = {
        "n": n,
        "adapter": "local",
        "adapter_version": "1",
        "endpoint": "http://127.0.0.1:8080/v1",
        "pin": Pin("SmolLM2"),
        "sampling": Sampling(max_tokens=64),
        "served": Served("SmolLM2", Grade.ECHOED, None, "chatcmpl-1"),
        "status": 200,
        "us": 412_345,
        "reply": b'{"id":"chatcmpl-1"}',
    }
    return Attempt(**{**values, **changes})


def completed(ticket: Any, call_id: str = "call-1", **changes: Any) -> CallCompleted:
    values: dict[str, Any] = {
        "call_id": call_id,
        "capability": "classify-item",
        "capability_version": "1",
        "started": ticket,
        "outcome": "answered",
        "degraded": False,
        "source": Source("adapter", "local", 1),
        "context": CONTEXT,
        "us": 415_000,
        "adapter_version": "1",
        "attempts": (attempt(),),
        "prompt": b'[{"content":"Which class?","role":"user"}]',
        "response": b'{"fsc":"5310"}',
    }
    return CallCompleted(**{**values, **changes})


def call(ledger: StoredLedger, call_id: str, **more: Any) -> tuple[Ticket, Ticket]:
    begin = ledger.submit(started(call_id, **more))
    return begin, ledger.submit(completed(begin, call_id, **more))


def settled(ticket: Ticket, seconds: float = 10.0) -> Any:
    """What the ticket's promise delivers."""
    done = threading.Event()
    ticket.promise.on_done(done.set)
    assert done.wait(seconds), "the ledger never answered"
    return ticket.promise.value


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for what another thread does; a time limit, not a delay."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.001)


def after_its_look(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Act once somebody has looked who's gone, and before they put on record what that one left open."""
    look = Composer._add_orphans

    def look_and_act(self: Composer, batch: Batch) -> None:
        look(self, batch)
        if batch.built:
            monkeypatch.setattr(Composer, "_add_orphans", look)
            assert [each.kind for each in batch.built] == [Kind.CALL_ORPHANED]
            act()

    monkeypatch.setattr(Composer, "_add_orphans", look_and_act)


class Faults:
    """A seam between ledger and SQLite: statements that begin so fail, as long as this says so."""

    def __init__(self) -> None:
        self.raises: dict[str, tuple[int, str]] = {}
        self.after: dict[str, tuple[int, str]] = {}
        self.gate: threading.Event | None = None
        self.reached = threading.Event()
        self.seen: list[str] = []

    def connect(self, uri: str) -> sqlite3.Connection:
        faults = self

        class Faulty(sqlite3.Connection):
            def executemany(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
                self._may(sql)
                return super().executemany(sql, *arguments)

            def _may(self, sql: str) -> None:
                for start, (code, text) in faults.raises.items():
                    if sql.startswith(start):
                        raise error(code, text)

            def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
                faults.seen.append(sql)
                if sql == "COMMIT" and faults.gate is not None:
                    faults.reached.set()
                    faults.gate.wait(10)
                self._may(sql)
                result = super().execute(sql, *arguments)
                for start, (code, text) in faults.after.items():
                    if sql.startswith(start):
                        raise error(code, text)
                return result

        return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, factory=Faulty)


def error(code: int, text: str) -> sqlite3.OperationalError:
    made = sqlite3.OperationalError(text)
    made.sqlite_errorcode = code
    return made


def rows(path: Path, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query, arguments).fetchall()
    finally:
        connection.close()


def types(path: Path) -> list[str]:
    return [kind for (kind,) in rows(path, "SELECT type FROM ledger_record ORDER BY seq")]


def seeded(seed: int = 7) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes
