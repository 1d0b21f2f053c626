"""The map of clauses: each row of today names records, fields and commands that exist; nothing in it claims more than support."""

from __future__ import annotations

import csv
import io
import json
import re
import secrets
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.logs import Log

import failsoft
from failsoft import Capability, Isolation
from failsoft.compliance.clauses import COLUMNS, Clause, Status, parse, shipped
from failsoft.context import Actor, CallContext, Case
from failsoft.core import evidence
from failsoft.core.effects import Tokens
from failsoft.ledger.keys.ed25519 import SigningKey, write_key
from failsoft.ledger.read import read
from failsoft.ledger.records import draft
from failsoft.ledger.records.record import Draft
from failsoft.ledger.records.schema import REQUIRED, Kind
from failsoft.ledger.writing.ticket import Ticket, TicketQueue
from failsoft.outcome import Grade, Pin, Served, Source
from failsoft.prompt import Sampling

pytest.importorskip("typer")

import typer
from tests.commands import CliRunner
from typer.testing import Result

from failsoft.cli.app import app
from failsoft.cli.clauses import CLAIM, Framework, _told

ROOT = Path(__file__).parents[2]
MAP = shipped()
TODAY = [each for each in MAP.clauses if each.status is Status.TODAY]
PLANNED = [each for each in MAP.clauses if each.status is Status.PLANNED]

CONTEXT = CallContext(Case("T-17", "contract", "4-801"), Actor("jdoe", "user", "mwagner"), frozenset({"CUI"}))
LEAF = b"\1" * 32
PINS = Pin("m-1", ("m-1",)), Pin("m-2", (), r"m-2-\d+")

CLAIMS = re.compile(
    r"\b(compl(y|ies|ied|ying|iant)|satisf\w+|meets?|met|fulfil\w*|guarante\w+|conform\w*|certif(y|ies|ied)|assures?|ensures?)\b",
    re.IGNORECASE,
)
"""What no row may say of a rule."""


def named(clause: Clause) -> str:
    return f"{clause.framework} {clause.clause} {clause.asks[:24]}"


def said() -> Iterator[Draft]:
    """Every type of record that failsoft writes, with all that it can say."""
    attempts = tuple(
        evidence.Attempt(
            n=n,
            adapter="gpt",
            adapter_version="1",
            endpoint="https://example.com/v1",
            pin=pin,
            sampling=Sampling(temperature=0.5, seed=1, max_tokens=9, stop=("x",)),
            served=Served("m-1", Grade.PROVIDER, "fp", "req-1", "vendor"),
            status=200,
            fault="invalid_json",
            tokens=Tokens(1, 2),
            us=5,
            why="retry",
            reply=b"{}",
            detail=b"why",
            prompt=b"{}",
        )
        for n, pin in enumerate(PINS, 1)
    )
    call: dict[str, Any] = {"call_id": "c1", "capability": "rate", "capability_version": "1", "context": CONTEXT}
    started = evidence.CallStarted(**call, request=b"{}", deadline_ms=9, route=("gpt",), config_sha256="00" * 32)
    ticket = Ticket(TicketQueue(1), started, 0, 0)
    ended: dict[str, Any] = {
        **call,
        "outcome": "answered",
        "source": Source("adapter", "gpt", 1),
        "us": 5,
        "response": b"1",
    }
    known: list[evidence.Record] = [
        started,
        evidence.CallCompleted(
            **ended,
            started=ticket,
            degraded=False,
            adapter_version="1",
            attempts=attempts,
            passed_over=(("own", "blocked"),),
            prompt=b"{}",
        ),
        evidence.CallAmended(**ended, completed=ticket, degraded=True),
        evidence.ConfigActivated(
            snapshot=b"{}",
            capabilities=(("rate", "1"),),
            adapters=tuple(("gpt", "1", pin) for pin in PINS),
            lock=b"{}",
        ),
        evidence.BreakerChanged(
            adapter="gpt", layer="quality", before="closed", after="open", reason="why", until_ms=9, capability="rate"
        ),
        evidence.BlockChanged(
            subject="adapter:gpt", blocked=True, actor="jdoe", why="why", until="2026-11-24T00:00:00Z", mode="forced"
        ),
        evidence.RetirementNotice(
            adapter="gpt", model="m-1", deprecated="2026-01-01T00:00:00Z", sunset="2027-01-01T00:00:00Z", text=b"why"
        ),
        evidence.LockChanged(b"{}", "0" * 64, ("x",) * 25, "jdoe", "why"),
        evidence.LockApproved(b"{}", "jdoe", "why", ("text/csv", b"1")),
    ]
    yield from (draft.draft_of(each, lambda _: LEAF) for each in known)
    yield draft.log_opened(["key"])
    yield draft.key_rotated("former", "new", "jdoe", "why")
    yield draft.call_orphaned("c2", LEAF, "rate", "T-17")
    yield draft.gap_declared("why", 1)
    yield draft.ledger_failure("2026-01-01", "fallback", 1, "2026-01-02")
    yield draft.ledger_recovered("2026-01-01", "2026-01-02", LEAF)
    yield draft.emitter_closed(99)


