"""What codes in records mean, in words for people who have never seen one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

Fields = dict[str, Any]

_SENTENCES = 3
"""Of a change, that are told in full."""

GRADES = MappingProxyType(
    {
        "provider-stated": "The provider itself named this model in its reply. That is the provider's word; nobody outside "
        "can look behind it.",
        "gateway-stated": "A service between the application and the provider named this model. Both would have to be "
        "believed.",
        "echoed": "The name is the one that was asked for, or a label of whoever runs the server. It doesn't show which "
        "model answered.",
        "unknown": "Nothing in the reply says which model answered.",
        "unstated": "Nothing on record says who gave this name: it may be the application's own code. It can't be judged.",
    }
)
"""How far a served name can be believed, by its grade."""

BELIEVED = MappingProxyType(
    {
        "provider-stated": "as far as the provider's own word",
        "gateway-stated": "as far as the words of the provider and of a service in between",
        "echoed": "not at all: it's the name that was asked for, or a label of whoever runs the server",
        "unknown": "there's none in the reply",
        "unstated": "not to be judged: nothing on record says who gave it",
    }
)
"""The same in a line of a table."""


def believed(words: Mapping[str, str], served: Mapping[str, Any]) -> str:
    """How far what a reply says of who answered can be believed. A name may be there without a word of whose it is."""
    grade = served.get("grade", "unknown")
    return words.get("unstated" if grade == "unknown" and "model" in served else grade, grade)


OUTCOMES = MappingProxyType(
    {
        "answered": "An answer was given.",
        "referred": "No machine answer was given: the matter was referred to a person.",
        "failed": "No answer was given: the application failed.",
        "refused": "The application refused to answer, because it couldn't put on record that it did.",
        "cancelled": "Nobody waited for the answer any more: the request was withdrawn.",
    }
)

GONE = (
    "The program that asked was found to be gone before it put that there, or couldn't: it had ended, or had no way "
    "to the record."
)
"""What's known of a program that left a call without an end: a database's other users can't tell one from the other."""

OBSERVED = MappingProxyType(
    {
        "answered": "A reply came, and was passed on as it came, as far as it was read.",
        "failed": "No answer is on record: what became of the question at the provider's service stands below.",
    }
)
"""`OUTCOMES` of a call that the application made by itself, and that was only observed."""

FIRST = MappingProxyType(
    {
        "adapter": "an answer of an AI, through “{name}”",
        "frozen": "an earlier answer of an AI, through “{name}”",
        "fallback": "an answer of the application's own rules",
    }
)
"""Whose answer it is that was put on record, and not given."""

PASSED_OVER = MappingProxyType(
    {
        "blocked": "it was switched off",
        "blocks_unknown": "whether a person had switched it off couldn't be told, and until that is known nobody is asked",
        "labels": "it may not see data that is marked so",
        "latched": "it was stopped until somebody mends its set-up",
        "throttled": "its provider had asked to wait",
        "open": "it had failed too often not long before, and wasn't asked by everybody yet",
        "quality": "its answers to such questions hadn't fitted not long before, or another model had given them",
        "limited": "its quota was used up",
        "bulkhead_full": "too many requests were under way there",
        "no_time": "there was no time left for it",
        "no_credential": "the application had no valid access to it",
        "no_prompt": "the request couldn't be put to it",
        "shed": "more was asked than it could do in time",
        "ledger": "nothing could be put on record just then, and without a record no AI is asked",
        "hedge_lost": "another one was quicker",
    }
)
"""Why an adapter wasn't asked, or not heard."""

NOT_USED = MappingProxyType(
    {
        "ledger": "it couldn't be put on record just then, and without a record no AI's answer is given",
        "no_time": "there was no time left to put it on record",
        "hedge_lost": "another one was quicker",
    }
)
"""The same of one that was asked, and answered."""

CHANGES = MappingProxyType(
    {
        "model.identity_changed": "another model than before was seen to answer",
        "drift.detected": "its answers were found to have changed",
        "model.retirement_notice": "its provider announced that the model will go",
        "rollback.executed": "a change to it was taken back",
    }
)

BLOCKS = MappingProxyType({True: "{who} switched {name} off", False: "{who} said that {name} may be asked again"})
"""What a person did about an adapter or a capability, for every process: whether it was off before isn't in the record."""

