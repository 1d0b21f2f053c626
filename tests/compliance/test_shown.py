"""The commands of a row of today show what the row says that records hold: each field's value, on a real ledger."""

from __future__ import annotations

import csv
import io
import json
import re
import secrets
import shlex
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.logs import Log

from failsoft.compliance.clauses import Clause, Status, shipped
from failsoft.context import Actor, CallContext, Case
from failsoft.core import evidence
from failsoft.core.effects import Tokens
from failsoft.ledger.keys.ed25519 import SigningKey, write_key
from failsoft.ledger.read import Reader, read
from failsoft.ledger.records import draft
from failsoft.ledger.records.record import Built, Draft
from failsoft.ledger.writing.ticket import Ticket, TicketQueue
from failsoft.outcome import Grade, Pin, Served, Source
from failsoft.prompt import Sampling
from failsoft.review import ReviewNeed

pytest.importorskip("typer")
pytest.importorskip("cryptography")

from tests.commands import CliRunner

from failsoft.cli.app import app

TODAY = [each for each in shipped().clauses if each.status is Status.TODAY]
BEGAN = int(time.time()) - 3 * 86_400
"""When the ledger is opened, three days ago: commands ask for the last week, too."""

ANSWERED, FELL_BACK, LATE, LOST = "call-answered", "call-fell-back", "call-late", "call-lost"
LOCK, SNAPSHOT = b'{"lock": "of-the-office"}', b'{"adapters": {}, "on_ledger_failure": "fallback"}'
REPORT = ("text/csv", b"case;passed")


def named(clause: Clause) -> str:
    return f"{clause.framework} {clause.clause} {clause.asks[:24]}"


# --- a ledger that has everything ------------------------------------------------------------------------------------


