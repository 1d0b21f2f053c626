"""The demo: the main job on a real model, in six acts, and the ledger of it all verified.

It runs in a checkout, on the files in ``examples/procurement``. Every answer marked AI comes from the model server that it
starts, kills, brings back and swaps; every other one from the capability's own fallback. It shows control, not accuracy.
"""

from __future__ import annotations

import csv
import importlib
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import failsoft
from failsoft.cli.telling import PROBLEM, USAGE
from failsoft.errors import ConfigurationError
from failsoft.isolation import Isolation
from failsoft.ledger.verify import printable, verify
from failsoft.outcome import Outcome

ALIAS = "SmolLM2-135M-Instruct-Q4_1"
OTHER = "SmolLM2-135M-Instruct-Q8_0"
SHARES = {"answer": 0.3, "killed": 0.2, "back": 0.25, "swapped": 0.125, "alias": 0.125}
"""How the items are shared out over the acts."""

COLOURS = {"ai": "green", "fallback": "yellow", "refused": "red"}


def run(out: Console, items: Path | None, most: int) -> int:
    """The demo. Returns the exit code; everything that it started is stopped, also after Ctrl-C."""
    examples = _examples()
    if examples is None:
        out.print("`failsoft demo` runs in a checkout of failsoft: it needs examples/procurement.", style="red")
        return PROBLEM
    sys.path.insert(0, str(examples))
    try:
        server_process = importlib.import_module("procurement.server_process")
        rows = _rows(items or examples / "procurement" / "items.csv", most)
    except (OSError, ValueError, ConfigurationError) as error:
        out.print(printable(str(error)), style="red", markup=False)
        return USAGE
    folder = Path(tempfile.mkdtemp(prefix="failsoft-demo-"))
    server = server_process.ModelServer(ALIAS)
    try:
        return Story(out, folder, server, rows).tell()
    except server_process.ServerFailed as error:
        out.print(printable(f"the model server: {error}"), style="red", markup=False)
        return 3
    except KeyboardInterrupt:
        out.print("\nstopped; the model server with it", style="yellow")
        return 130
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


