"""What differs between two locks, in words for somebody who doesn't read code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

from attrs import frozen

from failsoft.lockfile.document import Golden, Lock, LockedAdapter, LockedCapability
from failsoft.lockfile.words import changed_words

T = TypeVar("T")
Where = Callable[[str], "str | None"]
"""File and line of a piece of code, while it's at hand."""

_NAMED: Final = 5
"""Names that a sentence lists before it counts the rest."""


@frozen
class Difference:
    """One thing that isn't as it was. ``str()`` is the sentence.

    Args:
        subject: ``capability NAME``, ``adapter NAME``, ``policy`` or ``versions``.
        what: ``prompt``, ``request``, ``response``, ``rule``, ``review``, ``fallback``, ``answer``, ``artefact``,
            ``sampling``, ``dependency``, ``route``, ``pin``, ``data``, ``name``, ``served``, ``policy`` or ``version``.
        told: what changed.
    """

    subject: str
    what: str
    told: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.told}"


@frozen
class _Locks:
    """The two that are compared, and where the new one's code is."""

    old: Lock
    new: Lock
    where: Where

    def changed(self, piece: str) -> bool:
        return self.old.digest_at(piece) != self.new.digest_at(piece)

    def named(self, pieces: Iterable[str]) -> list[str]:
        """Pieces by name, with file and line where they're known."""
        places = ((each, self.where(each)) for each in pieces)
        return [each if place is None else f"{each} ({place})" for each, place in places]


def _nowhere(_: str) -> None:
    return None


def differences(old: Lock, new: Lock, *, seen: bool = False, where: Where = _nowhere) -> list[Difference]:
    """Everything that differs, in the order in which a reviewer would ask.

    Args:
        old: what was in force.
        new: what is.
        seen: also who was seen to answer, which is no choice of the user's.
        where: tells file and line of a piece of the new one's code.
    """
    locks = _Locks(old, new, where)
    found: list[Difference] = []
    found += _by_name(
        "capability", old.capabilities, new.capabilities, lambda name, a, b: _capability(name, a, b, locks)
    )
    found += _by_name("adapter", old.adapters, new.adapters, lambda name, a, b: _adapter(name, a, b, seen))
    found += [Difference("policy", "policy", told) for told in _plain_changes(old, new, "on_ledger_failure", "on_bug")]
    for each in ("failsoft", "pydantic"):
        was, now = getattr(old, each), getattr(new, each)
        if was != now:
            found.append(Difference("versions", "version", f"{each} {was} became {now}"))
    return found


def _by_name(
    kind: str, old: Mapping[str, T], new: Mapping[str, T], compare: Callable[[str, T, T], Iterable[Difference]]
) -> Iterator[Difference]:
    for name in sorted({*old, *new}):
        if name not in new:
            yield Difference(f"{kind} {name}", "name", "is no more")
        elif name not in old:
            yield Difference(f"{kind} {name}", "name", "is new")
        else:
            yield from compare(name, old[name], new[name])


def _capability(name: str, old: LockedCapability, new: LockedCapability, locks: _Locks) -> Iterator[Difference]:
    def said(what: str, told: str) -> Difference:
        return Difference(f"capability {name}", what, told)

    if old.adapters != new.adapters:
        yield said("route", f"asks {_route(new.adapters)} instead of {_route(old.adapters)}")
    if old.hedged != new.hedged:
        says = "may be asked beside the first" if new.hedged else "is asked only where the first gave no answer"
        yield said("route", f"the second adapter {says}")
    yield from (said("version", f"its {told}") for told in _plain_changes(old, new, "path", "version", "repair"))
    if old.instruction_sha256 != new.instruction_sha256:
        words = changed_words(old.instruction, new.instruction)
        told = "the instruction that a model is given is worded otherwise"
        yield said("prompt", f"{told}: {words}" if words else told)
    yield from _code("prompt", "how the prompt is made", said, old.prompt_code, new.prompt_code, locks)
    for what in ("request", "response"):
        if getattr(old, f"{what}_schema_sha256") != getattr(new, f"{what}_schema_sha256"):
            yield said(what, f"the {what}'s schema: " + _fields(old, new, f"{what}_fields"))
    yield from _code("rule", "the acceptance rule", said, old.rule_code, new.rule_code, locks)
    yield from _code("rule", "the types' own checks", said, old.type_code, new.type_code, locks)
    if old.review != new.review:
        yield said("review", f"reviewed by a person: {new.review or 'never'}, before: {old.review or 'never'}")
    yield from _code("review", "which answers a person reviews", said, old.review_code, new.review_code, locks)
    if old.sampling != new.sampling:
        yield said("sampling", "sampling: " + ", ".join(_sampling(old.sampling, new.sampling)))
    if old.fallback != new.fallback:
        yield said("fallback", f"the fallback is {new.fallback} instead of {old.fallback}")
    yield from _code("fallback", "the fallback's code", said, old.fallback_code, new.fallback_code, locks)
    if old.state != new.state:
        yield said("fallback", "what it's constructed with is other data")
    yield from (
        said("artefact", f"the file {told}") for told in _table_changes(old.artefacts, new.artefacts, values=False)
    )
    yield from (said("answer", told) for told in _answers(old.golden, new.golden))
    yield from (said("dependency", told) for told in _table_changes(old.dependencies, new.dependencies))
    if old.unseen != new.unseen:
        yield said("fallback", f"the source that can't be read: {', '.join(new.unseen) or 'none'}")