def paths(value: object, here: str = "") -> Iterator[str]:
    """Where something stands in a record; a list's items stand where the list does."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from paths(each, f"{here}.{key}" if here else str(key))
    elif isinstance(value, list):
        for each in value:
            yield from paths(each, here)
    else:
        yield here


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Mapping[Kind, frozenset[str]]:
    """The fields that records of each type have in a real ledger, those that verification demands, and those of all."""
    log = Log(tmp_path_factory.mktemp("ledger") / "x.db")
    for second, what in enumerate(said(), 1):
        log.first.say(what, second)
    found: dict[Kind, set[str]] = {}
    with read(log.close()) as reader:
        for entry in reader.records():
            found.setdefault(Kind(entry.kind), set()).update(paths(entry.fields))
    common = set[str].intersection(*found.values())
    for kind, keys in REQUIRED.items():
        found[kind] = found.get(kind, common) | keys
    return {kind: frozenset(each) for kind, each in found.items()}


def unwritten(clause: Clause, written: Mapping[Kind, frozenset[str]]) -> list[str]:
    return [
        f"{kind}: {path}"
        for kind, fields in clause.records.items()
        for path in fields
        if path not in written.get(kind, ())
    ]


@pytest.mark.parametrize("clause", TODAY, ids=named)
def test_a_row_of_today_names_fields_that_records_have(clause: Clause, written: Mapping[Kind, frozenset[str]]) -> None:
    assert unwritten(clause, written) == []


def test_a_field_that_no_record_has_is_noticed(written: Mapping[Kind, frozenset[str]]) -> None:
    row = TODAY[0].model_copy(
        update={"records": {Kind.CALL_STARTED: ("case.id", "person"), Kind.DRIFT_DETECTED: ("ts",)}}
    )
    assert unwritten(row, written) == ["call.started: person", "drift.detected: ts"]


# --- commands ---------------------------------------------------------------------------------------------------------


def missing(command: str) -> list[str]:
    """What of a command doesn't exist: a name, or options."""
    words = shlex.split(command)[1:]
    found: Any = typer.main.get_command(app)
    while hasattr(found, "commands") and words and not words[0].startswith("-"):
        if words[0] not in found.commands:
            return [words[0]]
        found = found.commands[words.pop(0)]
    known = {option for each in found.params for option in (*each.opts, *each.secondary_opts)}
    return [each for each in words if each.startswith("-") and each not in known]


@pytest.mark.parametrize("clause", TODAY, ids=named)
def test_a_row_of_today_names_commands_that_exist(clause: Clause) -> None:
    assert {each: missing(each) for each in clause.commands if missing(each)} == {}


def test_a_command_that_does_not_exist_is_noticed() -> None:
    assert missing("failsoft ledger conjure failsoft.db") == ["conjure"]
    assert missing("failsoft log failsoft.db --by-magic --all") == ["--by-magic"]


def test_what_is_planned_is_not_there_yet() -> None:
    """It fails when it is: then the row is of today, and its fields are to be named."""
    for clause in PLANNED:
        there = all(kind in REQUIRED for kind in clause.records) and not any(map(missing, clause.commands))
        assert not there, (
            f'all that {named(clause)} names exists: write status = "today" in clauses.toml, the page anew'
        )


