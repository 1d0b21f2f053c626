"""One call, told to somebody who has never heard of any of this: the questions that a report answers, in their order.

What was asked; what was answered; who or what answered; which model, and how far its name can be believed; which person
decided, and why; what has changed since. Nothing here is inferred: each sentence is a record's, and what isn't on record is
said to be so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Any

from failsoft.context import alike
from failsoft.ledger.bundles.exchange import instruction
from failsoft.ledger.bundles.markup import Markup, joined, tag
from failsoft.ledger.bundles.selection import Selection
from failsoft.ledger.bundles.shown import ERASED, REDACTED, WITHHELD, disclosed, facts, payload, table
from failsoft.ledger.bundles.since import changes_of
from failsoft.ledger.bundles.told import Told
from failsoft.ledger.bundles.tried import tried, unknown
from failsoft.ledger.bundles.wording import (
    FIRST,
    GONE,
    GRADES,
    LOCK,
    OBSERVED,
    OUTCOMES,
    PEOPLE,
    believed,
    moment,
    pinned,
    rules,
    spelled,
)
from failsoft.ledger.read import Entry
from failsoft.ledger.reading.query import reviewer_of
from failsoft.ledger.records.redaction import MARK

Fields = dict[str, Any]

MORE = "Besides, this changed {times} more, to what is on record in this copy already."
BEYOND = (
    "The application was set up otherwise very often since, for this or for another decision in this copy: {count} records "
    "of that aren't in it. The last one is."
)
_UNCHANGED = "Nothing about what was asked is on record after it, up to the end of the log that this copy covers."
_SIDE_BY_SIDE = (
    "Where several programs of the application run side by side, what is told of a model that's asked for, or of settings, "
    "is about the one that was set up then."
)
_PENDING = "Nobody's decision about the last appeal is on record, up to the end of the log that this copy vouches for."
_OF_FIRST = "That's not what the caller got, so this decides nothing."
_OF_NONE = "It names no answer that the caller got, so it decides nothing."
_OWN = MappingProxyType(
    {
        "id": "It's the same person who had asked.",
        "on_behalf_of": "It was asked on their behalf.",
        "": "It's the same person who had asked, or on whose behalf it was asked.",
    }
)
"""Who a person is who decided of a call of their own, by what its actor names them as."""

_TITLES = {"reason": "Reason given", "shown": "What was shown to them", "changed": "What they put in its place"}


def sheet(told: Told) -> Markup:
    """A call's own page, without a heading."""
    return joined(
        (
            _part("The question", _question(told)),
            _part("The answer", _answer(told)),
            _part("Who or what answered", _source(told)),
            _part("Which model, and how far its name can be believed", _model(told)),
            _part("Which person decided, and why", _people(told)),
            _part("What has changed since", _changes(told)),
        )
    )


def _part(title: str, content: Sequence[Markup]) -> Markup:
    return tag("section", tag("h3", title), *content, cls="part")


# --- the parts --------------------------------------------------------------------------------------------------------


def _question(told: Told) -> list[Markup]:
    fields = told.fields
    actor = fields.get("actor", {})
    by = f", by {actor['id']}" if actor else ""
    for_whom = f" on behalf of {actor['on_behalf_of']}" if "on_behalf_of" in actor else ""
    case = fields.get("case", {})
    kind = f" ({case['kind']})" if "kind" in case else ""
    about = f", in the case {case['id']}{kind}" if case else ""
    again, end = (" again", ", to compare: its answer decides nothing") if told.compares else ("", "")
    return [
        tag(
            "p", f"Put to “{told.put_to}”{again} on {moment((told.started or told.end).ts)}{by}{for_whom}{about}{end}."
        ),
        payload(told.selection, told.started, "request"),
        *_redacted(told.selection, told.started, "request"),
        *_omitted(told.started, "request"),
        *instruction(told),
    ]


