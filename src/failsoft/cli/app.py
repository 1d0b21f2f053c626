"""Commands: each a few lines over what the library offers to programs too."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import attrs
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from failsoft.assembly import import_object
from failsoft.cli import demo as demonstration
from failsoft.errors import ConfigurationError, FailsoftError, LedgerInvalid
from failsoft.isolation import Isolation
from failsoft.ledger.read import Entry, Reader, read
from failsoft.ledger.verify import verify as verify_ledger
from failsoft.outcome import Outcome

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Isolates AI components. Every command finds the application by --config or --app.",
)
out = Console()
err = Console(stderr=True)

Config = Annotated[Path, typer.Option("--config", "-c", help="The application's failsoft.toml.")]
App = Annotated[str, typer.Option("--app", help="Or where its Isolation is: package.module:name.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]
Why = Annotated[str, typer.Option("--why", help="The reason, for the record.")]
Actor = Annotated[str | None, typer.Option("--actor", help="Who; default: your login name.")]

_CONFIG = Path("failsoft.toml")


@app.command(epilog="Example: failsoft check --config failsoft.toml")
def check(config: Config = _CONFIG, app_path: App = "", as_json: Json = False) -> None:
    """Read the configuration and say everything that's wrong with it (exit 1), or what is in force."""
    with _explained(as_json):
        isolation = _isolation(config, app_path)
        unknown = isolation.unknown_adapters()
        if unknown:
            raise ConfigurationError(unknown)
        health = isolation.health()
    if as_json:
        _print_json({"ok": True, "capabilities": list(health.capabilities), "adapters": list(health.adapters)})
        return
    out.print(f"OK: {len(health.capabilities)} capabilities, {len(health.adapters)} adapters", highlight=False)
    for name in health.capabilities:
        out.print(f"  {name}: {' → '.join([*isolation.route_of(name), 'fallback'])}", highlight=False)
    for name, pin in isolation.pins.items():
        expected = pin.served_pattern or ", ".join(pin.served)
        out.print(f"  {name} asks for {pin.model}, expects {expected}", highlight=False)


@app.command(epilog="""Example: failsoft call classify-item '{"description": "hex nut, 1/4 inch"}'""")
def call(
    capability: Annotated[str, typer.Argument(help="Its name.")],
    request: Annotated[str, typer.Argument(help="The request as JSON; - reads standard input.")],
    config: Config = _CONFIG,
    app_path: App = "",
    deadline: Annotated[str | None, typer.Option(help='E.g. "2s".')] = None,
    as_json: Json = False,
) -> None:
    """Make one call and show its outcome."""
    with _explained(as_json), _isolation(config, app_path) as isolation:
        isolated = isolation[_known(isolation, capability)]
        if deadline is not None:
            isolated = isolated.using(deadline=deadline)
        text = sys.stdin.read() if request == "-" else request
        outcome = isolated.sync(isolated.parse_request(text))
    if as_json:
        _print_json(_outcome(outcome))
        return
    _print_json(outcome.value)
    who = f"AI ({outcome.source.name})" if outcome.by_ai else f"the fallback ({outcome.source.name})"
    out.print(
        f"answered by {who}; record {outcome.record}; call {outcome.call_id}",
        highlight=False,
        style="dim",
        soft_wrap=True,
    )
    for each in outcome.passed_over:
        out.print(f"  passed over {escape(str(each))}", highlight=False, style="dim", soft_wrap=True)


@app.command(epilog="Example: failsoft status --config failsoft.toml")
def status(config: Config = _CONFIG, app_path: App = "", as_json: Json = False) -> None:
    """What is blocked, and what the ledger's last records say of each adapter."""
    with _explained(as_json):
        isolation = _isolation(config, app_path)
        blocks = {subject: str(each) for subject, each in isolation.blocks.items()}
        changes = _last_changes(isolation)
    if as_json:
        _print_json({"blocks": blocks, "changes": changes})
        return
    table = Table("adapter", "model", "layer", "last change", "blocked", box=None)
    for name, pin in isolation.pins.items():
        change = changes.get(name, {})
        said = f"{change['from']} → {change['to']}: {change.get('reason', '')} at {change['ts']}" if change else ""
        table.add_row(name, pin.model, change.get("layer", ""), said, blocks.get(f"adapter:{name}", ""))
    out.print(table)
    for subject, block in blocks.items():
        if subject.startswith("capability:"):
            out.print(f"{subject}: {block}", highlight=False)


