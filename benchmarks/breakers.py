"""Side by side: what the circuit breakers of Python libraries cost, and what they do in the cases that users have met.

    ./dev bench breakers
    ./dev bench breakers --page FILE    write the tables into this page

pybreaker, purgatory, aiobreaker, circuitbreaker and hyx live in an environment of their own, `.dev/peers`, made on
first use from `requirements/peers.txt`. Where they can't be had (there's no package index), ours is measured alone.
Each library runs in a process of its own, and they take turns; times are CPU time of the calling thread, medians of
all rounds. The last line is one JSON object by library.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

sys.path.insert(0, str(Path(__file__).parent.parent))  # it's run as a script, too

from benchmarks.peers.libraries import BARE, LIBRARIES
from benchmarks.simulated.page import replace_block

HERE = Path(__file__).parent
REQUIREMENTS = HERE.parent / "requirements" / "peers.txt"
ENVIRONMENT = HERE.parent / ".dev" / "peers"
WORKER = HERE / "peers" / "worker.py"
OURS = ("failsoft", "failsoft, threads")
ROUNDS = 61
Found = dict[str, dict[str, Any]]

ROWS = {
    "fifty_at_half_open": "50 callers at half-open: one trial is let in",
    "cancelled_trial": "the trial's caller cancels: says nothing",
    "cancelled_calls": "callers cancel while it's closed: says nothing",
    "late_success": "a success from before the opening: closes nothing",
    "late_failure": "a failure from before the opening: decides no trial",
    "trial_never_returns": "the trial never returns: others get in again",
    "clock_stepped": "the wall clock steps by ± 1 h: no matter",
    "excluded_errors": "excluded errors: neither failure nor success",
    "listener_raises": "a listener raises: nobody's result, no state is lost",
    "two_loops": "two event loops or threads: both run, failures add up",
    "interrupted": "Ctrl-C: passes, and says nothing",
    "base_exception": "the function raises a `BaseException`: passes, and says nothing",
}


def peers_python() -> Path | None:
    """The interpreter of the peers' environment, made if need be; None where that can't be done."""
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    stamp, python = ENVIRONMENT / "peers.stamp", ENVIRONMENT / "bin" / "python"
    ENVIRONMENT.parent.mkdir(exist_ok=True)
    with (ENVIRONMENT.parent / "peers.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two at once: the second finds it ready
        if stamp.exists() and stamp.read_text() == wanted:
            return python
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        say("making .dev/peers from requirements/peers.txt, once")
        pip = [python, "-m", "pip", "install", "-qq", "--require-hashes", "--only-binary", ":all:", "-r", REQUIREMENTS]
        base = getattr(sys, "_base_executable", sys.executable)
        for command in ([base, "-m", "venv", ENVIRONMENT], pip):
            done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
            if done.returncode:
                say("the peers can't be installed (is there a package index?): ours is measured alone")
                return None
        stamp.write_text(wanted)
    return python


def say(text: str) -> None:
    """To the person who waits."""
    print(f"breakers: {text}", file=sys.stderr, flush=True)


class Worker:
    """One library's process, for measuring what it costs."""

    def __init__(self, python: Path, name: str) -> None:
        self._process = subprocess.Popen(
            [str(python), str(WORKER), name, "cost"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.version: str = self._read()["version"]

    def ask(self, what: str) -> dict[str, float]:
        """``round`` or ``bytes``."""
        stream = self._process.stdin
        assert stream is not None
        stream.write(f"{what}\n")
        stream.flush()
        return self._read()

    def close(self) -> None:
        """End it."""
        self._process.communicate()

    def _read(self) -> dict[str, Any]:
        stream: IO[str] | None = self._process.stdout
        assert stream is not None
        answer: dict[str, Any] = json.loads(stream.readline())
        return answer


def costs(pythons: dict[str, Path]) -> Found:
    """Microseconds closed, failing and refused, and bytes; the libraries take turns, round by round."""
    workers = {name: Worker(python, name) for name, python in pythons.items()}
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
    for _ in range(ROUNDS):
        for name, worker in workers.items():
            rounds[name].append(worker.ask("round"))
    found: Found = {}
    for name, worker in workers.items():
        found[name] = {
            f"{kind}_us": round(statistics.median(each[kind] for each in rounds[name]), 2) for kind in rounds[name][0]
        }
        found[name]["bytes"] = {kind: round(size) for kind, size in worker.ask("bytes").items()}
        if name not in BARE:
            found[name]["version"] = worker.version
        worker.close()
    return found


def behaviour(python: Path, name: str) -> dict[str, str]:
    """Every scenario's finding for one library."""
    done = subprocess.run([str(python), str(WORKER), name, "behaviour"], capture_output=True, text=True, check=False)
    if done.returncode:
        say(done.stderr)
        return dict.fromkeys(ROWS, "not measured")
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(head: list[str], rows: list[list[str]]) -> str:
    """In Markdown."""
    return "\n".join(f"| {' | '.join(each)} |" for each in (head, ["---"] * len(head), *rows))


def cost_table(found: Found) -> str:
    """What each costs."""
    head = ["", "version", "closed, µs", "failing, µs", "refused, µs", "bytes, new", "bytes, used"]
    rows = [
        [
            f"**{name}**" if name == "failsoft" else name,
            each.get("version", "–"),
            *(f"{each[kind]:.2f}" for kind in ("closed_us", "failing_us", "refused_us")),
            *(f"{each['bytes'][kind]:,}" for kind in ("new", "used")),
        ]
        for name, each in found.items()
        if "closed_us" in each
    ]
    return table(head, rows)


def behaviour_table(found: Found) -> str:
    """Right, wrong, or not offered; what happened stands below."""
    names = [name for name, each in found.items() if "behaviour" in each]
    rows = [[title, *(_word(found[name]["behaviour"][row]) for name in names)] for row, title in ROWS.items()]
    notes = [
        f"- {name}, {ROWS[row].partition(':')[0]}: {said.removeprefix('wrong: ')}"
        for name in names
        for row, said in found[name]["behaviour"].items()
        if said.startswith(("wrong", "not measured")) or ", " in said.partition(":")[0]
    ]
    return table(["", *names], rows) + "\n\nWhat happened:\n\n" + "\n".join(notes)


def _word(said: str) -> str:
    word = said.partition(":")[0].partition(",")[0]
    return {"wrong": "**wrong**", "not offered": "–"}.get(word, word)


def machine() -> str:
    """Where and when."""
    known = Path("/proc/cpuinfo")
    lines = known.read_text(encoding="utf-8").splitlines() if known.exists() else []
    model = next((each.partition(":")[2].strip() for each in lines if each.startswith("model name")), "")
    parts = (f"Python {platform.python_version()}", platform.system(), model or platform.machine())
    return f"Measured on {datetime.now(UTC).date().isoformat()}: {', '.join(parts)}, {os.cpu_count()} cores."


def main() -> None:
    """Measure, print, and write the page where one is named."""
    parser = argparse.ArgumentParser(description="Circuit breakers side by side.")
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    peers, own = peers_python(), Path(sys.executable)
    measured = {"failsoft": own} | (dict.fromkeys((*LIBRARIES, *BARE), peers) if peers else {})
    say("what they cost")
    found = costs({name: python for name, python in measured.items() if python})
    for name, python in [(each, own) for each in OURS] + [(each, peers) for each in LIBRARIES if peers]:
        assert python is not None
        say(f"what {name} does")
        found.setdefault(name, {})["behaviour"] = behaviour(python, name)
    found = {name: found[name] for name in (*OURS, *LIBRARIES, *BARE) if name in found}
    print(cost_table(found), behaviour_table(found), sep="\n\n")
    if options.page is not None:
        replace_block(options.page, "breakers cost", f"{machine()}\n\n{cost_table(found)}")
        replace_block(options.page, "breakers behaviour", behaviour_table(found))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
