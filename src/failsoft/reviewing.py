"""What a person decides about an answer, put on record: by the process that answered, or by another one weeks later.

The call is looked up in the ledger, never in memory: what's reviewed is what stands there. The record is durable before
anybody is told that it's done. Who may review is the application's business; what it says is what's recorded.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

from attrs import field, frozen
from pydantic import ValidationError

from failsoft.context import Case, current_context, folded, identifier, says_something
from failsoft.core.contract import Contract
from failsoft.core.effects import Recorded, Ticket
from failsoft.core.evidence import Act, PersonActed
from failsoft.errors import ConfigurationError, LedgerInvalid, LedgerUnavailable, LedgerUnreachable
from failsoft.ledger.location import Location
from failsoft.ledger.read import Reader, read
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.reviews import Answer, lost, standing
from failsoft.ledger.writing.writer import StoredLedger
from failsoft.review import DECISIONS, Decision
from failsoft.telemetry import Telemetry

WAIT: Final = 10.0
"""Seconds that a person's decision waits to be durable: nobody's deadline runs, and it shouldn't have to be made again."""

MOST_REASON: Final = 65_536
"""Bytes."""

MOST_SHOWN: Final = 16 << 20
"""Bytes."""

NOT_GIVEN: Final = object()
"""No new value: None may be one."""

_LONGEST: Final = 366 * 86_400
_CALL_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TEXT: Final = "text/plain; charset=utf-8"
_BINARY: Final = "application/octet-stream"


@frozen
class Json:
    """A new value as JSON text, for those who have it so: a form, a command line."""

    text: str | bytes = field(repr=False)


def _plain(decision: Any) -> Any:
    """As it stands in records: a member of an enumeration of texts is its text."""
    return str.__str__(decision) if isinstance(decision, str) else decision


@frozen
class Said:
    """What a person decided, as the application hands it over.

    Args:
        decision: one of `DECISIONS`; None for an appeal.
        changed: the new value, or its `Json`; `NOT_GIVEN`: none.
        shown: what else the person saw.
        seconds: that it took.
    """

    act: Act
    person: str
    reason: str = field(repr=False)
    decision: Decision | None = field(default=None, converter=_plain)
    changed: Any = field(default=NOT_GIVEN, repr=False)
    shown: str | bytes | None = field(default=None, repr=False)
    seconds: float | None = None

    def problems(self) -> list[str]:
        """What's wrong with it by itself: a sentence each."""
        found: list[str] = []
        try:
            identifier(self.person, "person")
        except (TypeError, ValueError) as error:
            found.append(str(error))
        if self.act != "appeal" and self.decision not in DECISIONS:
            found.append(f"decision: {_told(self.decision)} is none of {', '.join(DECISIONS)}")
        if (self.changed is NOT_GIVEN) is (self.decision == "changed"):
            found.append('changed: a new value goes with the decision "changed", and with no other')
        found += _text_problems("reason", self.reason, MOST_REASON)
        if not isinstance(self.reason, str) or not says_something(self.reason):
            found.append("reason: say one: it stands in the record")
        if self.shown is not None and not isinstance(self.shown, bytes):
            found += _text_problems("shown", self.shown, MOST_SHOWN)
        elif isinstance(self.shown, bytes) and len(self.shown) > MOST_SHOWN:
            found.append(f"shown: at most {MOST_SHOWN} bytes, not {len(self.shown)}")
        if self.seconds is not None and not _is_duration(self.seconds):
            found.append(f"seconds: {_told(self.seconds)} is no time that a person takes, 0 to a year")
        return found

    @property
    def display(self) -> tuple[str, bytes] | None:
        """What else was shown: media type and bytes."""
        if self.shown is None:
            return None
        return (_BINARY, self.shown) if isinstance(self.shown, bytes) else (_TEXT, self.shown.encode())


