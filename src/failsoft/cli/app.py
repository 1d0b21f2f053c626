"""Commands: each a few lines over what the library offers to programs too."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live

from failsoft.cli import adapters, bundles, evidence, keys, ledgers, locking
from failsoft.cli import demo as demonstration
from failsoft.cli.application import CONFIG, App, Config, Json, isolation_of, known, recording
from failsoft.cli.clauses import add_clauses
from failsoft.cli.keeping import add_keeping
from failsoft.cli.output import told_or
from failsoft.cli.pins import add_pins
from failsoft.cli.place import Ledger
from failsoft.cli.records import add_records
from failsoft.cli.replaying import add_replay
from failsoft.cli.reviews import add_reviews
from failsoft.cli.running import last_changes, last_modes, last_served
from failsoft.cli.standing import as_document, as_table, routes
from failsoft.cli.telling import (
    CODES,
    Commands,
    explained,
    given_text,
    out,
    outcome_for_programs,
    payloads_of,
    print_json,
    print_line,
    reading,
    served_as,
    sharing_told,
)
from failsoft.errors import ConfigurationError, LedgerInvalid
from failsoft.isolation import Isolation
from failsoft.ledger.reading.query import unheard_of
from failsoft.ledger.store import UNUSABLE

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

app.add_typer(adapters.group, name="adapter")
app.add_typer(keys.group, name="keys")
app.add_typer(ledgers.group, name="ledger")
app.command(cls=told_or(UNUSABLE), epilog=evidence.EPILOG)(evidence.verify)
ledgers.group.command(cls=told_or(UNUSABLE), epilog=evidence.MONITOR_EPILOG)(evidence.monitor)
ledgers.group.command(epilog=bundles.EPILOG)(bundles.bundle)
ledgers.group.command(epilog=bundles.EXTENSION_EPILOG)(bundles.extension)
ledgers.group.command(epilog=locking.APPROVE)(locking.approve)
add_clauses(ledgers.group)
add_replay(ledgers.group)

Why = Annotated[str, typer.Option("--why", help="The reason, for the record.")]
Actor = Annotated[str | None, typer.Option("--actor", help="Who; default: your login name.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"failsoft {version('failsoft')}", highlight=False)
        raise typer.Exit


@app.callback()
def root(
    show_version: Annotated[
        bool, typer.Option("--version", help="Say which failsoft this is.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Isolates AI components.

    check, call, review, appeal, status, block, unblock, lock and pins find the application by --config or --app; log, show,
    verify and ledger take a ledger's file. A wrong command line exits with 64, whatever the command.
    """


@app.command(epilog=f"Example: failsoft check --config failsoft.toml\n\n{CODES}")
def check(config: Config = CONFIG, app_path: App = "", as_json: Json = False) -> None:
    """Read the configuration and say everything that's wrong with it, or what is in force."""
    with explained(as_json):
        isolation = isolation_of(config, app_path, keyless=False)
        wrong = [*isolation.unknown_adapters(), *isolation.missing_weights(), *isolation.lock_problems()]
        if wrong:
            raise ConfigurationError(wrong)
        health = isolation.health()
        served = last_served(isolation.ledger)
        classes = {each.adapter: each.name_class.value for each in isolation.pin_standings()}
    unchecked = [name for name, each in health.adapters.items() if not each.pin_checked]
    if as_json:
        adapters = list(health.adapters)
        print_json(
            {
                "ok": True,
                "capabilities": list(health.capabilities),
                "adapters": adapters,
                "pin_unchecked": unchecked,
                "name_class": classes,
                "last_served": served,
            }
        )
        return
    print_line(f"OK: {len(health.capabilities)} capabilities, {len(health.adapters)} adapters")
    for name in health.capabilities:
        print_line(f"  {name}: {' → '.join([*isolation.route_of(name), 'fallback'])}")
    for name, pin in isolation.pins.items():
        expected = pin.served_pattern or ", ".join(pin.served)
        expectation = "its pin is unchecked" if name in unchecked else f"expects {expected}"
        last = f"; last served: {served_as(served[name])}" if name in served else ""
        print_line(f"  {name} asks for {pin.model} ({classes[name]}), {expectation}{last}")
    for name in unchecked:
        print_line(
            f"note: adapters.{name}: nothing says which model answered, so any is taken for the pinned one; name a function "
            "that reads it from the result: served_by (in code: served)"
        )


