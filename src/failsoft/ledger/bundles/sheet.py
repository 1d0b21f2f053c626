"""One call, told to somebody who has never heard of any of this: the questions that a report answers, in their order.

What was asked; what was answered; who or what answered; which model, and how far its name can be believed; which person
decided, and why; what has changed since. Nothing here is inferred: each sentence is a record's, and what isn't on record is
said to be so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from attrs import frozen

from failsoft.ledger.bundles.markup import Markup, joined, tag
from failsoft.ledger.bundles.selection import Selection
from failsoft.ledger.bundles.shown import ERASED, WITHHELD, facts, payload, table
from failsoft.ledger.bundles.wording import (
    GRADES,
    LOCK,
    OUTCOMES,
    PEOPLE,
    changed,
    duration,
    moment,
    passed_over,
    pinned,
    spelled,
)
from failsoft.ledger.read import Entry
from failsoft.ledger.reading.query import attempts_of, reviewer_of

Fields = dict[str, Any]

_TITLES = {"reason": "Reason given", "shown": "What was shown to them", "changed": "What they put in its place"}
_ENDS = ("call.completed", "call.orphaned", "call.amended")


@frozen
class Told:
    """One call, as its records tell it.

    Args:
        call_id: which.
        started: its first record; None where there's none.
        end: what counts of how it ended: the latest of completed, amended, orphaned.
        completed: the record with its attempts; None where there's none.
        people: reviews and the like, in order.
        later: records about what changed after it, in order.
    """

    selection: Selection
    call_id: str
    started: Entry | None
    end: Entry
    completed: Entry | None
    people: tuple[Entry, ...]
    later: tuple[Entry, ...]

    @property
    def fields(self) -> Fields:
        """What is said of the call as a whole: by its first record, or by its end."""
        return (self.started or self.end).fields

    @property
    def attempts(self) -> list[Fields]:
        """In order of start."""
        return [] if self.completed is None else attempts_of(self.completed.fields)

    @property
    def configured(self) -> Fields | None:
        """The configuration that was in force when it began; None where that isn't here."""
        found = None if self.started is None else self.selection.in_force.get(self.started.index)
        return None if found is None else found.fields

    @property
    def about_lock(self) -> list[Entry]:
        """Who had written down the state of code and prompts that it was held to, and who approved it, in order."""
        entries = [each for each in self.selection.entries.values() if each.kind in LOCK]
        own = [each for each in entries if each.fields["lock_sha256"] == self.lock]
        began = (self.started or self.end).index
        return [each for each in own if each.index < began or each.kind == "approval.recorded"]

    @property
    def lock(self) -> str | None:
        """The digest of the lock that it was held to; None: to none."""
        return (self.configured or {}).get("lock_sha256")

    @property
    def answering(self) -> Fields:
        """The attempt whose answer was taken; an empty one where there's none."""
        number = self.end.fields.get("source", {}).get("attempt")
        return next((each for each in self.attempts if each["n"] == number), Fields())


def calls_of(selection: Selection) -> Iterator[Told]:
    """The calls of a bundle, in the order in which they began."""
    records: dict[str, list[Entry]] = {each: [] for each in selection.call_ids}
    for index in selection.own:
        entry = selection.entries[index]
        records[entry.call_id or ""].append(entry)
    later = [selection.entries[each] for each in selection.later]
    elsewhere = [(each, set(each.fields.get("refs", {}).values())) for each in later if each.kind in PEOPLE]
    changes = tuple(each for each in later if each.kind not in PEOPLE)
    found: list[Told] = []
    for call_id, own in records.items():
        leaves = {each.leaf.hex() for each in own}
        people = [each for each in own if each.kind in PEOPLE]
        people += [each for each, refs in elsewhere if each.call_id != call_id and leaves & refs]
        found.append(
            Told(
                selection,
                call_id,
                next((each for each in own if each.kind == "call.started"), None),
                [each for each in own if each.kind in _ENDS][-1],
                next((each for each in own if each.kind == "call.completed"), None),
                tuple(people),
                tuple(each for each in changes if each.index > own[0].index),
            )
        )
    return iter(sorted(found, key=lambda each: (each.started or each.end).index))


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
    name = fields.get("capability", {}).get("name", "")
    return [
        tag("p", f"Put to “{name}” on {moment((told.started or told.end).ts)}{by}{for_whom}{about}."),
        payload(told.selection, told.started, "request"),
        *_redacted(told.started),
        *_omitted(told.started, "request"),
    ]