def record_act(
    ledger: StoredLedger,
    contracts: Mapping[str, Contract[Any, Any]],
    telemetry: Telemetry,
    call_id: str,
    said: Said,
) -> int | None:
    """Put on record what a person did about a call's answer; the record's place in the log, when it's durable.

    Args:
        ledger: open; the call is looked up in it.
        contracts: the application's capabilities, by name.
        telemetry: told when it's done.
        call_id: the call.
        said: what the person decided.

    Raises:
        ConfigurationError: what was handed over is wrong; the call isn't known, is still open, or has no answer; or its
            answer was put right meanwhile.
        pydantic.ValidationError: the new value doesn't fit the capability's response type.
        LedgerInvalid: the ledger is damaged.
        LedgerUnavailable: it can't record now, or be looked at; or the call's records may wait for their database.
    """
    problems = said.problems()
    if type(call_id) is not str or not _CALL_ID.fullmatch(call_id):
        problems.insert(0, f"{_told(call_id)} is no call's identifier: it's an outcome's call_id")
    if problems:
        raise ConfigurationError(problems)
    waiting = ledger.spooling  # asked first: what's forwarded meanwhile may have come too late for the look
    with _reached(f"call {call_id}: the {said.act} isn't recorded: do it again"):
        try:
            found = _look_up(ledger.location, call_id)
        except ConfigurationError:
            if not waiting:
                raise
            raise LedgerUnavailable(
                f"call {call_id}: records wait for their database, and its answer may be among them: the {said.act} isn't "
                "recorded: do it again when none wait any more"
            ) from None
    record = _record(found, call_id, said, _changed(found, contracts, said), contracts)
    index = _durable(ledger, record)
    if index is not None:
        with _reached(f"call {call_id}: the {said.act} is record {index}; look whether its answer is the one you saw"):
            _about_what_was_given(ledger.location, record, index)
    telemetry.emit(
        "review.recorded",
        act=record.act,
        capability=record.capability,
        call_id=call_id,
        person=record.person,
        decision=record.decision,
        record=index,
        lost=found.lost,
    )
    return index


def lost_answer(location: Location, call_id: str) -> str:
    """Why nobody can look at a call's answer any more: "was erased", or "isn't kept", which nothing on record explains.
    Empty where it's kept, or where that can't be looked up now.
    """
    with suppress(LedgerInvalid, TypeError, ValueError, AttributeError, KeyError), read(location) as reader:
        answer = standing(reader, call_id).answer
        return "" if answer is None else lost(reader, answer)
    return ""


@contextmanager
def _reached(otherwise: str) -> Generator[None, None, None]:
    try:
        yield
    except LedgerUnreachable as error:
        raise LedgerUnavailable(f"{otherwise} ({error})") from None


def _about_what_was_given(location: Location, record: PersonActed, index: int) -> None:
    """An answer may have been put right while this was on its way: then it's about one that the caller didn't get. Or it was
    pruned.

    Raises:
        ConfigurationError: that's so.
    """
    with read(location) as reader:
        answer = standing(reader, record.call_id, before=index).answer
    if answer is None:
        raise ConfigurationError(
            f"call {record.call_id}: its records were pruned meanwhile, so this {record.act}, record {index}, is about an "
            "answer that's on record no more"
        )
    if answer.leaf != record.answer:
        raise ConfigurationError(
            f"call {record.call_id}: its answer on record was put right meanwhile, so this {record.act}, record {index}, is "
            "about one that the caller didn't get, and decides nothing: look at the answer, and do it again"
        )


@frozen
class _Found:
    """What the ledger says of the call.

    Args:
        actors: who asked, and on whose behalf.
        request: its JSON bytes, as long as they're kept.
        hides: its records say that they lack something.
        lost: why nobody can look at the answer any more; empty where it's kept.
    """

    answer: Answer
    former: bytes | None
    actors: tuple[str, ...]
    request: bytes | None
    hides: bool
    lost: str


def _look_up(location: Location, call_id: str) -> _Found:
    try:
        with read(location) as reader:
            held = standing(reader, call_id)
            if held.answer is None or not held.answer.is_given:
                raise ConfigurationError(_unanswered(reader, call_id, held.answer))
            started = next(reader.records(Kind.CALL_STARTED, call_id=call_id), None)
            fields = {} if started is None or started.body is None else started.fields
            actor = fields.get("actor", {})
            named = [each["digest"] for each in fields.get("commitments", ()) if each["path"] == "request"]
            payload = reader.readable(named[0]) if named else None
            hides = held.answer.hides or "omitted" in fields
            gone = lost(reader, held.answer)
    except (TypeError, ValueError, AttributeError, KeyError):
        raise LedgerInvalid(f"{location}: a record of the call is damaged: run `failsoft verify` on it") from None
    actors = tuple(actor[key] for key in ("id", "on_behalf_of") if key in actor)
    return _Found(held.answer, held.former, actors, None if payload is None else payload[2], hides, gone)


