"""What the commands print, and with which code they exit."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NoReturn

import attrs
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from failsoft.cli.output import delivered, guarded, to_nowhere
from failsoft.errors import ConfigurationError, FailsoftError, LedgerInvalid, PayloadSealed
from failsoft.io.sharing import Sharing
from failsoft.ledger.location import Location, locate
from failsoft.ledger.read import Entry, Reader, read
from failsoft.ledger.reading.query import COMPARISON
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.reviews import OWN
from failsoft.ledger.verify import printable
from failsoft.outcome import Outcome

PROBLEM: Final = 1
"""What was asked can't be done; why is told."""

USAGE: Final = 64
"""The command line is wrong (sysexits' EX_USAGE): apart from the codes by which `verify` tells what it found."""

_MOST_INPUT: Final = 16 << 20
"""Bytes."""

CODES: Final = "Exit code: 0 done; 1 it can't be done, and why; 64 the command line is wrong."

_UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""click's, or that of typer's own copy of click: whichever this typer is built on."""


class _Console(Console):
    """A reader that has gone (``failsoft verify … | head``) changes no exit code."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        to_nowhere(sys.stdout)


out = _Console(emoji=False)
err = Console(stderr=True, emoji=False)


class Commands(TyperGroup):
    """Commands whose wrong use exits with `USAGE`, and that say so where they can't write what they have to say."""

    def main(self, *arguments: Any, **named: Any) -> Any:
        """The whole of it."""
        with guarded(), delivered(PROBLEM):
            return super().main(*arguments, **named)

    def make_context(self, *arguments: Any, **named: Any) -> Any:
        """Options before the command."""
        with _usage():
            return super().make_context(*arguments, **named)

    def invoke(self, ctx: Any) -> Any:
        """The command, with its own options."""
        with _usage():
            return super().invoke(ctx)


@contextmanager
def _usage() -> Iterator[None]:
    try:
        yield
    except _UsageError as error:
        error.exit_code = USAGE  # type: ignore[attr-defined]
        raise


@contextmanager
def explained(as_json: bool, code: int = PROBLEM) -> Iterator[None]:
    """Failsoft's own errors are told in a sentence, without a traceback."""
    try:
        yield
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, each['loc'])) or 'request'}: {each['msg']}" for each in error.errors()]
        give_up(as_json, problems, code)
    except ConfigurationError as error:
        give_up(as_json, list(error.problems), code)
    except (FailsoftError, LookupError) as error:
        give_up(as_json, [str(error)], code)


@contextmanager
def reading(ledger: str | Location, as_json: bool) -> Iterator[Reader]:
    """A ledger, open for reading."""
    with explained(as_json), looking_into(ledger) as reader:
        yield reader


@contextmanager
def looking_into(ledger: str | Location) -> Iterator[Reader]:
    """A ledger, open for reading. A record whose parts aren't where failsoft writes them says that it's damaged."""
    try:
        with read(ledger) as reader:
            yield reader
    except (TypeError, ValueError, AttributeError, KeyError):
        raise LedgerInvalid(f"{locate(ledger)}: a record is damaged: run `failsoft verify` on it") from None


def given_text(given: str) -> str | bytes:
    """What an argument holds; of a ``-`` what standard input does, as it comes.

    Raises:
        ConfigurationError: it can't be read, or it's more than 16 MiB.
    """
    if given != "-":
        return given
    try:
        if sys.stdin is None:
            raise OSError("it's closed")
        text = sys.stdin.buffer.read(_MOST_INPUT + 1)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"standard input can't be read ({error})") from None
    if len(text) > _MOST_INPUT:
        raise ConfigurationError(f"standard input holds more than {_MOST_INPUT:,} bytes")
    return text


def give_up(as_json: bool, problems: list[str], code: int = PROBLEM) -> NoReturn:
    """Say what's wrong, and leave."""
    if as_json:
        print_json({"ok": False, "problems": problems})
    else:
        for each in problems:
            warn(each)
    raise typer.Exit(code)


def print_line(text: str, style: str | None = None) -> None:
    """For people: one line, whatever stands in it."""
    out.print(printable(text), style=style, highlight=False, markup=False, soft_wrap=True)


def warn(text: str) -> None:
    """The same, on standard error."""
    err.print(printable(text), highlight=False, markup=False, soft_wrap=True)


def print_json(value: object) -> None:
    """For programs: one document, on one line unless people look at it. Whatever stands in it steers no terminal."""
    from pydantic_core import to_jsonable_python

    text = json.dumps(to_jsonable_python(value), ensure_ascii=False, indent=2 if sys.stdout.isatty() else None)
    text = _escaped(text, sys.stdout.encoding or "utf-8")
    try:
        print(text, flush=True)
    except BrokenPipeError:
        out.on_broken_pipe()