class Office:
    """Writes each type of record that a row names, with all that it can say; nothing is said twice but what must be."""

    def __init__(self, folder: Path, key: SigningKey) -> None:
        self.log = Log(folder / "failsoft.db", key)
        self.second, self.digest = 0.0, ""
        self.said = self.log.first

    def say(self, what: evidence.Record | Draft, leaf: bytes = b"") -> Built:
        self.second += 1
        return self.said.say(what if isinstance(what, Draft) else draft.draft_of(what, lambda _: leaf), self.second)

    def write(self) -> None:
        configured = self.say(
            evidence.ConfigActivated(
                SNAPSHOT, (("rate-ticket", "cap-v3"),), (("gpt", "codec-v9", Pin("m-pinned", ("m-pinned",))),), LOCK
            )
        )
        self.digest = json.loads(configured.body)["config_sha256"]
        for number in (1, 2):  # of no case: these are pruned
            self.call(f"call-caseless-{number}", CallContext())
        self.second += 10
        self.call("call-erased", CallContext(Case("case-erased")))
        self.answers()
        self.changes()
        self.keeping()
        self.said.close(self.second + 1)
        self.log.close()

    def start(self, call_id: str, context: CallContext) -> Built:
        return self.say(
            evidence.CallStarted(
                call_id,
                "rate-ticket",
                "cap-v3",
                f'"asked in {call_id}"'.encode(),
                9000,
                ("gpt", "local"),
                context,
                self.digest,
            )
        )

    def call(self, call_id: str, context: CallContext, **ended: Any) -> Built:
        begun = self.start(call_id, context)
        ticket = Ticket(TicketQueue(1), draft_less(call_id), 0, 0)
        told: dict[str, Any] = {
            "outcome": "answered",
            "degraded": False,
            "source": Source("adapter", "gpt", 2),
            **ended,
        }
        return self.say(
            evidence.CallCompleted(
                call_id,
                "rate-ticket",
                "cap-v3",
                ticket,
                context=context,
                us=7_000_123 + len(call_id),
                adapter_version="codec-v9",
                response=f'"answer of {call_id}"'.encode(),
                prompt=f'{{"prompt": "of {call_id}"}}'.encode(),
                **told,
            ),
            begun.leaf,
        )

    def answers(self) -> None:
        case = Case("T-17", "kind-contract", "series-4-801")
        context = CallContext(case, Actor("asker-jdoe", "kind-user", "for-mwagner"), frozenset({"label-CUI"}))
        answered = self.call(
            ANSWERED,
            context,
            attempts=(tried(1, fault="attempt_timeout"), tried(2, status=218)),
            passed_over=(("own-adapter", "blocked"),),
            review=ReviewNeed(required=True, policy="always"),
        )
        fell_back = {"source": Source("fallback", "rules:Table"), "degraded": True}
        self.call(
            FELL_BACK,
            context,
            attempts=(tried(1, fault="attempt_timeout"), tried(2, fault="invalid_json")),
            passed_over=(("other-adapter", "latched"),),
            **fell_back,
        )
        late = self.call(LATE, context)
        common: dict[str, Any] = {"call_id": LATE, "capability": "rate-ticket", "capability_version": "cap-v3"}
        self.say(
            evidence.CallAmended(
                **common,
                **fell_back,
                completed=Ticket(TicketQueue(1), draft_less(LATE), 0, 0),
                outcome="answered",
                context=context,
                us=8_000_456,
                response=b'"answer that was spoken"',
            ),
            late.leaf,
        )
        self.acts(answered, case)
        other, self.said = self.said, self.log.process(4711, self.second)
        lost = self.start(LOST, context)  # and its process ended
        self.said = other
        self.say(draft.call_orphaned(LOST, lost.leaf, "rate-ticket", "T-17"))

    def acts(self, answered: Built, case: Case) -> None:
        (shown,) = [each for each in json.loads(answered.body)["commitments"] if each["path"] == "response"]
        former: bytes | None = None
        for act, decision in (("review", "accepted"), ("appeal", None), ("override", "changed")):
            made = self.say(
                evidence.PersonActed(
                    act,  # type: ignore[arg-type]
                    ANSWERED,
                    "rate-ticket",
                    "cap-v3",
                    case,
                    ("label-CUI",),
                    f"person-of-{act}",
                    "completed",
                    answered.leaf,
                    former,
                    Actor("clerk"),
                    decision,  # type: ignore[arg-type]
                    shown["digest"],
                    own=False,
                    spent_ms=12_345,
                    reason=f"reason of the {act}".encode(),
                    display=("text/html", f"<p>shown in the {act}</p>".encode()),
                    changed=b'"new value"' if decision == "changed" else None,
                )
            )
            former = made.leaf

    def changes(self) -> None:
        self.say(
            evidence.BreakerChanged("gpt", "quality", "half_open", "isolated", "because-quality", 9, "rate-ticket")
        )
        until = "2031-01-01T00:00:00Z"
        self.say(evidence.BlockChanged("adapter:gpt", True, "blocker-jdoe", "block-reason", until, "forced"))
        self.say(
            evidence.RetirementNotice("gpt", "m-retiring", "2026-01-01T00:00:00Z", "2032-02-02T00:00:00Z", b"in words")
        )
        self.say(evidence.LockChanged(LOCK, "0a" * 32, ("sentence-of-the-change",), "locker", "lock-reason"))
        self.say(evidence.LockApproved(LOCK, "approver", "approval-reason", REPORT))
        self.say(draft.gap_declared("gap-reason", 4321))
        failed = self.say(draft.ledger_failure("2026-03-03T00:00:00Z", "fallback", 5432, "2026-03-04T00:00:00Z"))
        self.say(draft.ledger_recovered("2026-03-03T00:00:00Z", "2026-03-05T00:00:00Z", failed.leaf))

    def keeping(self) -> None:
        self.say(evidence.LegalHold("case-held", True, "holder", "hold-reason"))
        self.say(evidence.LegalHold("case-held", False, "lifter", "lift-reason"))
        self.say(evidence.CaseEvent("case-paid", "final-payment", "2025-05-05", "accountant", "voucher-881"))


def draft_less(call_id: str) -> evidence.CallStarted:
    """What a ticket is of: nobody reads it."""
    return evidence.CallStarted(call_id, "rate-ticket", None, b"", 1, (), CallContext(), "")


def tried(number: int, status: int | None = None, fault: str | None = None) -> evidence.Attempt:
    return evidence.Attempt(
        number,
        "gpt",
        "codec-v9",
        f"https://gpt-{number}.example.com/v1",
        Pin("m-pinned", ("m-pinned",)),
        Sampling(temperature=0.625, seed=77_001, max_tokens=4_096, stop=("halt-here",)),
        Served(f"m-served-{number}", Grade.PROVIDER, f"fingerprint-{number}", f"request-id-{number}", "upstream-x"),
        503 if status is None else status,
        fault,
        Tokens(60_001 + number, 70_001 + number),
        50_000 + number,
        "retry" if number > 1 else None,
        reply=f'{{"reply": "number {number}"}}'.encode(),
        detail=b"what was wrong" if fault else None,
    )