@app.command(epilog=f"""Example: failsoft call classify-item '{{"description": "hex nut, 1/4 inch"}}'\n\n{CODES}""")
def call(
    capability: Annotated[str, typer.Argument(help="Its name.")],
    request: Annotated[str, typer.Argument(help="The request as JSON; - reads standard input.")],
    config: Config = CONFIG,
    app_path: App = "",
    deadline: Annotated[str | None, typer.Option(help='E.g. "2s".')] = None,
    as_json: Json = False,
) -> None:
    """Make one call and show its outcome."""
    with explained(as_json), isolation_of(config, app_path, keyless=False) as isolation:
        isolated = isolation[known(isolation, capability)]
        if deadline is not None:
            try:
                isolated = isolated.using(deadline=deadline)
            except ConfigurationError as error:
                raise typer.BadParameter("; ".join(error.problems), param_hint="--deadline") from None
        outcome = isolated.sync(isolated.parse_request(given_text(request)))
    if as_json:
        print_json(outcome_for_programs(outcome))
        return
    print_json(outcome.value)
    who = f"AI ({outcome.source.name})" if outcome.by_ai else f"the fallback ({outcome.source.name})"
    print_line(f"answered by {who}; record {outcome.record}; call {outcome.call_id}", "dim")
    if outcome.review is not None:
        print_line("  it waits for a person: failsoft review", "dim")
    for each in outcome.passed_over:
        print_line(f"  passed over {each}", "dim")


