"""What a bundle costs: making one of a case of 50 calls in a long signed log, and verifying it with the standalone file.

Run ``python benchmarks/bundle.py [records]``: lines for people, and last a single JSON object.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from hashlib import sha256
from pathlib import Path

from failsoft.context import Actor, CallContext, Case
from failsoft.core.evidence import Attempt, CallCompleted, CallStarted, ConfigActivated
from failsoft.ledger.bundles.bundle import make, verifier
from failsoft.ledger.bundles.selection import Wanted
from failsoft.ledger.checkpoints.publishing import Signing
from failsoft.ledger.keys.ed25519 import SigningKey
from failsoft.ledger.location import locate
from failsoft.ledger.read import read
from failsoft.ledger.writing.ticket import Ticket
from failsoft.ledger.writing.writer import StoredLedger
from failsoft.outcome import Grade, Pin, Served, Source

CALLS = 50
CASE = "SPE4A7-26-R-0001"
SNAPSHOT = b'{"adapters":{"local":{"model":"small-1"}}}'
PAYLOAD = b'{"description":"' + b"NUT,SELF-LOCKING,HEXAGON " * 40 + b'"}'
PIN = Pin("small-1")


class SystemClock:
    """The machine's own."""

    monotonic_ns = staticmethod(time.monotonic_ns)
    time_ns = staticmethod(time.time_ns)


def call(ledger: StoredLedger, call_id: str, case: str) -> Ticket:
    """One that a local model answered."""
    context = CallContext(Case(case), Actor("u-7"), frozenset({"CUI"}))
    digest = sha256(SNAPSHOT).hexdigest()
    begin = ledger.submit(CallStarted(call_id, "classify-item", "1", PAYLOAD, 8000, ("local",), context, digest))
    attempt = Attempt(
        1, "local", "1", None, PIN, served=Served("small-1", Grade.ECHOED), status=200, us=400_000, reply=PAYLOAD
    )
    return ledger.submit(
        CallCompleted(
            *(call_id, "classify-item", "1", begin, "answered", False, Source("adapter", "local", 1), context, 415_000),
            attempts=(attempt,),
            prompt=PAYLOAD,
            response=b'{"fsc":"5310"}',
        )
    )


def fill(path: Path, key: SigningKey, records: int) -> None:
    """The log: the case's calls, spread evenly among others'."""
    ledger = StoredLedger(
        locate(path), clock=SystemClock(), signing=Signing(key, path.with_name("state")), max_queue=2 * records
    )
    ledger.open()
    ledger.submit(ConfigActivated(SNAPSHOT, (("classify-item", "1"),), (("local", "1", PIN),)))
    others = records // 2
    for number in range(others):
        last = call(ledger, f"c{number}", CASE if number % (others // CALLS) == 0 else f"T-{number}")
    done = threading.Event()
    last.promise.on_done(done.set)
    done.wait(600)
    ledger.close(60)


def main(records: int) -> None:
    """Measure and print."""
    key = SigningKey("example.com/bench", bytes(32))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "x.db", key, records)
        begin = time.perf_counter()
        with read(folder / "x.db") as reader:
            made = make(reader, Wanted(cases=(CASE,)), key)
        making = time.perf_counter() - begin
        (folder / "b.zip").write_bytes(made.data)
        (folder / "verify.py").write_bytes(verifier())
        begin = time.perf_counter()
        command = [sys.executable, "-I", "-S", "verify.py", "b.zip", "--key", str(key.verifier)]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        verifying = time.perf_counter() - begin
    figures = {
        "records in the log": made.size,
        "calls in the bundle": len(made.call_ids),
        "records in the bundle": made.records,
        "bytes": len(made.data),
        "seconds to make": making,
        "seconds to verify alone": verifying,
    }
    for title, value in figures.items():
        print(f"{title:26} {value:12,.3f}")
    print(json.dumps({title: round(value, 3) for title, value in figures.items()}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
