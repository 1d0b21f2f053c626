"""``failsoft lock``, ``failsoft diff`` and ``failsoft ledger approve``: what is in force is written down, held to, compared,
and approved.
"""

from __future__ import annotations

import mimetypes
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from attrs import asdict
from pydantic import BaseModel

from failsoft.capability import Capability
from failsoft.cli.application import CONFIG, App, Config, Json, isolation_of
from failsoft.cli.keeping import Person, acting_for, recordable
from failsoft.cli.telling import CODES, PROBLEM, explained, print_json, print_line
from failsoft.core.evidence import LockApproved, LockChanged
from failsoft.errors import ConfigurationError
from failsoft.isolation import Isolation
from failsoft.lockfile.compare import Difference, differences
from failsoft.lockfile.document import Lock, read_lock
from failsoft.lockfile.facts import seen_again, with_seen
from failsoft.lockfile.places import place_of
from failsoft.login import logged_in
from failsoft.outcome import Served

_OWN_QUESTIONS = ("callable", "http-json")
"""Providers that are asked in the application's own words."""

MAX_REPORT = 8 << 20
"""Bytes of a report that's kept: one row of the ledger, for as long as there is one."""

APPROVE = (
    f'Example: failsoft ledger approve --report results.json --why "94 of 95 golden items, run 2026-11-29"\n\n{CODES}'
)

_DIFFERS = "Exit code: 0 nothing differs; 1 something does, or it can't be told; 64 the command line is wrong."


def add_locking(app: typer.Typer) -> None:
    """The commands of this room."""
    app.command(
        epilog="Example: failsoft lock --check   (in CI: does the lock say what is in force?)\n\n"
        "Exit code: 0 written, or nothing differs; 1 something differs, didn't answer, or can't be told, and why; "
        "64 the command line is wrong."
    )(lock)
    app.command(epilog=f"Example: failsoft diff old.lock failsoft.lock\n\n{_DIFFERS}")(diff)


def lock(
    config: Config = CONFIG,
    app_path: App = "",
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing: say what differs from what is written.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Ask each adapter one small question, and note who answered.")
    ] = False,
    why: Annotated[
        str | None, typer.Option("--why", help="The reason: what changed is put on record with it, in the ledger.")
    ] = None,
    person: Person = None,
    as_json: Json = False,
) -> None:
    """Write down exactly what is in force: prompts, schemas, rules, fallbacks, pins. Keep the file beside the code.

    It's read from code, files and configuration; only with --verify is anybody asked, and that costs what one call does.
    """
    if check and (verify or why is not None):
        raise typer.BadParameter("--check writes nothing: leave --verify and --why out")
    if person is not None and why is None:
        raise typer.BadParameter("--person goes with --why: without a reason nothing is put on record")
    with explained(as_json):
        isolation = isolation_of(config, app_path, keyless=not verify)
        if check:
            found = differences(read_lock(isolation.lock_path), isolation.lock(), where=place_of)
            _told(found, as_json, isolation.lock_path.name)
            return
        before = _before(isolation)
        made = isolation.lock(before)
        unanswered: list[str] = []
        if verify:
            made, unanswered = _verified(isolation, made)
        place = _written(isolation, before, made, config, person, why)
    found = [] if before is None else differences(before, made, seen=True, where=place_of)
    if as_json:
        changed = [asdict(each) for each in found]
        told = {"ok": not unanswered, "digest": made.digest, "changed": changed, "unanswered": unanswered}
        print_json(told if why is None else {**told, "record": place})
    else:
        counts = f"{len(made.capabilities)} capabilities, {len(made.adapters)} adapters"
        print_line(f"{isolation.lock_path.name} is written: {counts}")
        if why is not None:
            print_line("nothing differs: nothing is put on record" if place is None else f"on record: {place}")
        for line in [*(f"  {each}" for each in found), *_notes(made), *(f"note: {each}" for each in unanswered)]:
            print_line(line)
    if unanswered:
        raise typer.Exit(PROBLEM)


def diff(
    old: Annotated[Path, typer.Argument(help="A lock.")],
    new: Annotated[Path, typer.Argument(help="Another one.")],
    as_json: Json = False,
) -> None:
    """What changed between two locks, in words."""
    with explained(as_json):
        found = differences(read_lock(old), read_lock(new), seen=True)
    _told(found, as_json, str(new))