TOML = '[ledger]\nurl = "sqlite:///failsoft.db"\nkey = { file = "ledger.key" }\nanchor_file = "anchored.txt"\n'


def run(command: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, shlex.split(command)[1:])
    assert result.exit_code == code, f"{command}: {result.output}"
    return result.stdout


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a signed ledger of all this; what people do to a ledger was done to it, by the commands."""
    folder = tmp_path_factory.mktemp("office")
    key = SigningKey("example.com/office", secrets.token_bytes(32))
    write_key(folder / "ledger.key", key)
    (folder / "failsoft.toml").write_text(TOML)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.logs.START", BEGAN * 10**9)
        Office(folder, key).write()
        patch.chdir(folder)
        run("failsoft ledger erase --case case-erased --person eraser --approved-by seconder --why erasure-basis")
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(BEGAN + 10))
        run(f"failsoft ledger prune --caseless --until {moment} --person pruner --why prune-reason")
        run("failsoft ledger copy failsoft.toml copied.db --person copyist --why copy-reason")
        given = "--recipient recipient-IG --person giver --why audit-7"
        run(f"failsoft ledger bundle failsoft.db --config failsoft.toml --case T-17 -o given.zip {given}")
        run("failsoft keys rotate --why rotation-reason --actor rotator")
        keys = shlex.join(["--key", str(key.verifier), "--key", run("failsoft keys show ledger.key").strip()])
        (folder / "KEYS").write_text(keys)
        assert "verified" in run(f"failsoft verify failsoft.db {keys} --checkpoint anchored.txt")
    return folder


# --- what is shown ----------------------------------------------------------------------------------------------------

SHOWS = re.compile(r"failsoft (verify|log|show|keys show|ledger (affected|attest|case|monitor|reviews)) ")
"""Commands that read a ledger and tell what's in it. Others do something, and of that the log tells."""

Values = list[str | int | bool]


def at(value: object, path: str) -> Values:
    """What stands in a record under a path; of a list's items all that do."""
    if isinstance(value, list):
        return [found for each in value for found in at(each, path)]
    if path and isinstance(value, Mapping):
        key, _, rest = path.partition(".")
        return at(value[key], rest) if key in value else []
    if isinstance(value, Mapping):
        return [found for each in value.values() for found in at(each, "")]
    return [] if path else [value]  # type: ignore[list-item]