def _redacted(selection: Selection, entry: Entry | None, path: str) -> list[Markup]:
    """A record counts what was taken out of all its payloads: which of them it was is seen in those that are shown."""
    found = disclosed(selection, entry, path)
    if entry is None or "redacted" not in entry.fields or isinstance(found, str) or MARK not in found.data:
        return []
    return [tag("p", REDACTED, cls="note")]


def _omitted(entry: Entry | None, path: str) -> list[Markup]:
    """What an application keeps off the record of this payload."""
    told: list[str] = [] if entry is None else entry.fields.get("omitted", [])
    parts = [each.partition(".")[2] for each in told if each.startswith(f"{path}.")]
    if not parts:
        return []
    return [tag("p", f"Left out, since the application never puts it on record: {', '.join(parts)}.", cls="withheld")]


def _answer(told: Told) -> list[Markup]:
    fields = told.end.fields
    if told.end.kind == "call.orphaned":
        return [tag("p", f"None is on record. {GONE}")]
    said = [tag("p", (OBSERVED if told.observed else OUTCOMES).get(fields["outcome"], fields["outcome"]))]
    if told.end.kind == "call.amended":
        said.append(
            tag("p", "What was put on record first came too late. This is what the caller really got.", cls="note")
        )
    if fields["outcome"] in ("answered", "referred"):
        said += [payload(told.selection, told.end, told.answer), *_redacted(told.selection, told.end, told.answer)]
        said += _omitted(told.end, told.answer)
    return [*said, *_withdrawn(told)]


def _withdrawn(told: Told) -> Iterator[Markup]:
    """The end that was put on record first, where it came too late: an AI's answer in it was given to nobody."""
    if told.withdrawn is None:
        return
    first = told.withdrawn.fields
    source = first.get("source", {})
    whose = FIRST.get(source.get("kind", ""), "no answer").format(name=source.get("name", ""))
    yield tag("p", f"What was on record first: {whose}. That's not what the caller got.", cls="caption")
    if first["outcome"] in ("answered", "referred"):
        yield payload(told.selection, told.withdrawn, "response")
        yield from (*_redacted(told.selection, told.withdrawn, "response"), *_omitted(told.withdrawn, "response"))


def _source(told: Told) -> list[Markup]:
    source = told.end.fields.get("source", {})
    name = source.get("name", "")
    said = {
        "adapter": f"AI: a model, through the connection that the application calls “{name}”.",
        "frozen": f"AI, earlier: an answer of “{name}” to the same question, kept and given again.",
        "fallback": f"No AI: fixed rules of the application's own, written by people: {rules(name)}.",
    }
    nobody = "That isn't on record." if told.completed is None else "Nobody: no answer was given."
    if told.observed:
        said["adapter"] = f"AI: a model of the service “{name}”, which the application asked by itself."
        nobody = "Nobody, as far as is on record."
    parts = [tag("p", tag("strong", said.get(source.get("kind", ""), nobody))), *unknown(told)]
    if lines := list(tried(told)):
        parts.append(tag("p", "Before that:" if source and not told.observed else "What was tried:"))
        parts.append(tag("ul", *(tag("li", each) for each in lines)))
    return parts


def _model(told: Told) -> list[Markup]:
    answer = told.answering
    if not answer:
        return [tag("p", _modelless(told))]
    served = answer.get("served", {})
    rows = [("Asked for", pinned(answer["pin"])), ("The reply says", served.get("model", "no name"))]
    if "upstream" in served:
        rows.append(("Answered through", served["upstream"]))
    rows.append(("How far that can be believed", believed(GRADES, served)))
    return [facts(rows)]


def _modelless(told: Told) -> str:
    """Why there's no model to be told of."""
    if told.end.fields.get("source", {}).get("kind") in ("adapter", "frozen"):
        return "Which model gave it isn't on record with this."
    return "No model's answer is on record." if told.completed is None else "No model's answer was used."


