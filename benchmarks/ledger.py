"""What the ledger costs: commits for one caller and many, verification, memory, proofs, the caller's share of a submit.

Run ``python benchmarks/ledger.py [records] [--postgres]``: lines for people, and last a single JSON object.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from importlib import import_module
from pathlib import Path
from typing import Any

from failsoft.context import Actor, CallContext, Case
from failsoft.core.effects import SECOND, Append, Effect, HttpRequest, Recorded, Tokens, Unrecorded
from failsoft.core.evidence import Attempt, CallCompleted, CallStarted
from failsoft.fault import Fault
from failsoft.io.drive_async import AsyncDriver
from failsoft.ledger.location import InFile, locate
from failsoft.ledger.read import read
from failsoft.ledger.verify import verify
from failsoft.ledger.writing.ticket import Ticket
from failsoft.ledger.writing.writer import StoredLedger
from failsoft.outcome import Grade, Pin, Served, Source
from failsoft.prompt import Sampling

TASKS = 64
PAYLOAD = b'{"description":"' + b"NUT,SELF-LOCKING,HEXAGON " * 40 + b'"}'
CONTEXT = CallContext(Case("SPE4A7-26-R-0001", "solicitation"), Actor("u-7", "user"))
PIN = Pin("SmolLM2-135M-Instruct-Q4_1")


class SystemClock:
    """The machine's own."""

    monotonic_ns = staticmethod(time.monotonic_ns)
    time_ns = staticmethod(time.time_ns)


class Nobody:
    """Nothing is sent here."""

    async def exchange(self, request: HttpRequest, until: int) -> Fault:
        """Never called."""
        raise NotImplementedError


def waiting_for(ticket: Ticket) -> Generator[Effect, Any, Recorded | Unrecorded | None]:
    """A call's wait for its record, as a driver performs it."""
    result: Recorded | Unrecorded | None = yield Append(ticket, time.monotonic_ns() + 10 * SECOND)
    return result


def started(call_id: str) -> CallStarted:
    """A realistic start."""
    return CallStarted(call_id, "classify-item", "1", PAYLOAD, 8000, ("gpt", "local"), CONTEXT, "8f" * 32)


def completed(call_id: str, begin: Ticket) -> CallCompleted:
    """A realistic end: one attempt, prompt, reply and response."""
    attempt = Attempt(
        n=1,
        adapter="local",
        adapter_version="1",
        endpoint="http://127.0.0.1:8080/v1",
        pin=PIN,
        sampling=Sampling(max_tokens=64),
        served=Served(PIN.model, Grade.ECHOED, None, "chatcmpl-1"),
        status=200,
        tokens=Tokens(61, 9),
        us=412_345,
        reply=b'{"id":"chatcmpl-1","choices":[{"message":{"content":"{\\"fsc\\":\\"5310\\"}"}}]}',
    )
    return CallCompleted(
        call_id, "classify-item", "1", begin, "answered", False, Source("adapter", "local", 1), CONTEXT, 415_000, "1",
        (attempt,), (), PAYLOAD, b'{"fsc":"5310"}',
    )  # fmt: skip


async def asyncio_tasks(ledger: StoredLedger, calls: int, tasks: int, name: str = "") -> list[float]:
    """Each task makes one call after the other, all under this name; seconds that each append took."""
    numbers, waits = iter(range(calls)), list[float]()
    driver = AsyncDriver(Nobody(), SystemClock())

    async def one(ticket: Ticket) -> None:
        begin = time.perf_counter()
        result = await driver.drive(waiting_for(ticket))
        assert isinstance(result, Recorded), result
        waits.append(time.perf_counter() - begin)

    async def task() -> None:
        for number in numbers:
            begin = ledger.submit(started(f"{name}{tasks}-{number}"))
            await one(begin)
            await one(ledger.submit(completed(f"{name}{tasks}-{number}", begin)))

    await asyncio.gather(*(task() for _ in range(tasks)))
    return waits