@app.command(epilog=f"Example: failsoft status --watch\n\n{CODES}")
def status(
    config: Config = CONFIG,
    app_path: App = "",
    watch: Annotated[bool, typer.Option("--watch", help="Show it anew until you press Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=0.2, max=3600, help="Seconds between two looks.")] = 1.0,
    as_json: Json = False,
) -> None:
    """How each route stands: who is blocked, what is open, until when and why, how many calls were degraded.

    An adapter that a process forces or observes is named with who did it and why.

    It's told by what running processes put on record: a process that recorded no change has its breakers closed, and an open
    one may be due for a trial. Inside the application isolation.health() tells how it stands.
    """
    with explained(as_json):
        isolation = isolation_of(config, app_path)
        if not watch:
            _tell_status(isolation, as_json)
        elif as_json:
            for now in _looks(every):
                print_json({"ts": now, "routes": as_document(routes(isolation, now))})
        else:
            with Live(console=out, auto_refresh=False) as live:
                for now in _looks(every):
                    live.update(as_table(routes(isolation, now), now), refresh=True)


def _tell_status(isolation: Isolation, as_json: bool) -> None:
    now = datetime.now(UTC)
    sharing, held = isolation.look_at_state()
    blocks = {subject: str(each) for subject, each in held.items()}
    changes, modes = last_changes(isolation.ledger), last_modes(isolation.ledger)
    configured = {name: each.mode for name, each in isolation.health().adapters.items() if each.mode != "auto"}
    found = routes(isolation, now)
    if as_json:
        print_json(
            {
                "blocks": blocks,
                "changes": changes,
                "modes": modes,
                "configured_modes": configured,
                "state": {
                    "store": sharing.store,
                    "shared": sharing.store != "none" and not sharing.reason,
                    "reason": sharing.reason,
                },
                "routes": as_document(found),
            }
        )
        return
    out.print(as_table(found, now))
    for name, pin in isolation.pins.items():
        mode = f", mode {configured[name]}" if name in configured else ""
        print_line(f"adapter:{name} at {pin.model}{mode}")
        for each in modes:
            if each["subject"] == f"adapter:{name}":
                said = f"{each['mode']} by {each['actor']['id']} ({each['why']})"
                print_line(f"  process {each['pid']}: {said} at {each['ts']}")
        for each in changes:
            if each["adapter"] == name:
                said = f"{each['layer']} {each['from']} → {each['to']} ({each['reason']})"
                print_line(f"  process {each['pid']}: {said} at {each['ts']}")
    for subject, block in blocks.items():
        print_line(f"{subject} is {block}")
    if not blocks:
        print_line("nothing is blocked")
    print_line(sharing_told(sharing))
    print_line("Changes are those that running processes recorded; how their breakers stand now only they know.", "dim")


def _looks(every: float) -> Iterator[datetime]:
    """Moments, until somebody presses Ctrl-C."""
    try:
        while True:
            yield datetime.now(UTC)
            time.sleep(every)
    except KeyboardInterrupt:
        return


@app.command(epilog=f'Example: failsoft block adapter:gpt --why "wrong answers since 9:00"\n\n{CODES}')
def block(
    subject: Annotated[str, typer.Argument(help="adapter:NAME or capability:NAME")],
    why: Why,
    config: Config = CONFIG,
    app_path: App = "",
    actor: Actor = None,
    lasting: Annotated[str | None, typer.Option("--for", help="it ends by itself after this time: 2h, 30m")] = None,
) -> None:
    """Switch an adapter or a capability off: now, in every process, until it's unblocked."""
    with explained(False), recording(isolation_of(config, app_path)) as isolation:
        made = isolation.block(subject, why=why, actor=actor, lasting=lasting)
        kept, sharing = isolation.block_path, isolation.sharing
    print_line(f"{subject} {made}")
    print_line(f"kept in {kept}: every process that reads this file obeys")
    if sharing.store == "postgresql":
        print_line(sharing_told(sharing))


@app.command(epilog=f'Example: failsoft unblock adapter:gpt --why "the vendor fixed it"\n\n{CODES}')
def unblock(
    subject: Annotated[str, typer.Argument(help="adapter:NAME or capability:NAME")],
    why: Why,
    config: Config = CONFIG,
    app_path: App = "",
    actor: Actor = None,
) -> None:
    """End a block; an adapter comes back by trials, in every process, also one that was latched or open for itself."""
    with explained(False), recording(isolation_of(config, app_path)) as isolation:
        ended = isolation.unblock(subject, why=why, actor=actor)
    said = "is unblocked" if ended else "wasn't blocked; every process tries it again all the same"
    print_line(f"{subject} {said}")


@app.command(epilog=f"Example: failsoft show failsoft.db 17   (or a call's identifier)\n\n{CODES}")
def show(
    ledger: Ledger,
    record: Annotated[str, typer.Argument(help="A record's index, or a call's identifier.")],
    payloads: Annotated[bool, typer.Option(help="Show what stands behind the commitments.")] = True,
) -> None:
    """One record, or all records of one call, with the payloads that they commit to."""
    with reading(ledger, as_json=True) as reader:
        number = record.isascii() and record.isdigit() and len(record) < 19  # SQLite's integers end there
        entries = [reader.record(int(record))] if number else reader.call(record)
        if not entries:
            raise LedgerInvalid(unheard_of(reader, f"call {record}"))
        for each in entries:
            shown: dict[str, Any] = {"index": each.index, "leaf": each.leaf.hex(), **each.fields}
            if payloads:
                shown["payloads"] = payloads_of(reader, each)
            print_json(shown)


@app.command(
    epilog="Example: failsoft demo   (in a checkout)\n\n"
    "Exit code: 0 each act ended as it should; 1 one didn't, or there's no checkout; 3 the model's server failed; "
    "64 the command line is wrong, or the rows can't be read; 130 interrupted."
)
def demo(
    items: Annotated[Path | None, typer.Option(help="Your own rows: a CSV with a column `description`.")] = None,
    most: Annotated[int, typer.Option(min=8, max=500, help="How many items at the most.")] = 40,
) -> None:
    """The main job on a real model: answer, survive its death, let it back in, refuse another, verify the record."""
    raise typer.Exit(demonstration.run(out, items, most))


add_records(app, ledgers.group)
add_keeping(ledgers.group)
add_reviews(app, ledgers.group)
locking.add_locking(app)
add_pins(app)
