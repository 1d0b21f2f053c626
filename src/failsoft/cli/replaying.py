"""`failsoft ledger replay`: recorded calls run again and compared, or their questions put to an adapter of today."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Annotated, Any, Final, NoReturn

import attrs
import typer
from pydantic import ValidationError

from failsoft.capability import default_prompt
from failsoft.cli.application import CONFIG, App, Config, Json, isolation_of
from failsoft.cli.moments import HOW, beginning, ending, in_order
from failsoft.cli.output import told_or
from failsoft.cli.place import Ledger
from failsoft.cli.telling import explained, give_up, looking_into, print_json, print_line, warn
from failsoft.context import Actor, Case, context
from failsoft.core.contract import Contract
from failsoft.errors import FailsoftError
from failsoft.isolation import Isolation
from failsoft.ledger.location import Location
from failsoft.ledger.read import Reader
from failsoft.ledger.reading.asked import END
from failsoft.ledger.reading.query import COMPARISON
from failsoft.ledger.reading.unlisted import unlisted
from failsoft.login import logged_in
from failsoft.replay.agreement import Agreement, Compared, Given, Question, Tally, Unasked, put, question
from failsoft.replay.comparing import kept_of, same_value
from failsoft.replay.recorded import NoSuchCall, started
from failsoft.replay.replay import Replay
from failsoft.replay.steps import EXIT, Replayed, Result, Step, worst

UNUSABLE: Final = 3
"""Ledger or configuration can't be used."""

MOST: Final = 100
"""Calls that are asked anew without a word."""

EPILOG = (
    "Example: failsoft ledger replay failsoft.db --since 2026-11-01 --capability classify-item\n\n"
    "Exit code: 0 all is the same; 1 something differs; 2 something couldn't be replayed, or there was nothing to replay; "
    "3 ledger or configuration can't be used; 64 the command line is wrong. With --against: 0 all answers agree; 1 some "
    "don't; 2 some questions weren't asked or answered."
)


def replay(
    ledger: Ledger,
    call: Annotated[str | None, typer.Option(help="Only this one, by its identifier.", metavar="ID")] = None,
    since: Annotated[
        Any, typer.Option(help=f"Calls that began then or later: {HOW}.", parser=beginning, metavar="WHEN")
    ] = None,
    until: Annotated[
        Any, typer.Option(help="Only before then; of a date, to that day's end (UTC).", parser=ending, metavar="WHEN")
    ] = None,
    capability: Annotated[str | None, typer.Option(help="Only this capability's.")] = None,
    against: Annotated[
        str | None, typer.Option(help="Put the questions to this adapter, now.", metavar="ADAPTER")
    ] = None,
    most: Annotated[
        int | None, typer.Option(min=1, help=f"More questions than so many need a yes; default: {MOST}.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask, however many there are.")] = False,
    actor: Annotated[str | None, typer.Option(help="Who asks, for the record; default: your login name.")] = None,
    config: Config = CONFIG,
    app_path: App = "",
    as_json: Json = False,
) -> None:
    """Run the deterministic parts of recorded calls again, from recorded bytes, and compare with what's on record.

    That's prompt, decoding, response type, acceptance rule and fallback, of the capabilities that the configuration names.
    Nobody is asked, and nothing is written. With --against an adapter is asked the same questions, and how far its answers
    agree is told. A model's answer is never reproduced: it's evidenced.
    """
    if (call is None) == (since is None):
        raise typer.BadParameter("give either --call or --since")
    if call is not None and (until is not None or capability is not None):
        raise typer.BadParameter("--until and --capability go with --since")
    in_order(since, until, "--until")
    if against is None and (most is not None or yes or actor is not None):
        raise typer.BadParameter("--most, --yes and --actor go with --against")
    with explained(as_json, code=UNUSABLE):
        isolation = isolation_of(config, app_path, keyless=against is None)
        window = _Window(ledger, call, since, until, capability)
        try:
            if against is None:
                _replay(isolation, window, as_json=as_json)
            _ask_again(isolation, window, against, actor, MOST if most is None else most, yes=yes, as_json=as_json)
        except NoSuchCall as error:
            give_up(as_json, [str(error)], EXIT[Result.NOT_REPLAYABLE])


@attrs.frozen
class _Window:
    """Which calls are meant."""

    ledger: Location
    call: str | None
    since: str | None
    until: str | None
    capability: str | None

    def lacking(self, reader: Reader) -> list[str]:
        """Why calls of that time may be missing among them."""
        return [] if self.since is None else unlisted(reader, self.since, self.until or END)

    def calls(self, reader: Reader) -> Iterator[str | int]:
        """Their identifiers; of a record that names none by its index, its place in the log."""
        if self.call is not None:
            yield self.call
        else:
            assert self.since is not None
            for each in started(reader, self.since, self.until, self.capability):
                yield each.index if each.call_id is None else each.call_id


