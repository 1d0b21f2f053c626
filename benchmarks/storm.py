"""Two bad minutes: 200 callers at once, a real language model, and between them a proxy that spoils its replies.

    ./dev bench storm [SECONDS]

Each caller classifies one item after the other, with a deadline of 8 s. The proxy goes through a script: calm, late, cut and
corrupted, 429, 529, reset, everything at once, calm again. At the end nobody may be unanswered, nobody late, and the ledger
must verify.
What `failsoft status` shows is printed on the way. The last line is one JSON object.
"""

from __future__ import annotations

import asyncio
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import cycle
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))  # it's run as a script, too
sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))

from failsoft import Isolation, Outcome
from failsoft.ledger.verify import verify
from failsoft.testing import USUAL, FaultServer, Rates, faults, wire
from failsoft.testing.reaction import Script
from procurement.capabilities import ClassifyItem, Item
from procurement.server_process import ModelServer

ROOT = Path(__file__).parent.parent
CALLERS = 200
DEADLINE = 8.0
ALLOWANCE = 0.25
"""Seconds by which a caller may see its answer after the deadline: 200 tasks share two cores with the model."""

PHASES: tuple[tuple[str, Script], ...] = (
    ("calm", USUAL),
    ("late", Rates({USUAL.delayed("3s"): 0.5}, seed=1)),
    ("cut and corrupted", Rates({wire.CUT: 0.3, wire.CORRUPTED: 0.3, wire.CUT_CHUNK: 0.1}, seed=2)),
    ("429 storm", faults.RATE_LIMITED(after="2s")),
    ("529", faults.OVERLOADED),
    ("reset", faults.RESET),
    (
        "everything",
        Rates(
            {
                USUAL.delayed("3s"): 0.1,
                wire.CUT: 0.1,
                wire.CORRUPTED: 0.1,
                faults.HANG: 0.1,
                faults.RATE_LIMITED(after="1s"): 0.1,
                faults.OVERLOADED: 0.1,
                faults.SERVER_ERROR: 0.1,
                wire.DRIPPED_BODY: 0.1,
            },
            seed=3,
        ),
    ),
    ("calm again", USUAL),
)

CONFIG = """
[ledger]
url = "sqlite:///storm.db"

[adapters.local]
provider = "openai-compatible"
base_url = "{base_url}"
model = "SmolLM2-135M-Instruct-Q4_1"
concurrency = 1                      # it answers one after the other: more at once only wait longer

[capabilities.classify-item]
class = "procurement.capabilities:ClassifyItem"
fallback = "procurement.rules:KeywordTable"
adapters = ["local"]
deadline = "8s"
"""


class Tally:
    """What the callers saw, by phase."""

    def __init__(self) -> None:
        self.phase = PHASES[0][0]
        self.by_phase: dict[str, Counter[str]] = {name: Counter() for name, _ in PHASES}
        self.longest = 0.0
        self.unanswered = self.late = 0

    def answered(self, outcome: Outcome[Any], seconds: float) -> None:
        """One call."""
        counts = self.by_phase[self.phase]
        counts["calls"] += 1
        counts["by AI" if outcome.by_ai else "by the fallback"] += 1
        for each in outcome.passed_over[:1] if outcome.degraded else ():
            counts[each.reason] += 1
        self.longest = max(self.longest, seconds)
        self.late += seconds > DEADLINE + ALLOWANCE


async def caller(isolation: Isolation, items: Any, ends: float, tally: Tally) -> None:
    """Ask until it's over."""
    classify = isolation[ClassifyItem]
    while (begun := time.monotonic()) < ends:
        try:
            outcome = await classify(next(items))
        except Exception as error:
            tally.unanswered += 1
            print("unanswered:", repr(error))
        else:
            tally.answered(outcome, time.monotonic() - begun)
        await asyncio.sleep(0.2)  # a person reads the answer


async def storm(isolation: Isolation, proxy: FaultServer, seconds: float, folder: Path) -> Tally:
    """All phases."""
    with (ROOT / "examples/procurement/items.csv").open(encoding="utf-8") as file:
        items = cycle([Item(description=row["description"]) for row in csv.DictReader(file)])
    tally, each = Tally(), seconds / len(PHASES)
    async with isolation:
        ends = time.monotonic() + seconds
        callers = [asyncio.create_task(caller(isolation, items, ends, tally)) for _ in range(CALLERS)]
        for name, script in PHASES:
            proxy.play(script)
            tally.phase = name
            await asyncio.sleep(each * 0.8)
            await show(folder, name)
            await asyncio.sleep(each * 0.2)
        await asyncio.gather(*callers)
    return tally


async def show(folder: Path, phase: str) -> None:
    """What an operator sees meanwhile, from another process."""
    program = [sys.executable, "-m", "failsoft", "status", "--config", str(folder / "failsoft.toml")]
    environment = {"PYTHONPATH": str(ROOT / "examples"), "COLUMNS": "120"}
    shown = await asyncio.create_subprocess_exec(*program, stdout=subprocess.PIPE, env=environment)
    told, _ = await shown.communicate()
    print(f"--- {phase}", told.decode().split("adapter:local at")[0], sep="\n", flush=True)


def main(seconds: float) -> None:
    """Run, check, print."""
    with (
        tempfile.TemporaryDirectory() as name,
        ModelServer("SmolLM2-135M-Instruct-Q4_1") as server,
        FaultServer(USUAL, upstream=server.base_url.removesuffix("/v1")) as proxy,
    ):
        folder = Path(name)
        (folder / "failsoft.toml").write_text(CONFIG.format(base_url=proxy.base_url))
        isolation = Isolation.from_file(folder / "failsoft.toml", capabilities=[ClassifyItem])
        tally = asyncio.run(storm(isolation, proxy, seconds, folder))
        found = verify(folder / "storm.db")
    total = sum((each for each in tally.by_phase.values()), Counter[str]())
    for phase, counts in tally.by_phase.items():
        print(f"{phase:18}", ", ".join(f"{key} {value}" for key, value in counts.most_common()))
    print("ledger:", *found.summary()[:1], f"{found.size} records")
    figures = {
        "callers": CALLERS,
        "calls": total["calls"],
        "unanswered": tally.unanswered,
        "late": tally.late,
        "longest_s": round(tally.longest, 2),
        "by_ai": total["by AI"],
        "ledger_exit_code": found.exit_code,
        "ledger_records": found.size,
        "requests": len(proxy.requests),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 120.0)