def _redacted(entry: Entry | None) -> list[Markup]:
    if entry is None or "redacted" not in entry.fields:
        return []
    return [tag("p", "What looked like a password or key was taken out before this was put on record.", cls="note")]


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
        return [tag("p", "None is on record: the program that asked ended before there was one.")]
    said = [tag("p", OUTCOMES.get(fields["outcome"], fields["outcome"]))]
    if told.end.kind == "call.amended":
        said.append(
            tag("p", "What was put on record first came too late. This is what the caller really got.", cls="note")
        )
    if fields["outcome"] in ("answered", "referred"):
        said += [payload(told.selection, told.end, "response"), *_redacted(told.end)]
        said += _omitted(told.end, "response")
    return said


def _source(told: Told) -> list[Markup]:
    source = told.end.fields.get("source", {})
    name = source.get("name", "")
    said = {
        "adapter": f"AI: a model, through the connection that the application calls “{name}”.",
        "frozen": f"AI, earlier: an answer of “{name}” to the same question, kept and given again.",
        "fallback": f"No AI: the application's own fixed rules (“{name}”).",
    }
    parts = [tag("p", tag("strong", said.get(source.get("kind", ""), "Nobody: no answer was given.")))]
    failed = [
        f"{each['adapter']} was asked, and its answer couldn't be used ({spelled(each['fault'])})."
        for each in told.attempts
        if "fault" in each
    ]
    passed = [
        f"{each['adapter']} wasn't asked, or not heard: {passed_over(each['reason'])}."
        for each in ({} if told.completed is None else told.completed.fields).get("passed_over", [])
    ]
    if failed or passed:
        parts.append(tag("p", "Before that:" if source else "What was tried:"))
        parts.append(tag("ul", *(tag("li", each) for each in (*failed, *passed))))
    return parts


def _model(told: Told) -> list[Markup]:
    answer = told.answering
    if not answer:
        return [tag("p", "No model's answer was used.")]
    served = answer.get("served", {})
    grade = served.get("grade", "unknown")
    rows = [("Asked for", pinned(answer["pin"])), ("The reply says", served.get("model", "no name"))]
    if "upstream" in served:
        rows.append(("Answered through", served["upstream"]))
    rows.append(("How far that can be believed", GRADES.get(grade, grade)))
    return [facts(rows)]


def _people(told: Told) -> list[Markup]:
    parts = [part for each in told.people for part in _person(told.selection, each)]
    if not told.people:
        said = "No person's decision about this is on record, up to the end of the log that this copy vouches for."
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


def _person(selection: Selection, entry: Entry) -> Iterator[Markup]:
    fields = entry.fields
    who = reviewer_of(fields) or "somebody"
    decision = f" and decided: {spelled(str(fields['decision']))}" if "decision" in fields else ""
    yield tag("p", tag("strong", who), f" {PEOPLE[entry.kind]} on {moment(entry.ts)}{decision}.")
    for key in ("why", "reason"):
        if isinstance(fields.get(key), str):
            yield tag("p", f"Reason given: {fields[key]}")
    if fields.get("own") is True:
        yield tag("p", "It's the same person who had asked.", cls="note")
    for each in fields.get("commitments", []):
        yield tag("p", f"{_TITLES.get(each['path'], each['path'])}:", cls="caption")
        yield payload(selection, entry, each["path"])
        yield from _omitted(entry, each["path"])
    if "shown" in fields.get("omitted", []):
        said = "What was shown to them besides is left out, since the application never puts it on record."
        yield tag("p", said, cls="withheld")