# --- replaying --------------------------------------------------------------------------------------------------------


def _replay(isolation: Isolation, window: _Window, *, as_json: bool) -> NoReturn:
    results: Counter[Result] = Counter()
    steps: Counter[Result] = Counter()
    with looking_into(window.ledger) as reader:
        replays = Replay(reader, isolation.contracts, isolation.pins)
        for each in window.calls(reader):
            found = _nameless(each) if isinstance(each, int) else replays.call(each)
            results[found.result] += 1
            steps.update(step.result for step in found.steps)
            if as_json:
                print_json(document(found))
            elif window.call is not None:
                _tell(found, whole=True)
            else:
                _tell(found, whole=False)
        lacking = window.lacking(reader)
    for why in lacking:
        warn(f"some may be missing here: {why}")
    if not as_json:
        print_line(
            f"{results.total()} calls: {_counted(results)}; {steps.total()} steps: {_counted(steps)}; nobody was asked: "
            "what a model said is evidenced, not reproduced"
        )
    raise typer.Exit(EXIT[worst(results)] or (EXIT[Result.NOT_REPLAYABLE] if lacking else 0))


def _nameless(index: int) -> Replayed:
    reason = f"record {index} names no call by its index: run `failsoft verify` on the ledger"
    return Replayed("", index, steps=(Step("call", Result.NOT_REPLAYABLE, reason),))


def _counted(counts: Counter[Result]) -> str:
    return ", ".join(f"{counts[each]} {each}" for each in Result)


def document(found: Replayed) -> dict[str, Any]:
    """A call's results for programs: what isn't known is left out."""
    plain = attrs.asdict(found)
    plain["result"] = found.result
    plain["steps"] = [
        {name: value for name, value in each.items() if value not in (None, "")} for each in plain["steps"]
    ]
    return {name: value for name, value in plain.items() if value not in (None, "")}


def _tell(found: Replayed, *, whole: bool) -> None:
    """One call: its line, its steps (those that aren't the same, unless the `whole` is wanted), what else is to be known."""
    where = "" if found.index is None else f"{found.index:>6}  "
    print_line(f"{where}{found.ts}  call {found.call_id}  {found.capability}: {found.result}")
    for each in found.steps:
        if whole or each.result is not Result.SAME:
            about = "" if each.attempt is None else f" of attempt {each.attempt} ({each.adapter})"
            reason = f": {each.reason}" if each.reason else ""
            print_line(f"  {each.result:<14}  {each.step}{about}{reason}")
    if whole:
        for note in found.notes:
            print_line(f"  note: {note}")
        if found.fallback_says is not None:
            print_line(f"  note: the fallback says: {found.fallback_says}")


# --- asking again -----------------------------------------------------------------------------------------------------


def _ask_again(
    isolation: Isolation, window: _Window, adapter: str, actor: str | None, most: int, *, yes: bool, as_json: bool
) -> NoReturn:
    if adapter not in isolation.pins:
        give_up(as_json, [f'no adapter named "{adapter}"'], UNUSABLE)
    with looking_into(window.ledger) as reader:  # closed before anybody is asked: that takes long
        found = [
            Unasked("", f"record {each} names no call by its index")
            if isinstance(each, int)
            else question(reader, each)
            for each in window.calls(reader)
        ]
    if window.call is None and (left_out := sum(map(_asked_again, found))):
        warn(f"{left_out} calls asked again themselves: they're left out")
        found = [each for each in found if not _asked_again(each)]
    count = sum(isinstance(each, Question) for each in found)
    _consent(adapter, count, most, yes=yes, as_json=as_json)
    tally = Tally()
    with _Asker(isolation, adapter, actor or logged_in()) as asker:
        for each in put(found, asker.ask):
            tally.add(each)
            if as_json:
                print_json(attrs.asdict(each))
            elif each.result is not Agreement.AGREES:
                _tell_compared(each)
    if as_json:
        print_json({"adapter": adapter, "agreement": dict(tally.document())})
    else:
        _tell_agreement(adapter, tally)
    raise typer.Exit(tally.exit_code)


def _asked_again(found: Question | Unasked) -> bool:
    return isinstance(found, Question) and found.call.actor_kind == COMPARISON


def _consent(adapter: str, count: int, most: int, *, yes: bool, as_json: bool) -> None:
    """Say how many calls will be made; of more than `most` somebody must have said yes."""
    warn(f"{adapter} will be asked {count} times at most")
    if count <= most or yes:
        return
    if not _at_a_terminal():
        give_up(as_json, [f"that's more than {most}: say --yes, or --most {count}"], UNUSABLE)
    if not typer.confirm(f"That's more than {most}. Ask all the same?", err=True):
        give_up(as_json, ["nobody was asked"], UNUSABLE)


def _at_a_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