def leaves(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Every value, and each name of one, with the name that it stands under."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield name, key
            yield from leaves(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each, name)
    else:
        yield name, value


class Shown:
    """What a command tells: as documents, as rows, or in words.

    A record's field counts as shown where the command tells it of a record of that type: under its path in a document; in
    the row's cell, of a flag or a small number under that name; in the line, as a word. What isn't told of records of a type
    (by `verify`, or of answers) shows only what is like nothing else in the ledger.
    """

    def __init__(self, command: str, text: str) -> None:
        self.documents: list[dict[str, Any]] = []
        self.rows: list[dict[str, str]] = []
        self.lines: list[str] = []
        if "--csv" in command:
            self.rows = list(csv.DictReader(io.StringIO(text)))
        elif "--json" in command or command.startswith("failsoft show "):
            self.documents = [json.loads(line) for line in text.splitlines()]
        else:
            self.lines = text.splitlines()
        self.of_records = re.match(r"failsoft (log|show|ledger case) ", command) is not None

    def tells(self, kind: str, path: str, value: str | int | bool, rare: bool) -> bool:
        name = path.rpartition(".")[2]
        if self.of_records:
            return (
                any(each.get("type") == kind and value in at(each, path) for each in self.documents)
                or any(each["type"] == kind and self._in_row(each, name, value) for each in self.rows)
                or any(f" {kind} " in each and self._in_words(each, name, value) for each in self.lines)
            )
        return rare and (
            any(found == value for each in self.documents for _, found in leaves(each))
            or any(str(value) in each.values() for each in self.rows)
            or any(str(value) in each for each in self.lines)
        )

    def tells_text(self, text: str) -> bool:
        """Is it told what stands behind a commitment?"""
        return (
            any(found == text for each in self.documents for _, found in leaves(each))
            or any(text in each.values() for each in self.rows)
            or any(text in each for each in self.lines)
        )

    @staticmethod
    def _in_row(row: Mapping[str, str], name: str, value: str | int | bool) -> bool:
        if isinstance(value, int):
            return row.get(name) == str(value).lower()
        return any(value in (cell, *cell.split(), *re.split(r"[\s:]", cell)) for cell in row.values())

    @staticmethod
    def _in_words(line: str, name: str, value: str | int | bool) -> bool:
        words = {each.strip("(),:") for each in line.split()} | set(line.split())
        if isinstance(value, bool):
            return (name if value else f"un{name}") in words
        return isinstance(value, str) and value in words


class Ledger:
    """The office's ledger: its records, and what each command tells of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: dict[str, Shown] = {}
        with read(folder / "failsoft.db") as reader:
            self.records = [each.fields for each in reader.records() if each.body is not None]
            self.texts = {
                each["digest"]: self._text(reader, each["digest"])
                for fields in self.records
                for each in fields.get("commitments", ())
            }
        self.names: dict[object, set[str]] = {}
        for fields in self.records:
            for name, value in leaves(fields):
                self.names.setdefault(value, set()).add(name)

    @staticmethod
    def _text(reader: Reader, digest: str) -> str | None:
        payload = reader.payload(digest)
        return None if payload is None else payload[2].decode()

    def rare(self, value: object) -> bool:
        """Is it like nothing else here, so that it can't be there by chance?"""
        long = value >= 1000 if isinstance(value, int) else len(str(value)) >= 6
        return long and len(self.names[value]) == 1

    def shown(self, command: str) -> Shown:
        if command not in self.told:
            asked = re.sub(r"--between \S+ \S+", "--between 10d 0s", command)
            asked = asked.replace("--key VKEY", (self.folder / "KEYS").read_text())
            put = {"CALL": ANSWERED, "MODEL": "m-served-2"}
            result = CliRunner().invoke(app, [put.get(each, each) for each in shlex.split(asked)[1:]])
            assert result.exit_code in ((0, 2) if re.search(" (attest|affected) ", command) else (0,)), (
                f"{command}: {result.output}"
            )
            self.told[command] = Shown(command, result.stdout)
        return self.told[command]

    def unshown(self, row: Clause) -> list[str]:
        """Which fields the row's commands don't show; of each type one record must be shown with all of them."""
        shown = [self.shown(each) for each in row.commands if SHOWS.match(each)]
        return [
            f"{kind}: {path}"
            for kind, paths in row.records.items()
            for path in min((self._missing(each, paths, shown) for each in self._whole(kind, paths)), key=len)
        ]

    def _whole(self, kind: str, paths: tuple[str, ...]) -> list[dict[str, Any]]:
        found = [each for each in self.records if each["type"] == kind and all(at(each, path) for path in paths)]
        assert found, f"no record {kind} has all of {paths}: write one"
        return found

    def _missing(self, record: Mapping[str, Any], paths: tuple[str, ...], shown: list[Shown]) -> list[str]:
        return [path for path in paths if not self._is_shown(record, path, shown)]

    def _is_shown(self, record: Mapping[str, Any], path: str, shown: list[Shown]) -> bool:
        if path in (
            "commitments",
            "commitments.digest",
        ):  # a commitment is shown by itself, or by what stands behind it
            return all(
                any(
                    each.tells(record["type"], "commitments.digest", digest, rare=True)
                    or ((text := self.texts[digest]) is not None and each.tells_text(text))
                    for each in shown
                )
                for digest in at(record, "commitments.digest")
            )
        return all(
            any(each.tells(record["type"], path, value, self.rare(value)) for each in shown)
            for value in at(record, path)
        )


@pytest.fixture(scope="module")
def ledger(office: Path) -> Iterator[Ledger]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(office)
        yield Ledger(office)


@pytest.mark.parametrize("clause", TODAY, ids=named)
def test_a_row_of_today_has_commands_that_show_its_fields(clause: Clause, ledger: Ledger) -> None:
    assert ledger.unshown(clause) == []


def without(clause: str, *commands: str) -> Clause:
    """A row with other commands than it has."""
    (row,) = [each for each in TODAY if each.clause == clause]
    return row.model_copy(update={"commands": commands})


@pytest.mark.parametrize(
    ("clause", "command", "unshown"),
    [
        (
            "M-25-21, remedies and appeals",
            "failsoft ledger reviews failsoft.db --all",  # the latest act alone
            [
                "appeal.recorded: commitments",
                "appeal.recorded: person",
                "appeal.recorded: ts",
                "override.recorded: commitments",
                "override.recorded: decision",
            ],
        ),
        (
            "AU-12(1)",
            "failsoft log failsoft.db --kind emitter.opened --all",  # in words: index, time and type alone
            [
                "emitter.opened: emitter",
                "emitter.opened: eseq",
                "emitter.opened: host",
                "emitter.opened: pid",
                "emitter.closed: emitter",
                "emitter.closed: last",
            ],
        ),
        (
            "M-25-22, performance and risk",
            "failsoft log failsoft.db --adapter gpt --since 30d --csv",
            [
                "call.completed: attempts.served.model",
                "call.completed: attempts.served.request_id",
                "call.completed: attempts.status",
                "call.completed: attempts.us",
                "model.retirement_notice: deprecated",
                "model.retirement_notice: model",
                "model.retirement_notice: sunset",
            ],
        ),
        (
            "4.801(b)(2)",  # another's fields are no answer's
            "failsoft log failsoft.db --kind config.activated --all --json",
            [
                "call.completed: degraded",
                "call.completed: outcome",
                "call.completed: passed_over.adapter",
                "call.completed: passed_over.reason",
                "call.completed: source.kind",
                "call.completed: source.name",
                "call.amended: degraded",
                "call.amended: outcome",
                "call.amended: refs.completed",
                "call.amended: source.kind",
            ],
        ),
        ("4.803(a)(24)", "failsoft ledger clauses", "all"),
    ],
)
def test_a_command_that_does_not_show_a_field_is_noticed(
    clause: str, command: str, unshown: list[str] | str, ledger: Ledger
) -> None:
    row = without(clause, command)
    every = [f"{kind}: {path}" for kind, paths in row.records.items() for path in paths]
    assert ledger.unshown(row) == (every if unshown == "all" else unshown)


@pytest.mark.parametrize("clause", ["4.803(a)(24)", "26(2)", "12(3)(d)"])
def test_the_history_and_its_call_show_every_act_and_neither_is_enough_alone(clause: str, ledger: Ledger) -> None:
    history, call = "failsoft ledger reviews failsoft.db --history", "failsoft show failsoft.db CALL"
    assert ledger.unshown(without(clause, history, call)) == []
    assert "review.recorded: commitments" in ledger.unshown(without(clause, history))  # what else was shown to them


def test_a_field_counts_as_shown_where_it_is_told_of_its_own_record() -> None:
    told = {"index": 1, "type": "block.changed", "blocked": True, "n": 7, "actor": {"id": "jdoe"}}
    shown = Shown("failsoft log x.db --json", json.dumps(told))
    assert shown.tells("block.changed", "actor.id", "jdoe", rare=False)
    assert not shown.tells("block.changed", "person", "jdoe", rare=True)
    assert not shown.tells("call.started", "actor.id", "jdoe", rare=True)
    row = Shown("failsoft log x.db --csv", "type,index,blocked,said\nblock.changed,7,true,wrong since 9\n")
    assert row.tells("block.changed", "blocked", True, rare=False)
    assert row.tells("block.changed", "why", "wrong", rare=False)
    assert not row.tells("block.changed", "n", 7, rare=True)
    line = Shown("failsoft log x.db", " 7  2026-11-23T14:00:00Z  block.changed  adapter:gpt  unblocked by jdoe: late")
    assert line.tells("block.changed", "blocked", False, rare=False)
    assert line.tells("block.changed", "actor.id", "jdoe", rare=False)
    assert not line.tells("block.changed", "blocked", True, rare=False)
    assert not line.tells("block.changed", "n", 7, rare=True)
    other = Shown("failsoft verify x.db", "7 records of example.com/office")
    assert other.tells("log.opened", "origin", "example.com/office", rare=True)
    assert not other.tells("log.opened", "origin", "example.com/office", rare=False)