def _changes(told: Told) -> list[Markup]:
    asked = {each["adapter"]: each["pin"] for each in told.attempts}
    lines = [line for each in told.later for line in _change(told, each, asked)]
    if not lines:
        return [
            tag(
                "p",
                "Nothing about what was asked is on record after it, up to the end of the log that this copy covers.",
            )
        ]
    return [tag("ul", *(tag("li", each) for each in lines))]


def _change(told: Told, entry: Entry, asked: dict[str, Fields]) -> Iterator[str]:
    fields = entry.fields
    if entry.kind == "config.activated":
        yield from (f"{moment(entry.ts)}: {what}" for what in _configured(told, fields, asked))
        return
    if entry.kind == "lock.changed":
        if told.lock is not None:
            again = "; that's what was in force here again" if told.lock == fields["lock_sha256"] else ""
            yield f"{moment(entry.ts)}: {changed(entry.kind, fields)}{again}"
        return
    subjects = {f"adapter:{each}" for each in asked} | {f"capability:{told.fields.get('capability', {}).get('name')}"}
    named = {"" if told.completed is None else told.completed.leaf.hex(), told.end.leaf.hex()}
    named |= {told.fields["case"]["id"]} if "case" in told.fields else set()
    named |= {
        each["digest"] for part in (told.started, told.end) if part for each in part.fields.get("commitments", [])
    }
    about = {fields.get("case", {}).get("id"), *fields.get("refs", {}).values(), *fields.get("digests", [])}
    if fields.get("adapter") in asked or fields.get("subject") in subjects or named & about:
        yield f"{moment(entry.ts)}: {changed(entry.kind, fields)}"


def _configured(told: Told, fields: Fields, asked: dict[str, Fields]) -> Iterator[str]:
    """What a later configuration has otherwise than the one under which the call was made."""
    for each in fields.get("adapters", []):
        if each["name"] in asked and each["pin"] != asked[each["name"]]:
            yield f"{each['name']} is asked for another model from here on: {pinned(each['pin'])}"
    capability, before = told.fields.get("capability", {}), told.configured
    name = capability.get("name")
    now = _capability(fields, name)
    if before is None or not now:
        return
    if now.get("version") != capability.get("version"):
        yield f"“{name}” has another version from here on: {now.get('version', 'one without a number')}"
    if now.get("digest") != _capability(before, name).get("digest"):
        yield f"what “{name}” may answer has another form from here on"
    if fields.get("lock_sha256") != before.get("lock_sha256"):
        yield "the application is held to another state of its code and prompts from here on"
    elif fields["config_sha256"] != before["config_sha256"]:
        yield "the application has other settings from here on"


def _capability(configuration: Fields, name: object) -> Fields:
    """What a configuration says of one; an empty dictionary where it doesn't have it."""
    return next((each for each in configuration.get("capabilities", []) if each["name"] == name), Fields())


def attempts_table(told: Told) -> Markup:
    """What was tried, for whoever looks closer."""
    if not told.attempts:
        return tag("p", "No AI was asked.")
    used = told.answering.get("n")
    head = ("No.", "connection", "asked for", "reply from", "believed", "how it ended", "request number", "time")
    rows = [
        (
            each["n"],
            each["adapter"],
            each["pin"]["model"],
            each.get("served", {}).get("model", "–"),
            each.get("served", {}).get("grade", "–"),
            spelled(each["fault"]) if "fault" in each else "answer used" if each["n"] == used else "answered",
            each.get("served", {}).get("request_id", "–"),
            duration(each["us"]),
        )
        for each in told.attempts
    ]
    return table(head, rows)


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