def _unanswered(reader: Reader, call_id: str, answer: Answer | None) -> str:
    kinds = {each.kind for each in reader.call(call_id)}
    if answer is not None:
        return f"call {call_id} ended without an answer ({answer.outcome}): there's nothing to review"
    if not kinds:
        return f"there's no call {call_id} in {reader.location}: is it this application's ledger, and wasn't it pruned?"
    if Kind.CALL_ORPHANED in kinds:
        return (
            f"call {call_id} has no answer on record: its process ended in the middle of it, or couldn't write down its "
            "end: what its caller got isn't known here"
        )
    return f"call {call_id} is still open, or its end isn't on record: there's no answer to review yet"


def _record(
    found: _Found, call_id: str, said: Said, changed: bytes | None, contracts: Mapping[str, Contract[Any, Any]]
) -> PersonActed:
    answer, person = found.answer, identifier(said.person, "person")
    case = answer.case
    contract = contracts.get(answer.capability["name"])
    audit = None if contract is None else contract.audit
    return PersonActed(
        act=said.act,
        call_id=call_id,
        capability=answer.capability["name"],
        capability_version=answer.capability.get("version"),
        case=None if case is None else Case(case["id"], case.get("kind"), case.get("series")),
        labels=answer.labels,
        person=person,
        relation=answer.relation,
        answer=answer.leaf,
        former=found.former,
        actor=current_context().actor,
        decision=said.decision,
        shown=answer.response,
        own=any(folded(person, "a person") == folded(each, "an actor") for each in found.actors),
        spent_ms=None if said.seconds is None else round(said.seconds * 1000),
        reason=said.reason.encode(),
        display=said.display,
        changed=changed,
        audit=audit,
        hides=found.hides or (audit is not None and audit.hides),
    )


def _changed(found: _Found, contracts: Mapping[str, Contract[Any, Any]], said: Said) -> bytes | None:
    """The new value's JSON bytes, held to the capability's response type."""
    if said.changed is NOT_GIVEN:
        return None
    name = found.answer.capability["name"]
    contract = contracts.get(name)
    if contract is None:
        raise ConfigurationError(
            f"changed: the call's capability, {name}, isn't one of this isolation's, so the new value can't be checked"
        )
    request, value = _request(found, contract), said.changed
    try:
        held = (
            contract.parse_value(value.text, request)
            if isinstance(value, Json)
            else contract.check_value(value, request)
        )
        return contract.dump_response(held)
    except ValidationError:
        raise
    except Exception as error:  # a type's own validators and serializers may raise anything
        told = f"changed: it can't be checked and written as JSON: {type(error).__name__}: {error}"
        raise ConfigurationError(told) from error


def _request(found: _Found, contract: Contract[Any, Any]) -> Any:
    """The call's request, for validators that look at it; None where it isn't kept, or its type is another by now."""
    try:
        return None if found.request is None else contract.parse_request(found.request)
    except Exception:  # a type's own validators may raise anything
        return None


def _durable(ledger: StoredLedger, record: PersonActed) -> int | None:
    """Wait until it's on record.

    Raises:
        LedgerUnavailable: it isn't.
    """
    ticket: Ticket = ledger.submit(record)
    done = threading.Event()
    ticket.promise.on_done(done.set)
    done.wait(WAIT)
    result = ticket.promise.value
    if isinstance(result, Recorded):
        return result.index
    why = "in time" if result is None else f"({result.reason})"
    if ticket.withdraw():
        raise LedgerUnavailable(f"call {record.call_id}: the ledger can't record the {record.act} {why}: do it again")
    raise LedgerUnavailable(
        f"call {record.call_id}: the ledger hasn't recorded the {record.act} {why}, and may do so yet: look before you "
        "do it again"
    )


def _text_problems(name: str, text: object, most: int) -> list[str]:
    if not isinstance(text, str):
        return [f"{name}: it's text, not {type(text).__name__}"]
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return [f"{name}: it isn't valid Unicode"]
    return [f"{name}: at most {most} bytes, not {size}"] if size > most else []


def _is_duration(seconds: object) -> bool:
    return type(seconds) in (int, float) and 0 <= seconds <= _LONGEST  # type: ignore[operator]


def _told(value: object) -> str:
    try:
        return f"{value!r:.60}"
    except Exception:  # of a number of very many digits, or of what's anybody's, there's none
        return f"this {type(value).__name__}"