class _Asker:
    """Asks one adapter, as `failsoft call` does: same breakers, same deadline, evidence in the configuration's ledger.

    The records of these calls carry case and labels of the calls that they ask again, so that what holds for their data
    holds here too, and an actor of the kind ``replay``.
    """

    def __init__(self, isolation: Isolation, adapter: str, actor: str) -> None:
        self._isolation, self._adapter, self._actor = isolation, adapter, actor
        self._entered: dict[str, Isolation] = {}
        self._stack = ExitStack()

    def __enter__(self) -> _Asker:
        return self

    def __exit__(self, *details: Any) -> None:
        self._stack.close()

    def ask(self, asked: Question) -> Given:
        """Put one question. Raises ConfigurationError where the adapter can't be asked for its capability."""
        call = asked.call
        contract = self._isolation.contracts.get(call.capability)
        if contract is None:
            return Given(reason=f'there is no capability named "{call.capability}" here', asked=False)
        if contract.audit is not None and contract.audit.request.omitted:
            return Given(reason="a part of its request is on no record (`Audit.omitted`)", asked=False)
        alone = self._alone(call.capability)
        isolated = alone[contract.capability].using(deadline=self._isolation[call.capability].deadline)
        case = None if call.case is None else Case(*call.case)
        try:
            request = isolated.parse_request(asked.request)
        except (Exception, SystemExit) as error:  # validators are the user's own
            return Given(reason=f"its request doesn't fit today's request type ({type(error).__name__})", asked=False)
        another = _another(asked, contract, request)
        if another:
            return Given(reason=another, asked=False)
        try:
            with context(case=case, actor=Actor(self._actor, COMPARISON), labels=call.labels):
                outcome = isolated.sync(request)
        except (ValidationError, ValueError):
            return Given(reason="its request, case or labels can't be those of a call", asked=False)
        except (FailsoftError, SystemExit) as error:  # the capability's own code may leave
            return Given(reason=f"the call failed ({type(error).__name__})")
        if not outcome.by_ai:
            return Given(outcome.call_id, reason="; ".join(map(str, outcome.passed_over)))
        now = kept_of(contract.dump_response(outcome.value), contract)
        same = same_value(asked.response, now, lambda text: contract.read_written(text, request))
        return Given(outcome.call_id, asked.response if same else now)  # the order of a set is each process's own

    def _alone(self, capability: str) -> Isolation:
        found = self._entered.get(capability)
        if found is None:
            made = self._isolation.only(self._adapter, self._isolation.contracts[capability].capability)
            found = self._entered[capability] = self._stack.enter_context(made)
        return found


def _another(asked: Question, contract: Contract[Any, Any], request: Any) -> str:
    """Why what would be asked today isn't what was asked; empty where it is, as far as that's on record."""
    prompt = asked.call.prompt
    try:
        snapshot = contract.snapshot(request)
        if not same_value(asked.request, snapshot.text, contract.parse_request):
            return "today's request type writes its request in other bytes: it would be another question"
        if prompt is None:  # whoever was asked took the request itself
            return ""
        if prompt.data is None:
            return f"its prompt {prompt.why}, so nobody can tell whether today's is the same"
        if contract.prompt is not None:
            today = contract.render(snapshot)
        else:  # of the recorded bytes: a set is written in any order
            today = default_prompt(contract.capability, asked.request)
        return "" if today.to_json() == prompt.data else "today's prompt is another"
    except (Exception, SystemExit) as error:  # it's the application's own code
        return f"its question can't be made today ({type(error).__name__})"


def _tell_compared(found: Compared) -> None:
    again = f" (asked again as {found.new_call_id})" if found.new_call_id else ""
    print_line(f"call {found.call_id}: {found.result}{again}")
    if found.reason:
        print_line(f"  {found.reason}")
    if found.result is Agreement.DISAGREES:
        print_line(f"  then: {found.recorded}")
        print_line(f"  now:  {found.now}")


def _tell_agreement(adapter: str, tally: Tally) -> None:
    counts, (low, high) = tally.counts, tally.interval
    agrees = counts[Agreement.AGREES]
    share = f" ({agrees / tally.answered:.1%}, 95 % interval {low:.1%} to {high:.1%})" if tally.answered else ""
    print_line(f"{adapter} agrees with {agrees} of {tally.answered} recorded answers{share}")
    for name, count in sorted(tally.fields.items()):
        print_line(f"  {name} differs in {count}")
    print_line(f"{counts[Agreement.NO_ANSWER]} without an answer, {counts[Agreement.NOT_ASKED]} not asked")
    print_line("Agreement says nothing of who is right, and nothing of other questions than these.")


def add_replay(group: typer.Typer) -> None:
    """The command of this room."""
    group.command(name="replay", cls=told_or(UNUSABLE), epilog=EPILOG)(replay)
