"""What people decide: `failsoft review` and `appeal` put it on record, `failsoft ledger reviews` lists what waits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError

from failsoft.cli.application import CONFIG, App, Config, Json, isolation_of
from failsoft.cli.cases import OnlyCase
from failsoft.cli.moments import ago, in_order
from failsoft.cli.place import Ledger
from failsoft.cli.records import Capability, Csv, Since, Until, one_form
from failsoft.cli.sheet import print_csv
from failsoft.cli.telling import CODES, PROBLEM, explained, give_up, given_text, out, print_json, print_line, reading
from failsoft.isolation import Isolation
from failsoft.ledger.reading.kept import ERASED
from failsoft.ledger.reviews import COLUMNS, HISTORY, OWN, Deed, Review, history, pending, reviewed
from failsoft.review import DECISIONS
from failsoft.reviewing import NOT_GIVEN, lost_answer
from failsoft.reviewing import Json as JsonText

_PENDING_CODES: Final = (
    "Exit code: 0 done, whatever waits; 1 something waits longer than --fail-older-than, or it can't be done, and why; "
    "64 the command line is wrong."
)


def _decision(text: str) -> str:
    if text not in DECISIONS:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(DECISIONS)}")
    return text


CallId = Annotated[str, typer.Argument(metavar="CALL_ID", help="The call's identifier.")]
Reason = Annotated[str, typer.Option(help="Why, in the person's words: kept as a payload.")]


def review(
    call_id: CallId,
    decision: Annotated[Any, typer.Option(help=f"{', '.join(DECISIONS)}.", parser=_decision, metavar="DECISION")],
    person: Annotated[str, typer.Option(help="Who decided, as your organisation names them.")],
    reason: Reason,
    changed: Annotated[
        str | None, typer.Option(help="With --decision changed: the new value as JSON; - reads standard input.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="How long it took the person.")] = None,
    override: Annotated[
        bool, typer.Option("--override", help="Not the planned review: somebody decides otherwise than what stands.")
    ] = False,
    config: Config = CONFIG,
    app_path: App = "",
    as_json: Json = False,
) -> None:
    """Put on record what a person decided about a call's answer."""
    with explained(as_json):
        text = given_text(changed) if changed is not None else None
        value: Any = NOT_GIVEN if text is None else JsonText(text)
        isolation = isolation_of(config, app_path)
        isolation.ignore_lock()  # nobody is asked
        with isolation:
            try:
                index = isolation.review(
                    call_id,
                    person=person,
                    decision=decision,
                    reason=reason,
                    changed=value,
                    seconds=seconds,
                    override=override,
                )
            except ValidationError as error:
                give_up(as_json, [f"--changed: {_place(each['loc'])}{each['msg']}" for each in error.errors()])
    told = f"{decision} by {person}" + (", as an override" if override else "")
    _recorded(isolation, call_id, index, told, as_json=as_json)


def appeal(
    call_id: CallId,
    person: Annotated[str, typer.Option(help="Who asks, as your organisation names them.")],
    reason: Reason,
    config: Config = CONFIG,
    app_path: App = "",
    as_json: Json = False,
) -> None:
    """Put on record that somebody asks to look at a call's answer again: it's pending from then on."""
    with explained(as_json):
        isolation = isolation_of(config, app_path)
        isolation.ignore_lock()
        with isolation:
            index = isolation.appeal(call_id, person=person, reason=reason)
    _recorded(isolation, call_id, index, f"pending again, asked by {person}", as_json=as_json)


def _recorded(isolation: Isolation, call_id: str, index: int | None, told: str, *, as_json: bool) -> None:
    lost = "" if isolation.ledger is None else lost_answer(isolation.ledger, call_id)
    if as_json:
        print_json({"ok": True, "call_id": call_id, "record": index, "lost": lost})
        return
    where = "waits for its database" if index is None else f"record {index}"
    print_line(f"call {call_id}: {told}; {where}")
    if lost:
        why = "" if lost == ERASED else ", and nothing on record says why: run `failsoft verify`"
        print_line(f"its answer {lost}: nobody can look at it any more{why}")


def _place(loc: tuple[int | str, ...]) -> str:
    return "".join(f"{each}: " for each in [".".join(map(str, loc))] if each)