class Part(Capability[str, bool]):
    """Is this a spare part?"""

    def fallback(self, request: str) -> bool:
        return True


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a signed ledger, its key and what its anchor has, a lock, and the results of a test."""
    pytest.importorskip("cryptography")
    folder = tmp_path_factory.mktemp("office")
    key = SigningKey("example.com/office", secrets.token_bytes(32))
    write_key(folder / "ledger.key", key)
    (folder / "VKEY").write_text(str(key.verifier))
    (folder / "failsoft.toml").write_text(
        '[ledger]\nurl = "sqlite:///failsoft.db"\nkey = { file = "ledger.key" }\nanchor_file = "anchored.txt"\n'
        '[retention.classes.pay-records]\nafter = "fiscal-year-end"\nkeep_days = 1461\n'  # FAR 4.705 asks for one
    )
    with Isolation.from_file(folder / "failsoft.toml", capabilities=[Part]) as isolation, failsoft.context(case="T-17"):
        (folder / "CALL").write_text(isolation[Part].sync("nut").call_id)
        isolation.lock().write(folder / "failsoft.lock")
    (folder / "results.json").write_text("{}")
    return folder


READS_A_LEDGER = sorted(
    {each for row in TODAY for each in row.commands if re.match(r"failsoft (verify|log|show|ledger|keys) ", each)}
)


@pytest.mark.parametrize("command", READS_A_LEDGER)
def test_a_command_of_today_shows_a_real_ledger(
    command: str, office: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(office, tmp_path, dirs_exist_ok=True)  # some do more than show
    monkeypatch.chdir(tmp_path)
    put = {each: (office / each).read_text() for each in ("VKEY", "CALL")}
    result = CliRunner().invoke(app, [put.get(each, each) for each in shlex.split(command)[1:]])
    # whether a time can be attested depends on when this test runs
    # and this ledger has nothing so old that it could be pruned
    others = (2,) if " attest " in command else (1,) if " prune " in command else ()
    assert result.exit_code in (0, *others), result.output


# --- what it claims ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "file",
    ["src/failsoft/compliance/clauses.toml", "docs/reference/compliance.md", "docs/for-auditors.md"],
)
def test_nothing_is_said_of_a_rule_but_that_records_support_it(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert [found.group() for found in CLAIMS.finditer(text)] == []
    assert "support" in text.casefold()


@pytest.mark.parametrize("text", ["It complies with AU-3.", "This meets 4.801.", "satisfies", "FIPS compliant", "Met."])
def test_a_claim_is_noticed(text: str) -> None:
    assert CLAIMS.search(text)


@pytest.mark.parametrize(
    ("framework", "clauses"),
    [
        ("far", ["4.703", "4.705", "4.801", "4.803", "4.805"]),
        ("nist", ["AU-2", "AU-3", "AU-5", "AU-6", "AU-8", "AU-9", "AU-10", "AU-11", "AU-12"]),
        ("eu", ["12", "19", "26"]),
        ("omb", ["M-25-21", "M-25-22"]),
    ],
)
def test_each_framework_has_the_clauses_that_were_asked_for(framework: str, clauses: list[str]) -> None:
    assert [each for each in clauses if not MAP.find(framework, each)] == []


def test_a_clause_has_its_parts_and_not_its_namesakes() -> None:
    assert {each.clause for each in MAP.find(clause="au-9")} == {"AU-9", "AU-9(2)", "AU-9(3)", "AU-9(4)"}
    assert MAP.find(clause="AU-1") == ()
    assert {each.framework for each in MAP.find(clause="12(2)")} == {"eu"}
    assert MAP.find("far", "AU-9") == ()
    assert MAP.find() == MAP.clauses


def test_every_text_is_used_and_every_framework_has_rows() -> None:
    assert {each.rule_text for each in MAP.clauses} == set(MAP.rule_texts)
    assert {each.framework for each in MAP.clauses} == set(MAP.frameworks) == set(Framework)


# --- the file ---------------------------------------------------------------------------------------------------------

MINIMAL = """
[frameworks.x]
title = "X"
note = "none"
[rule_texts.t]
document = "D"
version = "1"
source = "here"
[[clauses]]
framework = "x"
clause = "1"
asks = "something"
status = "today"
rule_text = "t"
read = "primary"
checked = 2026-11-29
commands = ["failsoft verify failsoft.db"]
supports = "it"
remains = "all else"
[clauses.records]
"call.started" = ["ts"]
"""


def test_a_map_is_read() -> None:
    known = parse(MINIMAL)
    (row,) = known.clauses
    assert row.records == {Kind.CALL_STARTED: ("ts",)}
    assert row.recorded == ("call.started: ts",)
    assert list(known.row(row)) == list(COLUMNS)
    with pytest.raises(TypeError):
        row.records[Kind.CALL_STARTED] = ()  # type: ignore[index]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('framework = "x"', 'framework = "y"', "there's no framework y"),
        ('rule_text = "t"', 'rule_text = "u"', "there's no text u"),
        ('["ts"]', "[]", "at least 1 item"),
        ('"call.started" = ["ts"]', "", "at least 1 item"),
        ('"call.started"', '"call.begun"', "records"),
        ('["ts"]', '["ts; drop"]', "records"),
        ('status = "today"', 'status = "tomorrow"', "status"),
        ('read = "primary"', 'read = "perhaps"', "read"),
        ("checked = 2026-11-29", 'checked = "soon"', "checked"),
        ('["failsoft verify failsoft.db"]', '["rm office.db"]', "commands"),
        ('["failsoft verify failsoft.db"]', "[]", "commands"),
        ('supports = "it"', 'supports = "it | and more"', "supports"),
        ('supports = "it"', 'supports = ""', "supports"),
        ('supports = "it"', "", "supports"),
        ('note = "none"', 'note = "none"\nwarranty = "all"', "warranty"),
    ],
)
def test_a_map_that_is_none_is_refused(old: str, new: str, problem: str) -> None:
    assert old in MINIMAL
    with pytest.raises(ValidationError, match=re.escape(problem)):
        parse(MINIMAL.replace(old, new, 1))


def test_a_row_stands_once() -> None:
    rows = "[[clauses]]" + MINIMAL.partition("[[clauses]]")[2]
    with pytest.raises(ValidationError, match="twice"):
        parse(MINIMAL + rows)
    assert len(parse(MINIMAL + rows.replace("something", "something else")).clauses) == 2


# --- the command ------------------------------------------------------------------------------------------------------


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["ledger", "clauses", *arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def told(result: Result) -> str:
    return " ".join(result.output.split())


def test_an_auditor_asks_which_record_shows_a_clause() -> None:
    lines = run("AU-3").stdout.splitlines()
    assert lines[0].startswith("NIST SP 800-53")
    assert lines[-1] == CLAIM
    assert any(line.startswith("  record    call.completed: ") and "outcome" in line for line in lines)
    assert "  command   failsoft log failsoft.db --kind call.completed --all --json" in lines
    assert sum(line.startswith("AU-3") for line in lines) == 3


def test_what_is_planned_is_marked() -> None:
    assert "(planned: not there yet)" not in run("AU-9(3)").stdout
    planned = TODAY[0].model_copy(update={"status": Status.PLANNED})
    assert next(_told(MAP, planned)).endswith("(planned: not there yet)")


@pytest.mark.parametrize("framework", list(Framework))
def test_a_framework_is_listed_by_itself(framework: Framework) -> None:
    rows = list(csv.DictReader(io.StringIO(run("--framework", framework, "--csv").stdout)))
    assert len(rows) == len(MAP.find(framework))
    assert {each["framework"] for each in rows} == {framework}
    assert list(rows[0]) == list(COLUMNS)


def test_all_are_listed_for_programs() -> None:
    rows = [json.loads(line) for line in run("--json").stdout.splitlines()]
    assert len(rows) == len(MAP.clauses)
    for row, clause in zip(rows, MAP.clauses, strict=True):
        assert list(row) == list(COLUMNS)
        assert row["records"] == {kind: list(fields) for kind, fields in clause.records.items()}
        assert row["commands"] == list(clause.commands)


def test_each_framework_is_introduced_once() -> None:
    lines = run().stdout.splitlines()
    for framework in MAP.frameworks.values():
        assert lines.count(framework.title) == 1
        assert f"note: {framework.note}" in lines


def test_a_clause_that_the_map_does_not_have() -> None:
    assert "the map has no clause 'AU-99'" in told(run("AU-99", code=1))
    assert json.loads(run("AU-9", "--framework", "far", "--json", code=1).stdout)["ok"] is False
    run("\x1b[31m", code=1)


def test_a_wrong_command_line() -> None:
    assert "exclude each other" in told(run("--json", "--csv", code=64))
    assert "--framework" in told(run("--framework", "iso", code=64))


def test_help_has_an_example_and_the_exit_codes() -> None:
    said = told(run("--help"))
    assert "Example: failsoft ledger clauses AU-3" in said
    assert "Exit code: 0 " in said
