"""``failsoft pins``: what each pin promises, how long it has left, and what the providers announced."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from failsoft.adapters.pins import BELOW
from failsoft.cli.application import CONFIG, App, Config, Json, isolation_of
from failsoft.cli.telling import PROBLEM, Commands, explained, out, print_json, print_line
from failsoft.errors import ConfigurationError
from failsoft.ledger.verify import printable
from failsoft.lockfile.document import replace_text
from failsoft.retirements.table import State, read, written
from failsoft.retirements.watch import PinStanding

_MOST_DAYS: Final = 3660
_DAYS: Final = re.compile(r"([0-9]{1,4})d")
_CODES: Final = (
    "Exit code: 0 done; 1 a pin ends within --fail-within, or it can't be told; 64 the command line is wrong."
)


def add_pins(app: typer.Typer) -> None:
    """The commands of this room."""
    group = typer.Typer(cls=Commands, invoke_without_command=True, rich_markup_mode=None)
    group.callback(epilog=f"Example: failsoft pins --fail-within 30d   (in CI)\n\n{_CODES}")(pins)
    group.command(
        epilog="Example: failsoft pins update announced.csv\n\n"
        "Exit code: 0 taken over; 1 it can't be, and why; 64 the command line is wrong."
    )(update)
    app.add_typer(group, name="pins")


def _days(text: str) -> int:
    found = _DAYS.fullmatch(text)
    if found is None or int(found[1]) > _MOST_DAYS:
        raise typer.BadParameter(f"{text!r} is no number of days: write 30d (at most {_MOST_DAYS}d)")
    return int(found[1])


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no day: write 2027-01-14") from None


def pins(
    context: typer.Context,
    config: Config = CONFIG,
    app_path: App = "",
    fail_within: Annotated[
        Any, typer.Option(help="Exit with 1 if a pin ends within so many days.", parser=_days, metavar="DAYS")
    ] = None,
    as_of: Annotated[
        Any, typer.Option(help="As it stands on another day than today (UTC).", parser=_day, metavar="DAY")
    ] = None,
    as_json: Json = False,
) -> None:
    """Each pin in use: what its name promises, the days it has left, and what the provider recommends instead.

    By the announcements that come with failsoft, and those that you took over with `update`: a model of which none is known
    may end all the same.
    """
    if context.invoked_subcommand is not None:
        return
    day = as_of or datetime.now(UTC).date()
    with explained(as_json):
        found = isolation_of(config, app_path).pin_standings(day)
    if as_json:
        print_json({"as_of": day, "pins": [_document(each) for each in found]})
    else:
        _tell(found, day)
    if fail_within is not None and any(_ends_within(each, fail_within) for each in found):
        raise typer.Exit(PROBLEM)


def _ends_within(pin: PinStanding, days: int) -> bool:
    left = pin.standing.days_left
    return left is not None and left <= days


def _document(pin: PinStanding) -> dict[str, Any]:
    told = pin.standing.announcement
    found: dict[str, Any] = {
        "adapter": pin.adapter,
        "provider": pin.provider,
        "model": pin.model,
        "class": pin.name_class.value,
        "state": pin.standing.state.value,
        "days_left": pin.standing.days_left,
        "below": BELOW.get(pin.provider),
    }
    if told is not None:
        found |= {
            "retiring": pin.retiring,
            "retires": told.retires,
            "announced": told.announced,
            "replacement": told.replacement or None,
            "read_on": told.as_of,
            "source": told.source,
        }
    return found


def _tell(found: list[PinStanding], day: date) -> None:
    table = Table(title=f"as of {day}", box=None, pad_edge=False)
    for heading in ("adapter", "model", "class", "ends", "instead"):
        table.add_column(heading, overflow="fold")
    for each in found:
        told = each.standing.announcement
        instead = told.replacement if told else ""
        cells = (each.adapter, each.model, each.name_class.value, _ends(each), instead)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    out.print(table, markup=False, highlight=False)
    for each in found:
        told = each.standing.announcement
        if told is not None:
            print_line(f"{each.adapter}: {each.retiring}: read on {told.as_of} from {told.source}")
        below = BELOW.get(each.provider)
        if below is not None:
            print_line(f"{each.adapter}: its name doesn't pin {below}")


def _ends(pin: PinStanding) -> str:
    state, left, told = pin.standing.state, pin.standing.days_left, pin.standing.announcement
    if told is None or left is None:
        return "nothing is announced" if state is State.UNKNOWN else "deprecated; no day is known"
    return f"{told.retires}, in {left} day{'s' * (left != 1)}" if left > 0 else f"{told.retires}: it has ended"


def update(
    file: Annotated[
        Path, typer.Argument(help="A CSV of announcements: provider,model,announced,retires,replacement,as_of,source")
    ],
    context: typer.Context,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="The application's failsoft.toml.")] = None,
    app_path: App = "",
) -> None:
    """Take over announcements from a file, into one beside the configuration. What was announced earlier is kept."""
    assert context.parent is not None
    given = context.parent.params
    with explained(False):
        isolation = isolation_of(config or given["config"], app_path or given["app_path"])
        path = isolation.retirements_path
        kept = read(path) if path.exists() else []
        more = read(file, datetime.now(UTC).date())
        if not more:
            raise ConfigurationError(f"{file}: holds no announcement")
        added = len(set(more) - set(kept))
        replace_text(path, written([*kept, *more]))
    print_line(f"{path.name}: {added} new announcements, {len({*kept, *more})} in all")