@define(eq=False)
class Story:
    """The acts, and what they share."""

    out: Console
    folder: Path
    server: Any
    rows: Sequence[tuple[str, str | None]]
    answered: list[tuple[str, str]] = field(factory=list[tuple[str, str]])

    def tell(self) -> int:
        """All acts, in order. 0 if each ended as it should."""
        capabilities = importlib.import_module("procurement.capabilities")
        begun = time.monotonic()
        self._say("1", "A real model answers through a typed capability")
        self._start("started")
        ledger = self.folder / "demo.db"
        isolation = Isolation(self._configuration(ledger), capabilities=[capabilities.ClassifyItem])
        rest = iter(self.rows)
        acts: list[bool] = []
        with isolation, failsoft.context(case="DEMO-1", actor="demo"):
            isolated = isolation[capabilities.ClassifyItem]

            def ask(act: str) -> list[Outcome[Any]]:
                return list(self._ask(isolated, capabilities.Item, rest, act))

            acts.append(any(each.by_ai for each in ask("answer")))

            self._say("2", "The model's server is killed: every item is still answered, by the fallback, labelled so")
            pid = self.server.pid
            self.server.kill()
            self.out.print(f"   SIGKILL to pid {pid}", style="red")
            acts.append(all(each.degraded for each in ask("killed")))
            self._adapter_state(isolation)

            self._say("3", "It comes back, and is let in again by trials")
            self._start("returned")
            self._wait_for_trial(isolation)
            acts.append(any(each.by_ai for each in ask("back")))
            self._adapter_state(isolation)

            self._say("4", "Another model comes up at the same address: refused by the pin")
            self._swap(OTHER)
            refused = ask("swapped")
            acts.append(all(each.degraded for each in refused))
            self.out.print(printable(f"   {refused[0].passed_over[-1].detail}"), style="red", markup=False)

            self._say("5", "The same other model under the unchanged alias: no pin can see that")
            self._swap(ALIAS)
            self._wait_for_trial(isolation)
            unseen = ask("alias")
            acts.append(any(each.by_ai for each in unseen))
            self.out.print(
                "   It answers and is believed: the name is all that a reply states. To see this, fixed questions must be "
                "asked on schedule.",
                style="dim",
            )
        self._timeline()
        self._say("6", "The ledger of all that is verified; then one byte in a copy is changed")
        acts += self._verify(ledger)
        self.out.print(
            f"\n{len(self.answered)} items, {len(self.answered)} answers, {time.monotonic() - begun:.0f} s. This shows "
            "control, not accuracy: a model of 135 M parameters loses to the keyword table.",
            highlight=False,
        )
        return 0 if all(acts) else 1

    # --- asking -------------------------------------------------------------------------------------------------------

    def _ask(
        self, isolated: Any, item: Any, rest: Iterator[tuple[str, str | None]], act: str
    ) -> Iterator[Outcome[Any]]:
        count = max(2, round(len(self.rows) * SHARES[act]))
        bar = Progress(
            TextColumn("   {task.description:<44}"),
            BarColumn(20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.out,
            transient=not self.out.is_terminal,
        )
        with bar:
            task = bar.add_task("", total=count)
            for _ in range(count):
                row = next(rest, None)
                if row is None:
                    break
                outcome = isolated.sync(item(description=row[0], nsn=row[1]))
                reasons = {each.reason for each in outcome.passed_over}
                wrong_model = reasons & {"served_model_mismatch", "quality"}
                how = "ai" if outcome.by_ai else "refused" if wrong_model else "fallback"
                self.answered.append((act, how))
                bar.update(task, advance=1, description=f"{outcome.value.value} by {_who(outcome)}"[:44])
                yield outcome

    def _wait_for_trial(self, isolation: Isolation) -> None:
        """Until the breaker may let a trial in: what the application would meet a few seconds later."""
        health = isolation.health()
        quality = health.capabilities["classify-item"].quality["local"]
        seconds = max(health.adapters["local"].retry_in, quality.retry_in)
        self.out.print(f"   the breaker stays open for another {seconds:.1f} s, then asks a few trials", style="dim")
        time.sleep(seconds + 0.05)

    # --- the server ---------------------------------------------------------------------------------------------------

    def _start(self, how: str) -> None:
        self.server.start()
        self.out.print(
            f"   {how}: pid {self.server.pid}, file {self.server.file} (sha256 {self.server.sha256[:16]}…), "
            f"serves as {self.server.alias}",
            highlight=False,
        )

    def _swap(self, alias: str) -> None:
        second = importlib.import_module("procurement.second_model").second_model()
        self.server.kill()
        self.server.alias = alias
        self.server.model = second
        self._start("swapped")
        if second is None:
            self.out.print("   (no second model file could be made here: the same file, under this name)", style="dim")

    # --- telling ------------------------------------------------------------------------------------------------------

    def _say(self, number: str, text: str) -> None:
        self.out.print(f"\n[bold]{number}. {text}[/bold]", highlight=False)

    def _adapter_state(self, isolation: Isolation) -> None:
        health = isolation.health()
        state, share = health.adapters["local"], health.capabilities["classify-item"]
        self.out.print(
            f"   adapter local: breaker {state.state}; degraded share of classify-item {share.percent:.0f} % "
            f"(limit {share.limit:.0f} %)",
            style="dim",
            highlight=False,
        )

    def _timeline(self) -> None:
        self.out.print("\n   who answered, item by item: ", end="")
        for _, how in self.answered:
            self.out.print("█", style=COLOURS[how], end="")
        self.out.print(
            "\n   [green]█[/green] the pinned model  [yellow]█[/yellow] the fallback  [red]█[/red] the fallback, another "
            "model refused"
        )

    def _verify(self, ledger: Path) -> list[bool]:
        whole = verify(ledger)
        for line in whole.summary():
            self.out.print(f"   {line}", markup=False, highlight=False)
        copy = self.folder / "copy.db"
        shutil.copyfile(ledger, copy)
        index = _change_one_byte(copy)
        self.out.print(f"   one byte of record {index} is changed in a copy:", highlight=False)
        changed = verify(copy)
        for problem in changed.problems[:2]:
            self.out.print(printable(f"   {problem}"), style="red", markup=False, highlight=False)
        return [whole.exit_code == 0, changed.exit_code == 1]

    def _configuration(self, ledger: Path) -> dict[str, Any]:
        return {
            "ledger": {"url": f"sqlite:///{ledger}", "origin": "demo"},
            "adapters": {
                "local": {
                    "provider": "openai-compatible",
                    "base_url": self.server.base_url,
                    "model": ALIAS,
                    "breaker": {"open_base_s": 2.0},
                }
            },
            "capabilities": {"classify-item": {"adapters": ["local"], "deadline": "10s", "degraded_limit": 20}},
        }


def _who(outcome: Outcome[Any]) -> str:
    if outcome.by_ai:
        return f"AI ({outcome.source.name})"
    reason = outcome.passed_over[-1].reason if outcome.passed_over else "no adapter"
    return f"the fallback ({reason})"


def _examples() -> Path | None:
    folder = Path(failsoft.__file__).resolve().parents[2] / "examples"
    return folder if (folder / "procurement").is_dir() else None


def _rows(path: Path, most: int) -> list[tuple[str, str | None]]:
    """(description, stock number) of a CSV with a column ``description`` and perhaps ``nsn``.

    Raises:
        ConfigurationError: there's no such column, or no row.
    """
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if "description" not in (reader.fieldnames or ()):
            raise ConfigurationError(f"{path}: needs a column named description")
        rows = [
            (row["description"][:2000], (row.get("nsn") or None))
            for row in reader
            if row["description"] and row["description"].strip()
        ][:most]
    if not rows:
        raise ConfigurationError(f"{path}: no rows")
    return rows


def _change_one_byte(path: Path) -> int:
    """Change one digit in the newest completed call's record, behind the ledger's back."""
    connection = sqlite3.connect(path)
    try:
        triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f'DROP TRIGGER "{name}"')
        index, body = connection.execute(
            "SELECT seq, body FROM ledger_record WHERE type = 'call.completed' ORDER BY seq DESC LIMIT 1"
        ).fetchone()
        at = body.rindex(b'"us":') + 5
        changed = body[:at] + (b"1" if body[at : at + 1] != b"1" else b"2") + body[at + 1 :]
        connection.execute("UPDATE ledger_record SET body = ? WHERE seq = ?", (changed, index))
        for _, sql in triggers:
            connection.execute(sql)
        connection.commit()
    finally:
        connection.close()
    return int(index)
