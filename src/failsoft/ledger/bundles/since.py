"""What has changed since a call: of what was asked, of how it's asked, of what's kept of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from failsoft.ledger.bundles.told import Told
from failsoft.ledger.bundles.wording import changed, moment, pinned
from failsoft.ledger.read import Entry

Fields = dict[str, Any]


def changes_of(told: Told) -> list[tuple[str, str]]:
    """When, and what: in order."""
    asked = {each["adapter"]: each["pin"] for each in told.attempts}
    return [(moment(each.ts), what) for each in told.later for what in _change(told, each, asked)]


def _change(told: Told, entry: Entry, asked: dict[str, Fields]) -> Iterator[str]:
    fields = entry.fields
    if entry.kind == "config.activated":
        yield from _configured(told, fields, asked)
        return
    if entry.kind == "lock.changed":
        if told.lock is not None:
            again = "; that's what was in force here again" if told.lock == fields["lock_sha256"] else ""
            yield f"{changed(entry.kind, fields)}{again}"
        return
    subjects = {f"adapter:{each}" for each in asked} | {f"capability:{told.fields.get('capability', {}).get('name')}"}
    named = {"" if told.completed is None else told.completed.leaf.hex(), told.end.leaf.hex()}
    named |= {told.fields["case"]["id"]} if "case" in told.fields else set()
    for part in (told.started, told.completed, told.end, *told.people):
        own = {} if part is None else part.fields
        named |= {each["digest"] for each in own.get("commitments", [])} | ({own["dek"]} if "dek" in own else set())
    erased = (*fields.get("digests", []), *fields.get("deks", []))
    about = {fields.get("case", {}).get("id"), *fields.get("refs", {}).values(), *erased}
    if fields.get("adapter") in asked or fields.get("subject") in subjects or named & about:
        yield changed(entry.kind, fields)


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