@app.command(epilog='Example: failsoft block adapter:gpt --why "wrong answers since 9:00"')
def block(
    subject: Annotated[str, typer.Argument(help="adapter:NAME or capability:NAME")],
    why: Why,
    config: Config = _CONFIG,
    app_path: App = "",
    actor: Actor = None,
) -> None:
    """Switch an adapter or a capability off: now, in every process, until it's unblocked."""
    with _explained(False), _recording(_isolation(config, app_path)) as isolation:
        made = isolation.block(subject, why=why, actor=actor)
    out.print(f"{subject} {escape(str(made))}", highlight=False)


@app.command(epilog='Example: failsoft unblock adapter:gpt --why "the vendor fixed it"')
def unblock(
    subject: Annotated[str, typer.Argument(help="adapter:NAME or capability:NAME")],
    why: Why,
    config: Config = _CONFIG,
    app_path: App = "",
    actor: Actor = None,
) -> None:
    """End a block; an adapter comes back by trials."""
    with _explained(False), _recording(_isolation(config, app_path)) as isolation:
        ended = isolation.unblock(subject, why=why, actor=actor)
    out.print(f"{subject} is unblocked" if ended else f"{subject} wasn't blocked", highlight=False)


@app.command(epilog="Example: failsoft log failsoft.db --last 20 --kind call.completed")
def log(
    ledger: Annotated[Path, typer.Argument(help="The ledger's file.")],
    last: Annotated[int, typer.Option(min=1, help="How many of the newest records.")] = 20,
    kind: Annotated[str | None, typer.Option(help="Only records of this type.")] = None,
    capability: Annotated[str | None, typer.Option(help="Only this capability's.")] = None,
    case: Annotated[str | None, typer.Option(help="Only this case's.")] = None,
    as_json: Json = False,
) -> None:
    """The newest records, oldest of them first."""
    with _explained(as_json), read(ledger) as reader:
        found = list(reader.records(kind=kind, capability=capability, case=case, last=last))
        if as_json:
            for each in found:
                _print_json({"index": each.index, **each.fields})
            return
        for each in found:
            out.print(_line(each), highlight=False, soft_wrap=True)


@app.command(epilog="Example: failsoft show failsoft.db 17   (or a call's identifier)")
def show(
    ledger: Annotated[Path, typer.Argument(help="The ledger's file.")],
    record: Annotated[str, typer.Argument(help="A record's index, or a call's identifier.")],
    payloads: Annotated[bool, typer.Option(help="Show what stands behind the commitments.")] = True,
) -> None:
    """One record, or all records of one call, with the payloads that they commit to."""
    with _explained(True), read(ledger) as reader:
        number = record.isascii() and record.isdigit() and len(record) < 19  # SQLite's integers end there
        entries = [reader.record(int(record))] if number else reader.call(record)
        if not entries:
            raise LedgerInvalid(f"{ledger}: no record of a call {record}")
        for each in entries:
            shown: dict[str, Any] = {"index": each.index, "leaf": each.leaf.hex(), **each.fields}
            if payloads:
                shown["payloads"] = _payloads(reader, each)
            _print_json(shown)


@app.command(epilog="Example: failsoft verify failsoft.db --pin 120:65db49d7…")
def verify(
    ledger: Annotated[Path, typer.Argument(help="The ledger's file.")],
    pin: Annotated[list[str] | None, typer.Option(help="SIZE:ROOT that you noted earlier, elsewhere.")] = None,
    as_json: Json = False,
) -> None:
    """Check every record. Exit 0: whole; 1: tampered, and where; 2: incomplete; 3: not a usable ledger."""
    with _explained(as_json):
        found = verify_ledger(ledger, pins=[_pin(each) for each in pin or []])
    if as_json:
        _print_json({**attrs.asdict(found, recurse=True), "kinds": dict(found.kinds)})
    else:
        for line in found.summary():
            out.print(line, highlight=False, soft_wrap=True, markup=False)
    raise typer.Exit(found.exit_code)