def _people(told: Told) -> list[Markup]:
    deciding = told.deciding
    parts = [part for each in told.people for part in _person(told, each, decides=each.index in deciding)]
    acts = [each.kind for each in told.people if each.index in deciding]
    if any(each != "appeal.recorded" for each in acts):
        parts += [tag("p", _PENDING)] if acts[-1] == "appeal.recorded" else []
    else:
        what = "what the caller got" if told.people else "this"
        said = f"No person's decision about {what} is on record, up to the end of the log that this copy vouches for."
        if told.end.fields.get("review", {}).get("required") is True:
            said += " A person was to decide: the application asks for that here."
        parts.append(tag("p", said))
    return [*parts, *(part for each in told.about_lock for part in _on_lock(told.selection, each))]


def _on_lock(selection: Selection, entry: Entry) -> Iterator[Markup]:
    fields = entry.fields
    said = LOCK[entry.kind].format(who=fields["person"], when=moment(entry.ts), why=fields["why"])
    yield tag("p", said, cls="note")
    if (report := fields.get("report_sha256")) in selection.artifacts:
        yield tag("p", f"What they went by stands beside this page: artifacts/{report}.", cls="note")


def _person(told: Told, entry: Entry, *, decides: bool) -> Iterator[Markup]:
    selection, fields = told.selection, entry.fields
    who = reviewer_of(fields) or "somebody"
    decision = f" and decided: {spelled(str(fields['decision']))}" if "decision" in fields else ""
    of_first = told.is_of_withdrawn(fields)
    act = f"{PEOPLE[entry.kind].removesuffix('it')}what was on record first," if of_first else PEOPLE[entry.kind]
    yield tag("p", tag("strong", who), f" {act} on {moment(entry.ts)}{decision}.")
    if not decides:
        yield tag("p", _OF_FIRST if of_first else _OF_NONE, cls="note")
    for key in ("why", "reason"):
        if isinstance(fields.get(key), str):
            yield tag("p", f"Reason given: {fields[key]}")
    if fields.get("own") is True:
        yield tag("p", _OWN[_named_as(told, who)], cls="note")
    for each in fields.get("commitments", []):
        yield tag("p", f"{_TITLES.get(each['path'], each['path'])}:", cls="caption")
        yield payload(selection, entry, each["path"])
        yield from _omitted(entry, each["path"])
    if "shown" in fields.get("omitted", []):
        said = "What was shown to them besides is left out, since the application never puts it on record."
        yield tag("p", said, cls="withheld")


def _named_as(told: Told, person: str) -> str:
    """What the call's actor names this person as; empty: not at all, as far as is on record here."""
    actor = told.fields.get("actor", {})
    return next((each for each in _OWN if each in actor and alike(str(actor[each])) == alike(person)), "")


def _changes(told: Told) -> list[Markup]:
    changes = changes_of(told)
    if not changes.lines and not changes.beyond:
        return [tag("p", _UNCHANGED)]
    parts = [tag("ul", *(tag("li", f"{when}: {what}") for when, what in changes.lines))] if changes.lines else []
    if changes.more:
        parts.append(tag("p", MORE.format(times="once" if changes.more == 1 else f"{changes.more} times"), cls="note"))
    if changes.beyond:
        parts.append(tag("p", BEYOND.format(count=changes.beyond), cls="withheld"))
    if changes.others:
        parts.append(tag("p", _SIDE_BY_SIDE, cls="note"))
    return parts


def parts_table(told: Told) -> Markup:
    """Each payload of the call: shown, withheld or no longer kept, and in which file."""
    rows: list[tuple[object, ...]] = []
    records = [told.started, told.completed, told.end, *told.people]
    for index, entry in sorted({each.index: each for each in records if each is not None}.items()):
        for each in entry.fields.get("commitments", []):
            digest = each["digest"]
            if digest in told.selection.disclosures:
                rows.append((index, each["path"], f"disclosures/{digest}.bin"))
            else:
                rows.append((index, each["path"], ERASED if digest in told.selection.erased else WITHHELD))
        rows += [(index, each, "on no record, as the application has it") for each in entry.fields.get("omitted", [])]
    return table(("record", "part", "where it stands in this copy"), rows)