def threads(ledger: StoredLedger, calls: int) -> None:
    """The same with threads, as the sync driver waits."""
    numbers, lock = iter(range(calls)), threading.Lock()

    def wait(ticket: Ticket) -> None:
        done = threading.Event()
        ticket.promise.on_done(done.set)
        done.wait()
        assert isinstance(ticket.promise.value, Recorded)

    def work() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            begin = ledger.submit(started(f"t{number}"))
            wait(begin)
            wait(ledger.submit(completed(f"t{number}", begin)))

    workers = [threading.Thread(target=work) for _ in range(TASKS)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()


def calls_in_a_submit(ledger: StoredLedger) -> int:
    """Python calls in the caller's thread."""
    count, evidence = 0, started("counted")

    def profile(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(profile)
    ledger.submit(evidence)
    sys.setprofile(None)
    return count


def megabytes() -> float:
    """Peak resident memory of this program so far (``ru_maxrss`` would be the parent's, where that is more)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def verification(path: str) -> None:
    """Verify, and print what that took."""
    before, begin, used = megabytes(), time.perf_counter(), time.process_time()
    found = verify(path)
    seconds, used = time.perf_counter() - begin, time.process_time() - used
    assert found.exit_code == 0, found.summary()
    begin = time.perf_counter()
    assert verify(path, hashes_only=True).root == found.root
    hashed = time.perf_counter() - begin
    figures = {
        "verified_records": found.size,
        "verify_records_per_s": found.size / seconds,
        "verify_records_per_cpu_s": found.size / used,
        "hashes_records_per_s": found.size / hashed,
        "verify_memory_grew_mb": megabytes() - before,
    }
    print(json.dumps(figures | proofs(path, found.size)))


def proofs(path: str, size: int) -> dict[str, float]:
    """That one record stands in the log: 200 of them, all over it."""
    taken: list[float] = []
    with read(path) as reader:
        for index in range(0, size, max(1, size // 200)):
            begin = time.perf_counter()
            reader.inclusion(index)
            taken.append(1000 * (time.perf_counter() - begin))
    taken.sort()
    return {"proof_p50_ms": taken[len(taken) // 2], "proof_max_ms": taken[-1]}


def in_a_process_of_its_own(place: str) -> dict[str, float]:
    """Peak memory only ever rises: verification's own is seen in a process that did nothing else."""
    command = [sys.executable, __file__, "--verify", place]
    figures: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return figures


def grouped(ledger: StoredLedger, calls: int, tasks: int) -> dict[str, float]:
    """Group commit under so many tasks: records a second, and what one append takes."""
    begin = time.perf_counter()
    waits = sorted(asyncio.run(asyncio_tasks(ledger, calls, tasks)))
    return {
        f"asyncio_{tasks}_records_per_s": 2 * calls / (time.perf_counter() - begin),
        f"asyncio_{tasks}_p50_ms": 1000 * waits[len(waits) // 2],
        f"asyncio_{tasks}_p99_ms": 1000 * waits[len(waits) * 99 // 100],
    }


def in_a_file(calls: int, folder: Path) -> dict[str, float]:
    """SQLite."""
    path = folder / "bench.db"
    ledger = StoredLedger(InFile(path), clock=SystemClock())
    ledger.open()
    figures = grouped(ledger, min(calls, 1000), 1) | grouped(ledger, calls, TASKS)
    begin = time.perf_counter()
    threads(ledger, calls)
    figures["threads_64_records_per_s"] = 2 * calls / (time.perf_counter() - begin)
    tickets = [ledger.submit(started(f"posted{number}")) for number in range(100)]
    figures["calls_in_a_submit"] = calls_in_a_submit(ledger)
    begin = time.perf_counter()
    tickets += [ledger.submit(started(f"timed{number}")) for number in range(2000)]
    figures["submit_us"] = (time.perf_counter() - begin) / 2000 * 1e6
    ledger.close(60)
    figures |= in_a_process_of_its_own(str(path))
    return figures | {"bytes_per_record": path.stat().st_size / figures["verified_records"]}


def in_postgres(calls: int) -> dict[str, float]:
    """A real server beside, as tests start it."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    postgres_server: Any = import_module("tests.postgres_server").postgres_server
    figures: dict[str, float] = {}
    with postgres_server() as server:
        for tasks in (1, 64, 256):
            ledger = StoredLedger(locate(server.url), clock=SystemClock(), origin="bench")
            ledger.open()
            figures |= grouped(ledger, calls if tasks > 1 else min(calls, 1000), tasks)
            ledger.close(60)
        return figures | in_a_process_of_its_own(server.url)


def main(records: int, *, postgres: bool) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        figures = in_postgres(records // 2) if postgres else in_a_file(records // 2, Path(folder))
    for name, value in figures.items():
        print(f"{name:28} {value:12,.1f}")
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--verify"]:
        verification(sys.argv[2])
    else:
        given = [each for each in sys.argv[1:] if each != "--postgres"]
        main(int(given[0]) if given else 40_000, postgres="--postgres" in sys.argv)