def _escaped(text: str, encoding: str) -> str:
    """The same JSON, without characters that can't be printed, or that the encoding hasn't."""
    if not text.replace("\n", "").isprintable():  # line breaks of the indentation: inside a string they're escaped
        text = "".join(each if each == "\n" or each.isprintable() else _escape(each) for each in text)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = "".join(each if each.isascii() else _escape(each) for each in text)
    return text


def _escape(char: str) -> str:
    return json.dumps(char)[1:-1]  # \uXXXX, in two halves above U+FFFF


def sharing_told(sharing: Sharing) -> str:
    """Whether state is shared, in a sentence."""
    if sharing.store == "none":
        return "state is shared with no other process"
    if not sharing.reason:
        return f"state is shared through {sharing.store}"
    return (
        f"state isn't shared now: {sharing.store}: {sharing.reason}; what's blocked is this host's last word, and is told "
        "to the others when the store is back"
    )


_SAID: Final = ("outcome", "from", "to", "reason", "why", "basis", "event", "date")
_DEEDS: Final[dict[str, str]] = {
    Kind.APPEAL_RECORDED: "asked",
    Kind.PAYLOAD_ERASED: "erased",
    Kind.LEGAL_HOLD_SET: "held",
    Kind.LEGAL_HOLD_CLEARED: "lifted",
    Kind.EXPORT_CREATED: "given out",
    Kind.LEDGER_TRANSFERRED: "copied",
}
"""What a person did, in one word."""


def line_of(entry: Entry, fields: Mapping[str, Any]) -> str:
    """A record on one line."""
    if entry.body is None:
        return escape(printable(f"{entry.index:>6}  {entry.kind:<16} pruned"))
    about = (
        fields.get("capability", {}).get("name")
        or fields.get("adapter")
        or fields.get("subject")
        or fields.get("case", {}).get("id", "")
    )
    source = fields.get("source", {})
    need = fields.get("review", {})
    said = [str(fields[key]) for key in _SAID if key in fields]
    if "blocked" in fields:
        deed = fields.get("mode") or ("blocked" if fields["blocked"] else "unblocked")
        said.insert(0, f"{deed} by {fields['actor']['id']}:")
    if "person" in fields:
        own = f", {OWN}" if fields.get("own") is True else ""
        deed = fields.get("decision") or _DEEDS.get(entry.kind, "told")
        whom = f" to {fields['recipient']}" if "recipient" in fields else ""
        agreed = f", approved by {fields['approved_by']}" if "approved_by" in fields else ""
        said.insert(0, f"{deed}{whom} by {fields['person']}{own}{agreed}")
    if source:
        said.append(f"by {source['kind']} {source['name']}")
    served = _served(fields.get("attempts", []), source.get("attempt"))
    if served:
        said.append(f"({served})")
    if need.get("required") is True:
        said.append(f"to be reviewed ({need['policy']})")
    if "call_id" in fields:
        case = f", case {fields['case']['id']}" if "case" in fields else ""
        said.append(f"[call {fields['call_id']}{case}{_for(entry.kind, fields.get('actor', {}))}]")
    return escape(printable(f"{entry.index:>6}  {entry.ts}  {entry.kind:<16} {about:<20} {' '.join(said)}"))


def _for(kind: str, actor: Mapping[str, Any]) -> str:
    if actor.get("kind") == COMPARISON:
        return f", asked again by {actor['id']} to compare"
    return f", for {actor['id']}" if kind == Kind.CALL_STARTED and actor else ""


def served_as(served: Mapping[str, Any]) -> str:
    """Who a reply says gave it, and how far that can be believed."""
    return f"{served.get('model', 'a model without a name')}, {served['grade']}"


def _served(attempts: list[dict[str, Any]], number: object) -> str:
    """Of the attempt that answered; and what ailed it all the same, where the call was only observed."""
    for each in attempts:
        if each["n"] == number:
            served = (served_as(each["served"]),) if "served" in each else ()
            return ", ".join((*served, each["fault"]) if "fault" in each else served)
    return ""


def payloads_of(reader: Reader, entry: Entry) -> dict[str, str]:
    """What stands behind a record's commitments, by path."""
    found: dict[str, str] = {}
    for each in entry.fields.get("commitments", []):
        try:
            payload = reader.payload(each["digest"])
        except PayloadSealed as error:
            found[each["path"]] = f"encrypted ({error})"
            continue
        found[each["path"]] = "erased" if payload is None else payload[2].decode("utf-8", "replace")
    return found


def outcome_for_programs(outcome: Outcome[Any]) -> dict[str, Any]:
    """An outcome as JSON."""
    return {
        "value": outcome.value,
        "by_ai": outcome.by_ai,
        "degraded": outcome.degraded,
        "source": attrs.asdict(outcome.source),
        "pin": None if outcome.pin is None else attrs.asdict(outcome.pin),
        "served": None if outcome.served is None else attrs.asdict(outcome.served),
        "passed_over": [attrs.asdict(each) for each in outcome.passed_over],
        "record": outcome.record,
        "call_id": outcome.call_id,
        "review": outcome.review,
    }