@app.command(epilog="Example: failsoft demo   (in a checkout)")
def demo(
    items: Annotated[Path | None, typer.Option(help="Your own rows: a CSV with a column `description`.")] = None,
    most: Annotated[int, typer.Option(min=8, max=500, help="How many items at the most.")] = 40,
) -> None:
    """The main job on a real model: answer, survive its death, let it back in, refuse another, verify the record."""
    raise typer.Exit(demonstration.run(out, items, most))


# --- behind the commands ------------------------------------------------------------------------------------------------


def _isolation(config: Path, app_path: str) -> Isolation:
    sys.path.insert(0, os.getcwd())
    if app_path:
        try:
            found = import_object(app_path)
        except ValueError as error:
            raise ConfigurationError(f"--app: {error}") from error
        if not isinstance(found, Isolation):
            raise ConfigurationError(f"--app: {app_path} is a {type(found).__name__}, not an Isolation")
        return found
    return Isolation.from_file(config)


@contextmanager
def _recording(isolation: Isolation) -> Iterator[Isolation]:
    """Entered, so that what is done is recorded; where the ledger can't be opened the switch is thrown all the same."""
    try:
        isolation.__enter__()
    except LedgerInvalid as error:
        err.print(f"not recorded: {escape(str(error))}", highlight=False)
        yield isolation
        return
    try:
        yield isolation
    finally:
        isolation.__exit__(None, None, None)


@contextmanager
def _explained(as_json: bool) -> Iterator[None]:
    """Failsoft's own errors are told in a sentence, without a traceback."""
    try:
        yield
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, each['loc'])) or 'request'}: {each['msg']}" for each in error.errors()]
        _give_up(as_json, problems)
    except ConfigurationError as error:
        _give_up(as_json, list(error.problems))
    except (FailsoftError, LookupError) as error:
        _give_up(as_json, [str(error)])


def _give_up(as_json: bool, problems: list[str]) -> NoReturn:
    if as_json:
        _print_json({"ok": False, "problems": problems})
    else:
        for each in problems:
            err.print(each, highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(1)


def _known(isolation: Isolation, name: str) -> str:
    try:
        isolation[name]
    except KeyError as error:
        raise ConfigurationError(str(error.args[0])) from None
    return name


def _pin(text: str) -> tuple[int, str]:
    size, _, root = text.partition(":")
    if not (size.isascii() and size.isdigit() and len(root) == 64 and set(root) <= set("0123456789abcdef")):
        raise ConfigurationError(f"--pin: {text!r} is not SIZE:ROOT (a number, a colon, 64 lower-case hex digits)")
    return int(size), root


def _last_changes(isolation: Isolation) -> dict[str, dict[str, Any]]:
    path = isolation.ledger_path
    if path is None or not path.exists():
        return {}
    with read(path) as reader:
        return {each.fields["adapter"]: each.fields for each in reader.records(kind="breaker.changed", last=500)}


def _payloads(reader: Reader, entry: Entry) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in entry.fields.get("commitments", []):
        payload = reader.payload(each["digest"])
        found[each["path"]] = "erased" if payload is None else payload[2].decode("utf-8", "replace")
    return found


def _line(entry: Entry) -> str:
    fields = entry.fields
    about = fields.get("capability", {}).get("name") or fields.get("adapter") or fields.get("subject") or ""
    source = fields.get("source", {})
    said = [str(fields[key]) for key in ("outcome", "from", "to", "reason", "why") if key in fields]
    if "blocked" in fields:
        said.insert(0, f"{'blocked' if fields['blocked'] else 'unblocked'} by {fields['actor']['id']}:")
    if source:
        said.append(f"by {source['kind']} {source['name']}")
    return escape(f"{entry.index:>6}  {entry.ts}  {entry.kind:<16} {about:<20} {' '.join(said)}")


def _outcome(outcome: Outcome[Any]) -> dict[str, Any]:
    return {
        "value": outcome.value,
        "by_ai": outcome.by_ai,
        "degraded": outcome.degraded,
        "source": attrs.asdict(outcome.source),
        "pin": None if outcome.pin is None else attrs.asdict(outcome.pin),
        "served": None if outcome.served is None else attrs.asdict(outcome.served),
        "passed_over": [attrs.asdict(each) for each in outcome.passed_over],
        "record": outcome.record,
        "call_id": outcome.call_id,
    }


def _print_json(value: object) -> None:
    from pydantic_core import to_jsonable_python

    print(json.dumps(to_jsonable_python(value), ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))