def _code(
    what: str,
    about: str,
    said: Callable[[str, str], Difference],
    old: list[str],
    new: list[str],
    locks: _Locks,
) -> Iterator[Difference]:
    gone, came = [each for each in old if each not in new], [each for each in new if each not in old]
    changed = [each for each in new if each in old and locks.changed(each)]
    named = ("changed", locks.named(changed)), ("new", locks.named(came)), ("gone", gone)
    told = [f"{word} {_listed(names)}" for word, names in named if names]
    if told:
        yield said(what, f"{about}: " + "; ".join(told))


def _answers(old: list[Golden], new: list[Golden]) -> Iterator[str]:
    """By request: a golden input that was added or moved changes no answer."""
    was = {each.request_sha256: each for each in old}
    for number, each in enumerate(new, 1):
        then = was.pop(each.request_sha256, None)
        asked = each.request or f"golden input {number} ({each.request_sha256[:12]})"
        if then is None:
            yield f"a golden input is new: {asked}"
            continue
        if then.answer_sha256 != each.answer_sha256:
            yield f"to {asked} the fallback answered {_shown(then)}, now {_shown(each)}"
        if then.prompt_sha256 != each.prompt_sha256:
            yield f"for {asked} a model is asked in other words"
    yield from (f"a golden input is gone: {each.request or each.request_sha256[:12]}" for each in was.values())


def _shown(golden: Golden) -> str:
    return golden.answer or f"something long ({golden.answer_sha256[:12]})"


def _adapter(name: str, old: LockedAdapter, new: LockedAdapter, seen: bool) -> Iterator[Difference]:
    def said(what: str, told: str) -> Difference:
        return Difference(f"adapter {name}", what, told)

    if old.model != new.model:
        yield said("pin", f"asks for {new.model} ({new.name_class}) instead of {old.model} ({old.name_class})")
    elif old.name_class != new.name_class:
        yield said("pin", f"the name {new.model} counts as {new.name_class}, it was {old.name_class}")
    if (old.served, old.served_pattern) != (new.served, new.served_pattern):
        yield said("pin", f"expects {_expects(new)} instead of {_expects(old)}")
    yield from (
        said("pin", f"its {told}")
        for told in _plain_changes(old, new, "provider", "floating", "endpoint", "query", "codec", "call", "options")
    )
    if old.weights != new.weights:
        yield said("pin", "the file of its weights is another one")
    yield from (
        said("pin", f"its {told}")
        for told in _plain_changes(old, new, "on_mismatch", "require_grade", "text", "served_by", "grade", "mode")
    )
    if old.labels != new.labels:
        yield said("data", f"may see calls labelled {_names(new.labels)}, before: {_names(old.labels)}")
    yield from (said("data", f"its header {told}") for told in _table_changes(old.headers, new.headers))
    yield from (
        said("data", f"its {told}")
        for told in _plain_changes(
            old, new, "auth", "allow_http", "max_prompt_bytes", "stream", "stream_end", "transport"
        )
    )
    if seen and old.seen != new.seen and new.seen is not None:
        was = "nobody yet" if old.seen is None else old.seen.served or "a model that wasn't named"
        now = new.seen.served or "a model that wasn't named"
        if old.seen is None or old.seen.served != new.seen.served:
            yield said("served", f"{now} answered ({new.seen.grade}); before: {was}")


def _expects(adapter: LockedAdapter) -> str:
    return adapter.served_pattern or ", ".join(adapter.served)


def _plain_changes(old: Any, new: Any, *fields: str) -> Iterator[str]:
    for each in fields:
        was, now = getattr(old, each), getattr(new, each)
        if was != now:
            yield f"{each}: {_word(was)} became {_word(now)}"


def _table_changes(old: Mapping[str, str], new: Mapping[str, str], *, values: bool = True) -> Iterator[str]:
    for name in sorted({*old, *new}):
        was, now = old.get(name), new.get(name)
        if was != now:
            yield f"{name} is new" if was is None else f"{name} is gone" if now is None else (
                f"{name} {was} became {now}" if values else f"{name} has another content"
            )  # fmt: skip


def _fields(old: LockedCapability, new: LockedCapability, which: str) -> str:
    was, now = set(getattr(old, which)), set(getattr(new, which))
    told = [f"{word} {_listed(sorted(names))}" for word, names in (("new", now - was), ("gone", was - now)) if names]
    return "; ".join(told) or "the same names, but other types, limits or descriptions"


def _route(adapters: list[str]) -> str:
    return " → ".join([*adapters, "fallback"])


def _sampling(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            yield f"{key} {_word(old.get(key))} became {_word(new.get(key))}"


def _word(value: object) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _names(labels: list[str]) -> str:
    return ", ".join(labels) or "in no way"


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    rest = len(listed) - _NAMED
    return ", ".join(listed[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