def reviews(
    ledger: Ledger,
    everything: Annotated[bool, typer.Option("--all", help="Those decided too, and by whom.")] = False,
    acts: Annotated[
        bool,
        typer.Option("--history", help="What persons did, a line for each review, override and appeal, and why."),
    ] = False,
    case: OnlyCase = None,
    capability: Capability = None,
    since: Since = None,
    until: Until = None,
    fail_older_than: Annotated[
        Any, typer.Option(help="Exit with 1 if something has waited longer: 2d, 36h, 90m.", parser=ago, metavar="TIME")
    ] = None,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Answers that wait for a person, longest first: a line for each. With --all in the order in which they became such.

    --since and --until are about when it was answered; with --history, about when it was done. Times are the records' own,
    by the clock of who wrote them, in UTC.
    """
    one_form(as_json=as_json, as_csv=as_csv)
    in_order(since, until, "--until")
    if acts:
        if everything or fail_older_than is not None:
            raise typer.BadParameter("--all and --fail-older-than don't go with --history: that's of all acts anyway")
        with reading(ledger, as_json) as reader:
            _show_history(history(reader, case, capability, since, until), as_json=as_json, as_csv=as_csv)
        return
    late: list[str] = []

    def noted(found: Iterator[Review]) -> Iterator[Review]:
        for each in found:
            if (since is None or each.answer.ts >= since) and (until is None or each.answer.ts < until):
                if fail_older_than is not None and each.status == "pending" and each.since < fail_older_than:
                    late[:] = late or [each.since]
                yield each

    with reading(ledger, as_json) as reader:
        found = noted((reviewed if everything else pending)(reader, case, capability))
        if as_csv:
            print_csv(COLUMNS, (each.row() for each in found))
        elif as_json:
            for each in found:
                print_json(each.row())
        else:
            _tell(found)
    if late:
        raise typer.Exit(PROBLEM)


def _tell(found: Iterator[Review]) -> None:
    waiting = decided = 0
    for each in found:
        waiting, decided = (waiting + 1, decided) if each.status == "pending" else (waiting, decided + 1)
        print_line(_line(each))
    out.print(f"{waiting} pending" + (f", {decided} decided" if decided else ""), highlight=False)


def _line(review: Review) -> str:
    row = review.row()
    about = f"{row['capability']} for case {row['case']}" if row["case"] else str(row["capability"])
    answer = f"its answer {review.why}" if review.why else row["answer"]
    who = f" {row['person']}" + (f", {OWN}" if row["own"] else "") if row["person"] else ""
    stands = f"{row['status']} since {row['since']}"
    if row["status"] != "pending":
        stands = f"{row['status']} by{who} ({row['act']}) at {row['since']}"
    elif row["act"] == "appeal":
        stands += f" (appeal by{who})"
    return f"{row['index']:>6}  {row['call_id']}  {about}  {row['outcome']}: {answer}  {stands}"


def _show_history(found: Iterator[Deed], *, as_json: bool, as_csv: bool) -> None:
    if as_csv:
        print_csv(HISTORY, (each.row() for each in found))
        return
    count = 0
    for each in found:
        count += 1
        if as_json:
            print_json(each.row())
        else:
            print_line(_deed(each))
    if not as_json:
        print_line(f"{count} recorded")


def _deed(deed: Deed) -> str:
    row = deed.row()
    about = f"{row['capability']} for case {row['case']}" if row["case"] else str(row["capability"])
    who = f"{row['person']}" + (f", {OWN}" if row["own"] else "")
    what = f": {row['decision']}" if row["decision"] else ""
    new = f" to {row['changed']}" if row["changed"] else ""
    why = f"its reason {deed.why}" if deed.why else row["reason"]
    nothing = (
        "not about what the caller got, and decides nothing" if deed.answered else "about an answer that was pruned"
    )
    aim = "" if deed.answer else f"; it's {nothing}"
    return f"{row['index']:>6}  {row['ts']}  {row['call_id']}  {about}  {row['act']} by {who}{what}{new} ({why}){aim}"


def add_reviews(app: typer.Typer, group: typer.Typer) -> None:
    """The commands of this room."""
    app.command(
        epilog="Example: failsoft review 0190… --decision accepted --person mwagner --reason 'drawing compared'\n\n"
        f"{CODES}"
    )(review)
    app.command(epilog=f"Example: failsoft appeal 0190… --person jdoe --reason 'the drawing is newer'\n\n{CODES}")(
        appeal
    )
    group.command(epilog=f"Example: failsoft ledger reviews failsoft.db --fail-older-than 2d\n\n{_PENDING_CODES}")(
        reviews
    )
