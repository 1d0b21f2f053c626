"""``report.html``: what a bundle says, for people: one page without scripts or outside resources, that prints well.

It's generated from the same records and disclosures as stand beside it, and proves nothing by itself; the same bundle always
has the same page. The first page is for readers who want the matter; what was tried, and how to verify, comes after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import frozen

from failsoft.ledger.bundles.exchange import exchange
from failsoft.ledger.bundles.markup import Markup, joined, plain, tag
from failsoft.ledger.bundles.selection import Selection
from failsoft.ledger.bundles.sheet import parts_table, sheet
from failsoft.ledger.bundles.shown import NOTHING, brief, facts, table
from failsoft.ledger.bundles.since import changes_of
from failsoft.ledger.bundles.told import Told as Call
from failsoft.ledger.bundles.told import calls_of
from failsoft.ledger.bundles.tried import attempts_table
from failsoft.ledger.bundles.wording import BELIEVED, PEOPLE, believed, duration, moment, spelled
from failsoft.ledger.reading.query import reviewer_of


@frozen
class Told:
    """What a report is made from.

    Args:
        selection: what the bundle holds.
        question: what the receiver wants to know.
        verifier_sha256: of the verifier, hexadecimal.
        signed: is the bundle's manifest signed, which lists this page too?
    """

    selection: Selection
    question: str | None
    verifier_sha256: str
    signed: bool


_STYLE = """
:root { --ink: #1a1a1a; --dim: #555; --line: #bbb; --shade: #f4f4f1; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: #fff; }
body { font: 1rem/1.45 Georgia, "Times New Roman", "DejaVu Serif", serif; }
table.frame { width: 100%; border-collapse: collapse; } table.frame > * > tr > td { padding: 0; }
main { max-width: 50rem; margin: 0 auto; padding: 1.2rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .6rem 0 .4rem; }
h2 { font-size: 1.3rem; margin: 1.6rem 0 .4rem; }
h3 { font-size: 1.02rem; margin: 1.1rem 0 .25rem; padding-top: .45rem; border-top: 1px solid var(--line); }
p, ul, ol { margin: .3rem 0 .5rem; } ul, ol { padding-left: 1.3rem; } li { margin: .15rem 0; }
p, li, td, pre, h1, h2 { overflow-wrap: anywhere; } .list th { overflow-wrap: normal; }
.list td:nth-child(2) { min-width: 5.5em; } .overview { table-layout: fixed; }
.overview th:nth-child(1) { width: 4%; } .overview th:nth-child(2) { width: 13%; } .overview th:nth-child(3) { width: 18%; }
.overview th:nth-child(5), .overview th:nth-child(8) { width: 11.5%; }
.lead { font-size: 1.05rem; }
.note, .caption { color: var(--dim); font-size: .92rem; } .caption { margin-bottom: 0; }
.value { font-size: 1.15rem; font-weight: bold; white-space: pre-wrap; }
.withheld { border: 1px dashed #777; background: repeating-linear-gradient(135deg, #f4f4f1 0 8px, #fff 8px 16px);
  padding: .4rem .7rem; font-style: italic; }
pre { white-space: pre-wrap; background: var(--shade); padding: .5rem .7rem;
  font: 9pt/1.4 "DejaVu Sans Mono", Consolas, monospace; }
.unseen { border: 1px solid #999; border-radius: .2em; padding: 0 .15em; white-space: nowrap;
  font: normal .78em "DejaVu Sans Mono", Consolas, monospace; }
.said { white-space: pre-wrap; border-left: 3px solid var(--line); padding-left: .8rem; }
table.facts, table.list { width: 100%; border-collapse: collapse; margin: .4rem 0 .6rem; font-size: .95rem; }
table.facts th { width: 30%; text-align: left; font-weight: normal; color: var(--dim); }
table.facts th, table.facts td, table.list th, table.list td { padding: .22rem .5rem; border-bottom: 1px solid #ddd;
  vertical-align: top; text-align: left; }
td > span, li > span, .values > span { white-space: pre-wrap; }
.facts ul, .values ul { list-style: none; padding-left: 1.1rem; } .facts ul, .facts ol { margin: 0; }
.facts td > ul, .facts li > ul:first-child, .values li > ul:first-child { padding-left: 0; }
table.list { font-size: .85rem; } table.list th { border-bottom: 1px solid #777; }
.limits { background: var(--shade); border-left: 4px solid #777; padding: .3rem .9rem .5rem; margin-top: 1.1rem; }
.limits h3 { border: 0; padding: 0; margin-top: .3rem; }
.marking { text-align: center; font: bold 11pt/1.6 Arial, "DejaVu Sans", sans-serif; letter-spacing: .06em; }
.marking.screen { position: sticky; top: 0; background: #fff; border-bottom: 2px solid var(--ink); }
.room { height: 0; } .marking.print { display: none; }
@media print {
  @page { margin: 12mm 16mm; }
  html { font-size: 9.4pt; } body { line-height: 1.36; } h3 { margin-top: .8rem; }
  main { max-width: none; padding: 0; } .marking.screen { display: none; }
  .marking.print { display: block; position: fixed; left: 0; right: 0; }
  .marked .room { height: calc(var(--lines) * 6.5mm + 3mm); }
  .marking.top { top: 0; } .marking.bottom { bottom: 0; }
  .sheet, .after { break-before: page; } .first { break-before: auto; }
  h1, h2, h3, .caption { break-after: avoid; } tr, .withheld, .limits { break-inside: avoid; }
  a { color: inherit; text-decoration: none; }
}
"""


def report(told: Told) -> bytes:
    """The page, UTF-8."""
    selection = told.selection
    calls = list(calls_of(selection))
    labels = sorted({label for each in selection.entries.values() for label in each.fields.get("labels", [])})
    marking = " // ".join(labels)
    title = _title(calls)
    frame = Markup('<div class="room"></div>')
    body = tag(
        "table",
        tag("thead", tag("tr", tag("td", frame))),
        tag("tbody", tag("tr", tag("td", tag("main", _first(told, calls, title), _after(told, calls))))),
        tag("tfoot", tag("tr", tag("td", frame))),
        cls="frame marked" if marking else "frame",
    )
    banners = _banners(marking) if marking else Markup("")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{plain(title)}</title>\n<style>{_STYLE}:root {{ --lines: {1 + len(marking) // 60}; }}\n</style>\n"
        f"</head>\n<body>\n{banners}{body}</body>\n</html>\n"
    ).encode()


def _banners(marking: str) -> Markup:
    places = ("marking screen", "marking print top", "marking print bottom")
    return joined(tag("div", marking, cls=place) for place in places)


def _title(calls: Sequence[Call]) -> str:
    cases = sorted({each.fields["case"]["id"] for each in calls if "case" in each.fields})
    about = f" in the case {cases[0]}" if len(cases) == 1 else ""
    if decisions := sum(not each.compares for each in calls):
        return f"What is on record about {'a decision' if decisions == 1 else f'{decisions} decisions'}{about}"
    questions = "a question" if len(calls) == 1 else f"{len(calls)} questions"
    return f"What is on record about {questions}{about}, asked again to compare"


# --- the first page ---------------------------------------------------------------------------------------------------


def _first(told: Told, calls: Sequence[Call], title: str) -> Markup:
    heading = [tag("h1", title)]
    if told.question is not None:
        heading.append(tag("p", "Asked for this copy: ", tag("em", told.question), cls="lead"))
    if len(calls) == 1:
        return tag("div", *heading, sheet(calls[0]), _limits(told, calls), cls="sheet first")
    sheets = [
        tag("div", tag("h2", _named(number, each)), sheet(each), cls="sheet") for number, each in _numbered(calls)
    ]
    return joined([tag("div", *heading, _overview(told, calls), _limits(told, calls), cls="sheet first"), *sheets])


def _numbered(calls: Sequence[Call]) -> Sequence[tuple[int, Call]]:
    return list(enumerate(calls, 1))


def _named(number: int, call: Call) -> str:
    return f"{'Comparison' if call.compares else 'Decision'} {number}: “{call.put_to}”"


def _overview(told: Told, calls: Sequence[Call]) -> Markup:
    rows = [
        (
            number,
            moment((each.started or each.end).ts),
            brief(told.selection, each.started, "request"),
            brief(told.selection, each.end, each.answer),
            _by(each),
            _believed(each),
            "; ".join(_decided(told.selection, each)) or "nobody",
            _since(each),
        )
        for number, each in _numbered(calls)
    ]
    head = (
        *("", "when", "the question", "the answer", "who or what answered", "how far its name can be believed"),
        *("person who decided, and why", "changed since"),
    )
    decisions = [each for each in calls if not each.compares]
    said = _answers(decisions)
    if unknown := sum(each.completed is None for each in decisions):
        said += f"Of {unknown} it isn't on record whether an AI was asked. "
    if again := len(calls) - len(decisions):
        what = "1 question was" if again == 1 else f"{again} questions were"
        said += f"Besides, {what} asked again, to compare: that decides nothing. "
    said += "Each is told on a page of its own, further down."
    return joined([tag("p", said, cls="lead"), table(head, rows, "list overview")])


def _answers(decisions: Sequence[Call]) -> str:
    by_ai = sum(each.end.fields.get("source", {}).get("kind") in ("adapter", "frozen") for each in decisions)
    if len(decisions) == 1:
        if decisions[0].completed is None:
            return ""
        return f"The answer of the decision is {'an' if by_ai else 'no'} AI model's. "
    return f"In {by_ai} of the {len(decisions)} decisions the answer is an AI model's. " if decisions else ""


def _by(call: Call) -> str:
    source = call.end.fields.get("source", {})
    if source.get("kind") == "fallback":
        return "no AI: fixed rules"
    if source.get("kind") in ("adapter", "frozen"):
        again = "to compare, " if call.compares else ""
        return f"{again}AI: {call.answering.get('served', {}).get('model') or source['name']}"
    return "not on record" if call.completed is None else "nobody"


def _believed(call: Call) -> str:
    """How far the name of the model that answered can be."""
    if not call.answering:
        return NOTHING
    return believed(BELIEVED, call.answering.get("served", {}))


def _since(call: Call) -> str:
    """How much is on record about what changed after it."""
    changes = changes_of(call)
    if not changes.lines:
        return "too much to be in this copy" if changes.beyond else "nothing on record"
    count = len(changes.lines) + changes.more
    told = f"{count} change{'s' if count > 1 else ''}, latest {max(changes.lines)[0][:10]}"
    return f"at least {told}" if changes.beyond else told


def _decided(selection: Selection, call: Call) -> Iterator[str]:
    """What persons decided about it, in order: the last that decides anything is what counts."""
    deciding = call.deciding
    for each in call.people:
        said = spelled(str(each.fields.get("decision", PEOPLE[each.kind])))
        instead = f" to {brief(selection, each, 'changed')}" if said == "changed" else ""
        why = brief(selection, each, "reason")
        of_first = " of what was on record first, which" if call.is_of_withdrawn(each.fields) else " which"
        nothing = "" if each.index in deciding else f",{of_first} decides nothing"
        because = "" if why == NOTHING else f" ({why})"
        yield f"{reviewer_of(each.fields) or 'somebody'}: {said}{instead}{because}{nothing}"


def _limits(told: Told, calls: Sequence[Call]) -> Markup:
    selection = told.selection
    whole = len(selection.entries) == selection.checkpoint.size
    lines = [
        "That an answer is right, or was followed. It says what was asked, answered and decided.",
        "Who really answered: a model's name and a request's number are the provider's own claims.",
        "When exactly: times are those of the computer that kept the record.",
        "That nothing was done elsewhere, or after the end of this record: what was never put on record shows nowhere.",
    ]
    if whole:
        lines.append("All records of the log are in this copy, so a later decision in that log would show here.")
    else:
        lines.append(
            "That no other decision about this exists: this copy holds what was chosen for it. Whoever keeps the log can be "
            "asked for a copy with every record of it, where none was taken out."
        )
    hidden = len(selection.withheld) + len(selection.erased)
    if hidden:
        parts = "1 part is" if hidden == 1 else f"{hidden} parts are"
        lines.append(
            f"{parts} withheld or no longer kept; each is marked where it belongs, or in the lists further down."
        )
    if not told.signed:
        lines.append("That the question above and this page are the log's: nobody signed them, only the records.")
    lines.append(
        "By itself, anything: this page is made for reading. The files beside it prove it, as the last page shows."
    )
    return tag(
        "div", tag("h3", "What this page doesn't prove"), tag("ul", *(tag("li", each) for each in lines)), cls="limits"
    )


# --- later pages ------------------------------------------------------------------------------------------------------


def _after(told: Told, calls: Sequence[Call]) -> Markup:
    parts = [tag("h2", "What was tried")]
    for number, each in _numbered(calls):
        if len(calls) > 1:
            parts.append(tag("h3", _named(number, each)))
        parts.append(facts(_times(each)))
        parts += [*attempts_table(each), parts_table(each)]
    words = [
        tag("div", tag("h2", _sent(number, each, len(calls))), *said, cls="after")
        for number, each in _numbered(calls)
        if (said := exchange(each))
    ]
    return joined([tag("div", *parts, cls="after"), *words, tag("div", *_verifying(told), cls="after")])


def _sent(number: int, call: Call, calls: int) -> str:
    said = "Word for word: what was put to an AI, and what came back"
    return said if calls == 1 else f"{said}. {_named(number, call)}"


def _times(call: Call) -> list[tuple[str, str]]:
    rows = [("call", call.call_id)]
    if call.started is not None:
        rows.append(("began", f"{call.started.ts} (record {call.started.index})"))
    orphaned = call.end.kind == "call.orphaned"
    rows.append(("found to be broken off" if orphaned else "ended", f"{call.end.ts} (record {call.end.index})"))
    if "us" in call.end.fields:
        rows.append(("took", duration(call.end.fields["us"])))
    return rows


def _first_line(hidden: int) -> str:
    """What the verifier says of this copy, if nobody changed it."""
    if not hidden:
        sound = "The first line it prints is “verified”"
    else:
        parts = "1 part is" if hidden == 1 else f"{hidden} parts are"
        sound = (
            f"As {parts} not shown here, the first line it prints is “incomplete”, and it names them and nothing else"
        )
    return (
        f"{sound}. Otherwise it says what is wrong, and in which file. “self-consistent” means that no key was given."
    )


def _verifying(told: Told) -> list[Markup]:
    selection = told.selection
    checkpoint = selection.checkpoint
    steps = [
        "Get verify.py from a release of failsoft, not from this copy, and compare its SHA-256: "
        + told.verifier_sha256,
        f"Get the log's verifier key (its name is {checkpoint.origin}) from whoever keeps it for you, not from whoever sent "
        "you this copy. If you kept a signed checkpoint of this log, have it ready.",
        "On a computer with Python 3.8 or later, without a network if you like, run the command below.",
        _first_line(len({*selection.withheld, *selection.erased})),
    ]
    index = [(each.index, moment(each.ts), each.kind) for each in selection.entries.values()]
    return [
        tag("h2", "How to verify this copy"),
        tag("ol", *(tag("li", each) for each in steps)),
        tag("pre", "python -I -S verify.py BUNDLE.zip --key 'VERIFIER KEY' [--checkpoint FILE]"),
        facts(
            [
                ("log", checkpoint.origin),
                ("records under its signed checkpoint", str(checkpoint.size)),
                ("root of its tree", checkpoint.root.hex()),
                (
                    "list of files signed",
                    "yes" if told.signed else "no: the records are under a signature, this page isn't",
                ),
            ]
        ),
        tag("h3", "Records in this copy"),
        table(("record", "its own time", "type"), index if len(index) <= 1000 else index[:1000]),
        *([tag("p", f"and {len(index) - 1000} more", cls="note")] if len(index) > 1000 else []),
    ]