def approve(
    why: Annotated[str, typer.Option("--why", help="The reason, for the record.")],
    person: Person = None,
    report: Annotated[
        Path | None,
        typer.Option(help="What they went by: a test's results. Kept for good, so it mustn't name persons."),
    ] = None,
    lock_path: Annotated[
        Path | None, typer.Option("--lock", help="The lock; default: the one beside the configuration.")
    ] = None,
    config: Config = CONFIG,
) -> None:
    """Put on record that a person approved what a lock says, before or after it's used. A bundle of a call says who did."""
    with explained(as_json=False), recordable():
        approved = read_lock(lock_path or config.with_suffix(".lock"))
        kept = None if report is None else _report(report)
        record = LockApproved(approved.in_force(), person or logged_in(), why, kept)
        place = acting_for(config).record(record)[0]
    print_line(f"approved: lock {approved.digest} (record {place})")


def _report(path: Path) -> tuple[str, bytes]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_REPORT + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: can't be read: {error.strerror or error}") from error
    if len(data) > MAX_REPORT:
        raise ConfigurationError(f"{path}: has more than {MAX_REPORT >> 20} MiB: give a summary of it")
    return mimetypes.guess_type(path.name)[0] or "application/octet-stream", data


def _written(
    isolation: Isolation, before: Lock | None, made: Lock, config: Path, person: str | None, why: str | None
) -> int | None:
    """Write the lock; before it takes the other one's place that's put on record, if there's a reason: at which place."""
    places: list[int] = []

    def record() -> None:
        if why is None or (before is not None and before.digest == made.digest):
            return
        told = () if before is None else tuple(map(str, differences(before, made)))
        former = None if before is None else before.digest
        change = LockChanged(made.in_force(), former, told, person or logged_in(), why)
        with recordable():
            places.extend(acting_for(config).record(change))

    try:
        made.write(isolation.lock_path, record)
    except ConfigurationError as error:
        if not places:
            raise
        raise ConfigurationError(
            [*error.problems, f"it's on record all the same ({places[0]}): run it again"]
        ) from None
    return places[0] if places else None


def _before(isolation: Isolation) -> Lock | None:
    """The lock until now; one that can't be used any more is written over."""
    try:
        return read_lock(isolation.lock_path)
    except ConfigurationError:
        return None


def _verified(isolation: Isolation, made: Lock) -> tuple[Lock, list[str]]:
    today = datetime.now(UTC).date().isoformat()
    answers = {name: _asked(isolation, name, each.provider) for name, each in made.adapters.items()}
    seen = {
        name: seen_again(made.adapters[name].seen, each.model, each.grade.value, today)
        for name, each in answers.items()
        if not isinstance(each, str)
    }
    kept = {name: each.seen for name, each in made.adapters.items()}
    silent = [f"adapter {name}: {each}" for name, each in answers.items() if isinstance(each, str)]
    return with_seen(made, {**kept, **seen}), silent


class _Ready(BaseModel, frozen=True):
    ready: bool


class _Question(Capability[_Ready, _Ready]):
    """Are you ready? Answer with the same JSON object that you're given."""

    name = "failsoft-lock-question"

    def fallback(self, request: _Ready) -> _Ready:
        return _Ready(ready=False)


def _asked(isolation: Isolation, adapter: str, provider: str) -> Served | str:
    """Who answers one small question; or why nobody did."""
    golden = [each.capability for each in isolation.contracts_of(adapter) if each.capability.golden]
    if not golden and provider in _OWN_QUESTIONS:
        return "wasn't asked: what it takes is the application's own: give a capability of its route a golden input"
    capability, request = (golden[0], golden[0].golden[0]) if golden else (_Question(), _Ready(ready=True))
    with isolation.only(adapter, capability) as alone:
        outcome = alone[capability].sync(request)
    if outcome.by_ai:
        return outcome.served or Served()
    return "didn't answer: " + "; ".join(map(str, outcome.passed_over))


def _told(found: list[Difference], as_json: bool, name: str) -> None:
    if as_json:
        print_json({"ok": not found, "differences": [asdict(each) for each in found]})
    else:
        for each in found:
            print_line(str(each))
        if not found:
            print_line(f"{name}: nothing differs")
    if found:
        raise typer.Exit(PROBLEM)


def _notes(made: Lock) -> list[str]:
    """What the lock can't see."""
    found: list[str] = []
    for name, each in made.capabilities.items():
        about = f"note: capability {name}: "
        if each.unseen:
            found.append(about + f"the source of {', '.join(each.unseen)} can't be read: changes there aren't seen")
        if not each.golden:
            found.append(about + "no golden inputs: it's held to its code, not to what it answers")
    return found