MODES = MappingProxyType(
    {
        "forced": "{who} had one program ask {name} even when it fails too often",
        "observe": "{who} had one program ask {name} even when it fails too often, and only tell of that",
        "auto": "{who} had one program ask {name} no more when it fails too often, as usual",
    }
)
"""The same about what its failures do, in one process: nothing was switched off or on."""

_MODE = "{who} had one program treat {name} in the mode “{mode}”"

KEEPING = MappingProxyType(
    {
        "payload.erased": "{who} had what was asked and answered erased{besides}: {why}",
        "legal_hold.set": "{who} forbade to erase anything of this case: {why}",
        "legal_hold.cleared": "{who} lifted a prohibition to erase this case (an own one if there was any, else the "
        "oldest): {why}",
        "case.event": "{who} put on record what happened with this case: {event}, on {date} ({why})",
    }
)
"""What became of a case."""

LOCK = MappingProxyType(
    {
        "lock.changed": "The prompts, models and rules in force here were written down by {who} on {when}: {why}",
        "approval.recorded": "The prompts, models and rules in force here were approved by {who} on {when}: {why}",
    }
)
"""What people did about what an application is held to."""

PEOPLE = MappingProxyType(
    {
        "review.recorded": "reviewed it",
        "override.recorded": "overrode it",
        "appeal.recorded": "appealed against it",
    }
)


def moment(ts: str) -> str:
    """A record's time for people: to the second, UTC."""
    return f"{ts[:10]} {ts[11:19]} UTC"


def duration(us: int) -> str:
    """Microseconds for people."""
    return f"{us / 1_000_000:.1f} s" if us >= 100_000 else f"{us / 1000:.1f} ms"


def spelled(code: str) -> str:
    """A code as words, where nothing better is known."""
    return code.replace("_", " ")


def rules(name: str) -> str:
    """Fixed rules by the place where they're written, which records name as Python does (``package.module:Name``)."""
    module, _, what = name.partition(":")
    return f"{what} of {module}" if what else name


def passed_over(reason: str) -> str:
    """Why an adapter wasn't asked."""
    return PASSED_OVER.get(reason, f"this page has no words for why ({spelled(reason)})")


def pinned(pin: Fields) -> str:
    """Which model a pin asks for, and what it expects."""
    if "served_pattern" in pin:
        return f"{pin['model']} (a reply from any model of the form {pin['served_pattern']} is accepted)"
    others = [each for each in pin.get("served", []) if each != pin["model"]]
    return f"{pin['model']} (a reply from {', '.join(others)} is accepted too)" if others else str(pin["model"])


def changed(kind: str, fields: Fields) -> str:
    """What a later record says of an adapter."""
    if kind == "block.changed":
        until = f", until {moment(fields['until'])}" if "until" in fields else ""
        said = MODES.get(fields["mode"], _MODE) if "mode" in fields else BLOCKS[bool(fields["blocked"])]
        name = fields["subject"].partition(":")[2]
        return f"{said.format(who=fields['actor']['id'], name=name, mode=fields.get('mode'))}{until}: {fields['why']}"
    if kind == "model.retirement_notice":
        end = f", on {fields['sunset'][:10]}" if "sunset" in fields else ""
        return f"{fields['adapter']}: its provider announced that the model {fields['model']} will go{end}"
    if kind == "lock.changed":
        what = "; ".join(fields.get("changed", [])[:_SENTENCES])
        rest = len(fields.get("changed", [])) - _SENTENCES + fields.get("changed_omitted", 0)
        more = f"; and {rest} change{'s' if rest > 1 else ''} more" if rest > 0 else ""
        said = f"{fields['person']} wrote down other prompts, models or rules to be in force: {fields['why']}"
        return f"{said} ({what}{more})" if what else said
    if kind in KEEPING:
        who = fields.get("person", "somebody")
        return KEEPING[kind].format(
            who=who,
            why=fields.get("basis") or fields.get("why", ""),
            besides=f" ({fields['approved_by']} agreed)" if "approved_by" in fields else "",
            event=fields.get("event", ""),
            date=fields.get("date", ""),
        )
    about = fields.get("adapter")
    said = CHANGES.get(kind, f"a record of the type {kind} refers to it")
    return f"{about}: {said}" if about else said
