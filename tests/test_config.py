"""failsoft.toml, read leniently: every problem at once, each with its place and the way out, and never a secret."""

from __future__ import annotations

import copy
import json
import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import fields
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from failsoft.config import UNREAD, AdapterConfig, BreakerConfig, CapabilityConfig, Config
from failsoft.config_file import MAX_FILE, MAX_VALUE, UNRESOLVED
from failsoft.config_ledger import LedgerConfig
from failsoft.config_read import EXAMPLES, Draft, read_file, read_mapping, unknown_adapters
from failsoft.config_values import SECOND, Secret, Section
from failsoft.core.breaker_settings import BreakerSettings
from failsoft.durations import parse_duration
from failsoft.outcome import Pin
from failsoft.providers import known

CANARY = "sk-canary-7f3a"
CALLABLE = {"provider": "callable", "model": "house-1"}
LOCAL = {"provider": "openai-compatible", "model": "m", "base_url": "http://127.0.0.1:8080/v1"}
OPENAI = {"provider": "openai", "model": "gpt-4.1-2025-04-14", "api_key": SecretStr(CANARY)}


def problems(**tables: Any) -> list[str]:
    return read_mapping(tables).problems


def of_adapter(base: dict[str, Any] = CALLABLE, /, **keys: Any) -> list[str]:
    """What's wrong with one adapter, the place left out."""
    return [
        each.removeprefix("adapters.a.").removeprefix("adapters.a: ") for each in problems(adapters={"a": base | keys})
    ]


def adapter(base: dict[str, Any] = CALLABLE, /, **keys: Any) -> AdapterConfig:
    draft = read_mapping({"adapters": {"a": base | keys}})
    assert draft.problems == []
    return draft.config.adapters["a"]


def of_capability(**keys: Any) -> list[str]:
    return [each.removeprefix("capabilities.c.") for each in problems(capabilities={"c": keys})]


def capability(**keys: Any) -> CapabilityConfig:
    draft = read_mapping({"capabilities": {"c": keys}})
    assert draft.problems == []
    return draft.config.capabilities["c"]


def write(folder: Path, text: str, name: str = "failsoft.toml") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


# --- a whole file -----------------------------------------------------------------------------------------------------

EXAMPLE = """
[ledger]
url = "sqlite:///failsoft.db"

[adapters.gpt]
provider = "openai"
model = "gpt-4.1-2025-04-14"
api_key = { env = "OPENAI_API_KEY" }

[adapters.local]
labels = ["CUI"]
provider = "openai-compatible"
base_url = "http://127.0.0.1:8080/v1"
model = "SmolLM2-135M-Instruct-Q4_1"

[capabilities.classify-item]
class = "procurement.capabilities:ClassifyItem"
adapters = ["gpt", "local"]
deadline = "8s"
fallback = "procurement.rules:KeywordTable"
"""


def test_the_documented_example_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    draft = read_file(write(tmp_path, EXAMPLE))
    assert draft.problems == []
    assert draft.adapter_names == {"gpt", "local"}
    config = draft.config
    assert config.source == tmp_path / "failsoft.toml"
    assert config.ledger.path == tmp_path / "failsoft.db"
    key = config.adapters["gpt"].api_key
    assert key is not None
    assert key.get_secret_value() == CANARY
    assert config.adapters["local"].labels == {"CUI"}
    classify = config.capabilities["classify-item"]
    assert (classify.class_path, classify.adapters) == ("procurement.capabilities:ClassifyItem", ("gpt", "local"))
    assert classify.deadline == 8 * SECOND
    assert unknown_adapters(draft) == []


def test_an_empty_configuration_is_right_and_stands_at_its_defaults() -> None:
    draft = read_mapping({})
    assert draft == Draft(Config())
    assert draft.config.base == Path.cwd()
    assert draft.config.ledger.path == Path.cwd() / "failsoft.db"
    assert draft.config.max_reply_bytes == 16 * 1024 * 1024
    assert CapabilityConfig().degraded_window == 600 * SECOND


def test_all_problems_are_listed_at_once_and_the_right_sections_are_kept(tmp_path: Path) -> None:
    draft = read_file(
        write(
            tmp_path,
            f"""
            host = 3
            on_bug = "rais"
            [ledger]
            url = "postgresql://u:{CANARY}@h"
            on_ledger_failure = "refuse"
            [adapters.gpt]
            provider = "opnai"
            api_key = "{CANARY}"
            deadline = "3s"
            attempts = 30
            [adapters.local]
            provider = "openai-compatible"
            model = "m"
            base_url = "https://host/v1"
            [capabilities.c]
            deadline = 8
            bogus = 1
            [capabilities.d]
            adapters = ["local"]
            """,
        )
    )
    assert sorted(draft.problems) == [
        'adapters.gpt.api_key: a secret must not stand in the file; write api_key = { env = "OPENAI_API_KEY" }',
        "adapters.gpt.attempts: must be at most 10",
        "adapters.gpt.deadline: belongs in [capabilities.NAME]",
        'adapters.gpt.model: is missing: write model = "gpt-4.1-2025-04-14", the pinned name',
        'adapters.gpt.provider: there is no "opnai"; did you mean "openai"?',
        "capabilities.c.bogus: unknown key",
        'capabilities.c.deadline: a duration has a unit: write "8s", "250ms", "2m" or "1h"',
        "host: text is wanted, not a whole number",
        "ledger.on_ledger_failure: belongs at the top level, above the first [table]",
        'ledger.url: a secret must not stand in the file; write url = { env = "DATABASE_URL" }',
        'on_bug: there is no "rais"; did you mean "raise"?',
    ]
    assert draft.adapter_names == {"gpt", "local"}
    assert set(draft.config.adapters) == {"local"}
    assert set(draft.config.capabilities) == {"c", "d"}
    assert draft.config.capabilities["c"] == CapabilityConfig()
    assert CANARY not in repr(draft)


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    (problem,) = read_file(tmp_path / "no.toml").problems
    assert problem.endswith("no.toml: can't be read: No such file or directory")


def test_a_relative_path_is_shown_as_given() -> None:
    assert read_file(Path("no.toml")).problems == ["no.toml: can't be read: No such file or directory"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\xff\xfe", "is not UTF-8"),
        (b"#" * (MAX_FILE + 1), "is larger than 1024 KiB"),
        (b"a = " + b"[" * 20_000, "nested too deeply"),
        (b"a = " + b"1" * 5000, "not TOML: a value that can't be read"),
        (b"[ledger]\nurl = oops\n", "line 2, column 7: not TOML: Invalid value"),
        (b'a = "', "at its end: not TOML: Unterminated string"),
    ],
)
def test_what_is_no_toml_is_a_problem(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "f.toml"
    path.write_bytes(content)
    (found,) = read_file(path).problems
    assert found.endswith(problem)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_bytes(b'\xef\xbb\xbfhost = "h"')
    assert read_file(path).config.host == "h"


def test_a_directory_and_a_pipe_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        assert read_file(path).problems[0].endswith("is not a regular file")


def test_a_path_that_no_system_has_is_a_problem() -> None:
    assert read_file(Path("a\0b")).problems == ["a\\u0000b: is not a path"]


# --- extends ----------------------------------------------------------------------------------------------------------


def test_a_file_extends_another_with_tables_merged_and_lists_replaced(tmp_path: Path) -> None:
    write(
        tmp_path,
        'host = "base"\n[capabilities.c]\nadapters = ["a", "b"]\ndeadline = "8s"\n[capabilities.d]\ndeadline = "9s"\n',
        "base.toml",
    )
    draft = read_file(write(tmp_path, 'extends = "base.toml"\n[capabilities.c]\nadapters = ["b"]\n'))
    assert draft.problems == []
    assert draft.config.host == "base"
    assert draft.config.capabilities["c"].adapters == ("b",)
    assert draft.config.capabilities["c"].deadline == 8 * SECOND
    assert draft.config.capabilities["d"].deadline == 9 * SECOND


def test_a_reference_replaces_a_base_reference_whole_and_the_base_one_is_not_looked_up(tmp_path: Path) -> None:
    write(tmp_path, 'host = { env = "NOT_SET_ANYWHERE" }', "base.toml")
    write(tmp_path, "here\n", "host.txt")
    draft = read_file(write(tmp_path, 'extends = "base.toml"\nhost = { file = "host.txt" }'))
    assert (draft.problems, draft.config.host) == ([], "here")


def test_relative_paths_in_a_base_are_relative_to_the_base(tmp_path: Path) -> None:
    write(tmp_path, "deep\n", "deep/host.txt")
    write(tmp_path, 'host = { file = "host.txt" }\n[ledger]\nurl = "sqlite:///l.db"', "deep/base.toml")
    draft = read_file(write(tmp_path, 'extends = "deep/base.toml"'))
    assert draft.problems == []
    assert draft.config.host == "deep"
    assert draft.config.ledger.path == tmp_path / "deep/l.db"


@pytest.mark.parametrize(
    ("url", "path"), [("sqlite:///l.db", "deep/l.db"), ("none", None), ("sqlite:////abs/l.db", "/abs/l.db")]
)
def test_a_ledger_by_environment_in_a_base_is_relative_to_the_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, path: str | None
) -> None:
    monkeypatch.setenv("LEDGER", url)
    write(tmp_path, '[ledger]\nurl = { env = "LEDGER" }', "deep/base.toml")
    draft = read_file(write(tmp_path, 'extends = "deep/base.toml"'))
    assert draft.problems == []
    assert draft.config.ledger.path == (None if path is None else tmp_path / path)


def test_a_cycle_is_a_problem(tmp_path: Path) -> None:
    write(tmp_path, 'extends = "failsoft.toml"', "base.toml")
    draft = read_file(write(tmp_path, 'extends = "base.toml"'))
    assert draft.problems == ["extends: failsoft.toml → base.toml → failsoft.toml is a cycle"]


def test_a_base_that_is_missing_or_no_path_is_a_problem(tmp_path: Path) -> None:
    assert "can't be read" in read_file(write(tmp_path, 'extends = "no.toml"')).problems[0]
    assert read_file(write(tmp_path, "extends = 3")).problems == [
        'extends: a path is wanted, such as extends = "base.toml"'
    ]
    assert read_mapping({"extends": "a\0"}, tmp_path).problems[0].endswith("is not a path")


def test_a_mapping_extends_a_file_as_well(tmp_path: Path) -> None:
    write(tmp_path, 'host = "base"', "base.toml")
    assert read_mapping({"extends": "base.toml"}, tmp_path).config.host == "base"


# --- references -------------------------------------------------------------------------------------------------------


def test_a_missing_variable_is_named_with_its_place() -> None:
    assert of_adapter(LOCAL, api_key={"env": "NOT_SET_ANYWHERE"}) == [
        "api_key: the environment variable NOT_SET_ANYWHERE isn't set"
    ]


def test_a_default_takes_the_place_of_a_missing_variable() -> None:
    assert adapter(attempts={"env": "NOT_SET_ANYWHERE", "default": 5}).attempts == 5


@pytest.mark.parametrize(
    ("spelled", "key", "value"),
    [("5", "attempts", 5), ("true", "floating", True), ("x", "model", "x"), ("2s", "attempt_timeout", 2 * SECOND)],
)
def test_text_from_the_environment_becomes_what_is_wanted(
    monkeypatch: pytest.MonkeyPatch, spelled: str, key: str, value: object
) -> None:
    monkeypatch.setenv("FROM_OUTSIDE", spelled)
    assert getattr(adapter(**{key: {"env": "FROM_OUTSIDE"}}), key) == value


@pytest.mark.parametrize("spelled", ["[1]", "null", '"5"', "{}", " " * 32 + "5"])
def test_text_from_the_environment_that_spells_no_number_stays_text(
    monkeypatch: pytest.MonkeyPatch, spelled: str
) -> None:
    monkeypatch.setenv("FROM_OUTSIDE", spelled)
    assert of_adapter(attempts={"env": "FROM_OUTSIDE"}) == ["attempts: a whole number is wanted, not text"]


def test_a_number_from_the_environment_may_have_32_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_OUTSIDE", " " * 31 + "5")
    assert adapter(attempts={"env": "FROM_OUTSIDE"}).attempts == 5


@pytest.mark.parametrize(
    "key", ["attempts", "floating", "attempt_timeout", "provider", "call", "breaker", "on_mismatch"]
)
@pytest.mark.parametrize("value", [CANARY, CANARY * 5, "[" + CANARY])
def test_a_wrong_value_from_the_environment_is_not_shown(monkeypatch: pytest.MonkeyPatch, key: str, value: str) -> None:
    monkeypatch.setenv("FROM_OUTSIDE", value)
    (problem,) = of_adapter(**{key: {"env": "FROM_OUTSIDE"}})
    assert problem.startswith(f"{key}: ")
    assert CANARY not in problem


def test_a_value_from_the_environment_is_shown_by_its_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_OUTSIDE", "soon")
    (problem,) = of_capability(deadline={"env": "FROM_OUTSIDE"})
    assert problem.startswith('deadline: { env = "FROM_OUTSIDE" } is not a duration')


def test_bytes_in_the_environment_that_are_not_utf_8_are_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_OUTSIDE", "\udcff")
    assert problems(host={"env": "FROM_OUTSIDE"}) == ["host: the environment variable FROM_OUTSIDE is not UTF-8"]


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_value_from_a_file_loses_one_newline(tmp_path: Path, ending: str) -> None:
    (tmp_path / "key").write_bytes(f"{CANARY}{ending}".encode())
    key = (
        read_mapping({"adapters": {"a": OPENAI | {"api_key": {"file": "key"}}}}, tmp_path).config.adapters["a"].api_key
    )
    assert key is not None
    assert key.get_secret_value() == CANARY


def test_a_file_with_two_newlines_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(CANARY + "\n\n")
    draft = read_mapping({"adapters": {"a": OPENAI | {"api_key": {"file": "key"}}}}, tmp_path)
    assert draft.problems == ["adapters.a.api_key: must be printable ASCII without white space around it"]


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (MAX_VALUE + 1))
    assert read_mapping({"host": {"file": "no"}}, tmp_path).problems == [
        'host: the file "no" can\'t be read: No such file or directory'
    ]
    assert read_mapping({"host": {"file": "large"}}, tmp_path).problems == [
        'host: the file "large" is larger than 64 KiB'
    ]


@pytest.mark.parametrize(
    "reference",
    [
        {"env": ""},
        {"env": 3},
        {"file": None},
        {"env": CANARY},
        {"env": "A", "file": "b"},
        {"file": "b", "default": CANARY},
        {"env": "A", "defualt": CANARY},
        {"env": "A", "default": [CANARY]},
    ],
)
def test_a_broken_reference_is_one_problem_without_its_values(reference: dict[str, Any]) -> None:
    (problem,) = of_adapter(OPENAI, api_key=reference)
    assert problem.startswith("api_key: ")
    assert CANARY not in problem


def test_an_adapter_may_be_named_env() -> None:
    assert set(read_mapping({"adapters": {"env": CALLABLE, "file": CALLABLE}}).config.adapters) == {"env", "file"}


def test_what_could_not_be_had_says_so_when_it_is_printed() -> None:
    assert repr(UNRESOLVED) == "UNRESOLVED"


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_an_inline_secret_in_code_may_be_a_secretstr() -> None:
    assert of_adapter(OPENAI, api_key=CANARY) == [
        "api_key: a secret must not stand in the configuration; "
        'write api_key = { env = "OPENAI_API_KEY" }, or hand in a pydantic.SecretStr'
    ]
    assert of_adapter(OPENAI) == []


@pytest.mark.parametrize(
    ("provider", "variable"),
    [
        ("mistral", "MISTRAL_API_KEY"),
        ("anthropic", "ANTHROPIC_API_KEY"),
        ("nobody", "API_KEY"),
        ([1], "API_KEY"),
        (None, "API_KEY"),
    ],
)
def test_the_way_out_names_the_variable_of_that_provider(provider: object, variable: str) -> None:
    draft = read_mapping({"adapters": {"a": {"provider": provider, "model": "m", "api_key": CANARY}}})
    (told,) = (each for each in draft.problems if each.startswith("adapters.a.api_key"))
    assert f'{{ env = "{variable}" }}' in told
    assert CANARY not in told


def test_a_header_is_a_secret_as_well(tmp_path: Path) -> None:
    draft = read_file(
        write(
            tmp_path,
            f'[adapters.a]\nprovider = "openai-compatible"\nmodel = "m"\nbase_url = "https://h"\nheaders = {{ X-Key = "{CANARY}" }}',
        )
    )
    assert draft.problems == [
        'adapters.a.headers.X-Key: a secret must not stand in the file; write X-Key = { env = "X_KEY" }'
    ]


def test_a_secret_has_no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = {"env": "FROM_OUTSIDE", "default": CANARY}
    assert "must not stand" in of_adapter(OPENAI, api_key=reference)[0]
    monkeypatch.setenv("FROM_OUTSIDE", "x")
    assert of_adapter(OPENAI, api_key=reference) == ["api_key: a secret has no default: it would stand in the file"]


@pytest.mark.parametrize("value", ["", f" {CANARY}", f"{CANARY}\n", f"{CANARY}é", 3])
def test_a_secret_that_no_header_can_carry_is_a_problem_and_not_shown(value: Any) -> None:
    (problem,) = of_adapter(OPENAI, api_key=SecretStr(value))
    assert problem.startswith("api_key: ")
    assert CANARY not in problem


def test_a_snapshot_names_secrets_and_never_holds_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_OUTSIDE", CANARY)
    (tmp_path / "key").write_text(CANARY)
    headers = {"A": {"env": "KEY_OUTSIDE"}, "B": {"file": "key"}, "C": SecretStr(CANARY)}
    draft = read_mapping({"adapters": {"a": LOCAL | {"headers": headers, "labels": {"z", "CUI"}}}}, tmp_path)
    assert draft.problems == []
    snapshot = draft.config.snapshot()
    plain = json.loads(snapshot)
    assert plain["adapters"]["a"]["headers"] == {"A": {"env": "KEY_OUTSIDE"}, "B": {"file": "key"}, "C": "<secret>"}
    assert plain["adapters"]["a"]["labels"] == ["CUI", "z"]
    assert CANARY not in snapshot.decode() + repr(draft)
    assert str(tmp_path) not in snapshot.decode()


def test_a_snapshot_names_where_other_text_came_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token may stand among a command's arguments, in a folder's name, in an option: anywhere."""
    for name in ("KEY", "TOKEN", "WORD"):
        monkeypatch.setenv(name, f"{CANARY}-{name}")
    monkeypatch.setenv("LEDGER", f"sqlite:///{CANARY}.db")
    monkeypatch.setenv("MODEL", "m-2")
    paths = {name: {"env": "WORD"} for name in ("key_state", "anchor_file", "case_keys", "spool")}
    key = {"key": {"env": "KEY"}, "payload_key": {"env": "KEY"}}
    given = {
        "ledger": paths | key | {"url": {"env": "LEDGER"}, "anchor_command": ["send", {"env": "TOKEN"}]},
        "state": {"scope": {"env": "WORD"}},
        "adapters": {
            "a": LOCAL
            | {"model": {"env": "MODEL"}, "weights": {"env": "WORD"}, "options": {"x": [{"y": {"env": "WORD"}}]}}
        },
        "on_ledger_failure": "continue",
        "retention": {"classes": {"c": {"after": "e", "keep_days": 1, "source": {"env": "WORD"}}}},
    }
    config = read_mapping(given, tmp_path).config
    assert config.ledger.anchor_command == ("send", f"{CANARY}-TOKEN")
    assert config.ledger.path == tmp_path / f"{CANARY}.db"
    assert config.ledger.anchor_path == tmp_path / f"{CANARY}-WORD"
    assert CANARY not in config.snapshot().decode() + repr(config)
    plain = json.loads(config.snapshot())
    assert plain["ledger"]["anchor_command"] == ["send", {"env": "TOKEN"}]
    assert plain["ledger"]["anchor_file"] == {"env": "WORD"}
    assert plain["ledger"]["url"] == {"env": "LEDGER"}
    assert plain["adapters"]["a"]["options"] == {"x": [{"y": {"env": "WORD"}}]}
    assert plain["adapters"]["a"]["model"] == "m-2", "the pin stands in each call's record, too"


def test_each_key_that_a_table_must_have_is_asked_for_by_an_example() -> None:
    given = {"retention": {"classes": {"c": {}}}, "adapters": {"a": {}}}
    assert sorted(read_mapping(given).problems) == [
        'adapters.a.model: is missing: write model = "gpt-4.1-2025-04-14", the pinned name',
        'adapters.a.provider: is missing: write provider = "openai-compatible"',
        'retention.classes.c.after: is missing: write after = "final-payment", the event that begins the period',
        "retention.classes.c.keep_days: is missing: write keep_days = 2192",
    ]
    wanted = {
        name for model in every_section(Section) for name, each in model.model_fields.items() if each.is_required()
    }
    assert wanted == EXAMPLES.keys()


def every_section(of: type[Section]) -> Iterator[type[Section]]:
    for each in of.__subclasses__():
        yield each
        yield from every_section(each)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"defualt": "c"}, 'retention.defualt: unknown key; did you mean "default"?'),
        ({"url": "x"}, "retention.url: belongs in [ledger]"),
        ({"keep_days": 3}, "retention.keep_days: belongs in [retention.classes.NAME]"),
        (
            {"classes": {"c": {"after": "e", "keep_days": 1, "kep_days": 2}}},
            'retention.classes.c.kep_days: unknown key; did you mean "keep_days"?',
        ),
    ],
)
def test_a_slip_in_how_long_cases_are_kept_is_told(table: dict[str, Any], problem: str) -> None:
    assert read_mapping({"retention": table}).problems == [problem]


def test_a_snapshot_does_not_depend_on_the_order_of_keys() -> None:
    ways = [
        {"host": "h", "adapters": {"a": LOCAL, "b": CALLABLE}},
        {"adapters": {"b": CALLABLE, "a": LOCAL}, "host": "h"},
    ]
    first, second = (read_mapping(each).config.snapshot() for each in ways)
    assert first == second


def test_a_secret_knows_its_origin_and_does_not_show_itself() -> None:
    secret = Secret(CANARY, {"env": "X"})
    assert secret.origin == {"env": "X"}
    assert CANARY not in repr(secret) + str(secret)


def test_a_validation_error_of_a_model_made_in_code_shows_no_value() -> None:
    with pytest.raises(ValidationError) as caught:
        AdapterConfig.model_validate(OPENAI | {"api_key": CANARY})
    assert CANARY not in str(caught.value)


# --- names and keys ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Not_Kebab", "x" * 5000, "a\nb"])
def test_names_are_kebab_case(name: str) -> None:
    for table in ("adapters", "capabilities"):
        (problem,) = problems(**{table: {name: CALLABLE if table == "adapters" else {}}})
        assert "is not a name: kebab-case" in problem
        assert problem.isprintable()
        assert len(problem) < 400


def test_no_adapter_is_named_fallback() -> None:
    assert of_adapter() == []
    assert problems(adapters={"fallback": CALLABLE}) == [
        'adapters.fallback: an adapter can\'t be named "fallback": that is who answers last'
    ]
    assert problems(capabilities={"fallback": {}}) == []


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ({"ledgr": {}}, 'ledgr: unknown key; did you mean "ledger"?'),
        ({"base": "x"}, "base: unknown key"),
        ({"source": "x"}, "source: unknown key"),
        ({"url": "x"}, "url: belongs in [ledger]"),
        ({"ledger": {"path": "x"}}, "ledger.path: unknown key"),
        (
            {"adapters": {"a": {**CALLABLE, "timeout": "8s"}}},
            'adapters.a.timeout: unknown key; did you mean "attempt_timeout"?',
        ),
        ({"adapters": {"a": {**CALLABLE, "trials": 3}}}, "adapters.a.trials: belongs in [adapters.NAME.breaker]"),
        (
            {"adapters": {"a": {**CALLABLE, "breaker": {"open_base": 3}}}},
            'adapters.a.breaker.open_base: unknown key; did you mean "open_base_s"?',
        ),
        (
            {"adapters": {"a": {**CALLABLE, "limits": {"requests_per_minut": 3}}}},
            'adapters.a.limits.requests_per_minut: unknown key; did you mean "requests_per_minute"?',
        ),
        (
            {"adapters": {"a": {**CALLABLE, "limits": {"trials": 3}}}},
            "adapters.a.limits.trials: belongs in [adapters.NAME.breaker]",
        ),
        (
            {"adapters": {"a": {**CALLABLE, "tokens_per_day": 3}}},
            "adapters.a.tokens_per_day: belongs in [adapters.NAME.limits]",
        ),
        ({"adapters": {"a": {**CALLABLE, "modle": "m"}}}, 'adapters.a.modle: unknown key; did you mean "model"?'),
        ({"capabilities": {"c": {"labels": []}}}, "capabilities.c.labels: belongs in [adapters.NAME]"),
        ({"capabilities": {"c": {"klass": "a:b"}}}, 'capabilities.c.klass: unknown key; did you mean "class"?'),
        ({"capabilities": {"c": {"a b": 1}}}, 'capabilities.c."a b": unknown key'),
    ],
)
def test_an_unknown_key_is_a_problem_that_says_what_was_meant(place: dict[str, Any], problem: str) -> None:
    assert problems(**place) == [problem]


def test_keys_are_text() -> None:
    assert read_mapping({3: 4}).problems == ["configuration: a key must be text, not int"]  # type: ignore[dict-item]
    assert problems(adapters={"\ud800": {}}) == ["adapters: a key must be text, not half a character"]
    assert problems(ledger={None: 4}) == ["ledger: a key must be text, not NoneType"]


def test_what_is_nested_too_deeply_is_a_problem() -> None:
    loop: dict[str, Any] = {}
    loop["a"] = loop
    assert problems(ledger=loop) == [f"ledger{'.a' * 8}: is nested too deeply", "ledger.a: unknown key"]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"adapters": 3}, "adapters: a table is wanted, not a whole number"),
        ({"adapters": {"a": "x"}}, "adapters.a: a table is wanted, not text"),
        ({"capabilities": {"c": []}}, "capabilities.c: a table is wanted, not a list"),
        ({"ledger": True}, "ledger: a table is wanted, not true or false"),
        ({"on_bug": 3}, "on_bug: text is wanted, not a whole number"),
        ({"on_bug": "zzz"}, 'on_bug: there is no "zzz"; it\'s one of "fallback", "raise"'),
        ({"host": {}}, "host: text is wanted, not a table"),
        ({"host": b"x"}, "host: text is wanted, not bytes"),
        ({"max_reply_bytes": 5}, "max_reply_bytes: must be at least 1,024"),
        ({"max_reply_bytes": 1 << 31}, "max_reply_bytes: must be at most 1,073,741,824"),
        ({"host": "a\nb"}, "host: must not contain control or format characters"),
        ({"host": "\ud800"}, "host: must not contain control or format characters"),
        ({"host": "é" * 65}, "host: must have 1 to 128 bytes"),
    ],
)
def test_a_value_of_the_wrong_kind_is_told_in_a_sentence(keys: dict[str, Any], problem: str) -> None:
    assert problems(**keys) == [problem]


@pytest.mark.parametrize("text", ["x", "x" * 256])
def test_text_has_1_to_256_characters(text: str) -> None:
    assert adapter(model=text).model == text


@pytest.mark.parametrize("character", ["\n", "\x7f", "\u200b", "\u202e", "\u00ad"])
def test_text_can_be_seen_as_it_is(character: str) -> None:
    assert of_adapter(model=f"a{character}b") == ["model: must not contain control or format characters"]


def test_a_label_has_1_to_128_bytes() -> None:
    assert adapter(labels=["x", "é" * 64]).labels == {"x", "é" * 64}
    assert problems(host="") == ["host: must have 1 to 128 bytes"]


def test_an_import_path_has_at_most_256_characters() -> None:
    longest = "m:" + "x" * 254
    assert adapter(call=longest).call == longest
    (problem,) = of_adapter(call=longest + "x")
    assert problem.endswith('is not an import path: write "package.module:name"')


def test_a_model_made_in_code_raises_pydantics_error_with_the_same_sentence() -> None:
    with pytest.raises(ValidationError, match="must have 1 to 256 characters, not 0"):
        AdapterConfig(provider="callable", model="")


# --- adapters ---------------------------------------------------------------------------------------------------------


def test_the_served_names_are_the_model_unless_said_otherwise() -> None:
    assert adapter().pin == Pin("house-1")
    assert adapter(served="x").pin == Pin("house-1", ("x",))
    assert adapter(served=["x", "y"]).pin == Pin("house-1", ("x", "y"))
    assert adapter(served_pattern="x.*").pin.admits("xy")
    assert not adapter(served_pattern="x.*").pin.admits("house-1")


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"served": []}, "served: must name at least one"),
        ({"served": 3}, "served: a list is wanted, not a whole number"),
        ({"served": {"env": "NOT_SET_ANYWHERE"}}, "served: the environment variable NOT_SET_ANYWHERE isn't set"),
        ({"served": "x", "served_pattern": "x"}, "served_pattern: served says which names are expected already: leave one of the two out"),
        ({"served_pattern": "("}, "served_pattern: is not a regular expression"),
        ({"served_pattern": "[[a]]"}, "served_pattern: is not a regular expression"),
        ({"served_pattern": "a{99999999999999999999}"}, "served_pattern: is not a regular expression"),
        ({"model": ""}, "model: must have 1 to 256 characters, not 0"),
        ({"model": "x" * 257}, "model: must have 1 to 256 characters, not 257"),
        ({"model": "a\x1bb"}, "model: must not contain control or format characters"),
        ({"labels": "CUI"}, "labels: a list is wanted, not text"),
        ({"labels": ["CUI", 3]}, "labels[1]: text is wanted, not a whole number"),
        ({"attempts": 0}, "attempts: must be at least 1"),
        ({"attempts": True}, "attempts: a whole number is wanted, not true or false"),
        ({"attempts": 1.5}, "attempts: a whole number is wanted, not a fraction"),
        ({"attempts": 10**5000}, "attempts: must be at most 10"),
        ({"attempt_timeout": "2h"}, 'attempt_timeout: "2h" is not between 100ms and 1h'),
        ({"attempt_timeout": {"env": "NOT_SET_ANYWHERE"}}, "attempt_timeout: the environment variable NOT_SET_ANYWHERE isn't set"),
        ({"floating": "true"}, "floating: true or false is wanted, not text"),
        ({"on_mismatch": "refused"}, 'on_mismatch: there is no "refused"; did you mean "refuse"?'),
        ({"call": "pkg.mod"}, 'call: "pkg.mod" is not an import path: write "package.module:name"'),
        ({"base_url": "https://h"}, "base_url: a callable adapter makes its own requests: leave it out"),
        ({"api_key": SecretStr("x")}, "api_key: a callable adapter makes its own requests: leave it out"),
        ({"headers": {"A": SecretStr("x")}}, "headers: a callable adapter makes its own requests: leave it out"),
    ],
)  # fmt: skip
def test_an_adapters_wrong_key_is_told(keys: dict[str, Any], problem: str) -> None:
    assert of_adapter(**keys) == [problem]


def test_a_header_has_a_name_that_http_takes() -> None:
    assert of_adapter(LOCAL, headers={"X Y": SecretStr("x")}) == ['headers."X Y": is not a header\'s name']


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        ("", "is empty"),
        *((each, "must be printable ASCII without white space around it") for each in ("a\x07b", " a", "é")),
    ],
)
def test_a_secret_can_be_sent(secret: str, problem: str) -> None:
    assert of_adapter(OPENAI, api_key=SecretStr(secret)) == [f"api_key: {problem}"]


def test_a_secret_in_a_model_made_in_code_is_a_secretstr() -> None:
    with pytest.raises(ValidationError, match=r"a secret is a pydantic\.SecretStr, or \{ env") as caught:
        AdapterConfig(provider="openai", model="m", api_key=CANARY)  # type: ignore[arg-type]
    assert CANARY not in str(caught.value)


def test_a_name_has_at_most_64_characters() -> None:
    assert problems(adapters={"a" * 64: CALLABLE}) == []
    (problem,) = problems(adapters={"a" * 65: CALLABLE})
    assert len(problem) < 300


def test_a_header_has_a_value() -> None:
    assert of_adapter(LOCAL, headers={"X": None}) == ["headers.X: text is wanted, not NoneType"]


def test_a_header_has_one_value() -> None:
    assert of_adapter(LOCAL, headers={"X-A": SecretStr("x"), "x-a": SecretStr("y")}) == [
        "headers: a header is named twice: upper and lower case mean the same"
    ]


def test_what_only_callables_have_is_refused_elsewhere() -> None:
    assert of_adapter(LOCAL, call="a:b") == ['call: belongs to provider = "callable" only']
    assert adapter(call="a.b:c.d").call == "a.b:c.d"


def test_openai_needs_a_key_and_openai_compatible_an_address() -> None:
    without = {key: each for key, each in OPENAI.items() if key != "api_key"}
    assert of_adapter(without) == ['api_key: is missing: write api_key = { env = "OPENAI_API_KEY" }']
    assert of_adapter({"provider": "openai-compatible", "model": "m"}) == [
        'base_url: is missing: write base_url = "https://host/v1"'
    ]


def test_the_rules_about_two_keys_wait_for_a_provider() -> None:
    names = ", ".join(f'"{each}"' for each in known())
    assert of_adapter({"provider": "x", "model": "m", "call": "a:b"}) == [
        f'provider: there is no "x"; it\'s one of {names}'
    ]


@pytest.mark.parametrize(
    "url",
    ["x", "ftp://h", "https://", "//h/v1", "https://[", "https://h/#f", "https://h/a b", "http://localhost\\.evil"],
)  # fmt: skip
def test_an_address_is_absolute(url: str) -> None:
    assert of_adapter(LOCAL, base_url=url) == [
        'base_url: must be an absolute http or https URL, such as "https://host/v1"'
    ]


@pytest.mark.parametrize("port", ["0", "x", "65536", "-1", "٣"])
def test_an_address_has_a_port_that_there_is(port: str) -> None:
    assert of_adapter(LOCAL, base_url=f"https://h:{port}/v1") == ["base_url: its port is not a number from 1 to 65535"]


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".org", "☃.net", "999.1.1.1", CANARY + "..b"])
def test_an_address_has_a_host_that_can_be_looked_up(host: str) -> None:
    (problem,) = of_adapter(LOCAL, base_url=f"https://{host}/v1")
    assert problem == "base_url: its host is no name or address that can be looked up"


@pytest.mark.parametrize(
    "host", ["h", "h.", "exämple.org", "xn--exmple-cua.org", "my_host", "10.0.0.1", "[::1]", "[fe80::1]"]
)
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    assert of_adapter(LOCAL, base_url=f"https://{host}:65535/v1") == []


@pytest.mark.parametrize("given", [None, [], 5, "failsoft.toml", b"x", [("host", "h")]])
def test_what_is_no_mapping_is_a_problem(given: Any) -> None:
    (problem,) = read_mapping(given).problems
    assert problem.startswith("configuration: a table (a mapping) or a failsoft.config.Config is wanted, not ")


# --- what's wrong hides nothing else ----------------------------------------------------------------------------------


def kept(base: dict[str, Any] = CALLABLE, /, **keys: Any) -> AdapterConfig:
    """What can be made of an adapter in which something is wrong."""
    draft = read_mapping({"adapters": {"a": base | keys}})
    assert draft.problems != []
    return draft.config.adapters["a"]


def test_a_wrong_key_is_left_out_and_the_rest_of_its_table_is_kept() -> None:
    assert kept(attempts=0, labels=["CUI"], bogus=1) == adapter(labels=["CUI"])
    assert kept(LOCAL, headers={"X Y": SecretStr("x")}, attempts=2) == adapter(LOCAL, attempts=2)
    assert kept(labels=["CUI", 3], attempts=2) == adapter(attempts=2)
    assert kept(breaker={"rate": 20, "trials": 0}).breaker == BreakerConfig(rate=20)
    assert kept(breaker=5) == adapter()


def test_a_key_that_others_need_has_something_in_its_place_that_causes_no_other_problem() -> None:
    assert kept({"provider": "callable"}).floating
    assert kept(model="").floating
    assert kept(floating="yes").floating
    assert kept(LOCAL, base_url="http://far/v1", allow_http=5).allow_http
    assert kept(LOCAL, base_url=5, model="gpt-4o").model == "gpt-4o"
    assert kept(OPENAI, api_key=CANARY, model="gpt-4o").model == "gpt-4o"
    assert kept(base_url="https://h", api_key=SecretStr("x"), attempts=2) == adapter(attempts=2)
    assert kept(base_url="https://h", attempts=2) == kept(api_key=SecretStr("x"), attempts=2) == adapter(attempts=2)


def test_a_wrong_import_path_isnt_taken_for_a_missing_one() -> None:
    assert kept(call="pkg.mod").call == UNREAD
    draft = read_mapping({"capabilities": {"c": {"class": "pkg.mod", "fallback": "a:b"}}})
    assert len(draft.problems) == 1
    assert (draft.config.capabilities["c"].class_path, draft.config.capabilities["c"].fallback) == (UNREAD, "a:b")


def test_a_table_under_a_wrong_name_is_kept_under_it() -> None:
    draft = read_mapping({"adapters": {"fallback": CALLABLE}, "capabilities": {"A b": {"fallback": "a:b"}}})
    assert len(draft.problems) == 2
    assert draft.config.adapters == {"fallback": adapter()}
    assert draft.config.capabilities["A b"].fallback == "a:b"


@pytest.mark.parametrize("given", [5, {"model": "m"}, {"provider": "x", "model": "m"}, {"env": "NOT_SET_ANYWHERE"}])
def test_nothing_can_be_made_of_an_adapter_without_a_provider(given: Any) -> None:
    draft = read_mapping({"adapters": {"a": given, "b": CALLABLE}})
    assert draft.problems != []
    assert set(draft.config.adapters) == {"b"}


@pytest.mark.parametrize(
    "url",
    [f"https://u:{CANARY}@h", f"https://{CANARY}@h", f"https://h/v1?api_key={CANARY}", f"https://h?X-Token={CANARY}", f"https://h?sig={CANARY}"],
)  # fmt: skip
def test_a_secret_in_an_address_is_a_problem_and_not_shown(url: str) -> None:
    assert of_adapter(LOCAL, base_url=url) == [
        'base_url: a secret must not stand in a URL: write api_key = { env = "NAME" } or a header'
    ]


@pytest.mark.parametrize("host", ["example.org", "10.0.0.1", "localhost.example.org", "127.1", "[::2]"])
def test_plain_http_leaves_this_machine_only_when_allowed(host: str) -> None:
    (problem,) = of_adapter(LOCAL, base_url=f"http://{host}/v1")
    assert "write allow_http = true" in problem
    assert of_adapter(LOCAL, base_url=f"http://{host}/v1", allow_http=True) == []


@pytest.mark.parametrize("url", ["http://127.3.2.1", "http://[::1]:80", "http://LOCALHOST", "https://h?api-version=1"])
def test_loopback_and_https_need_no_leave(url: str) -> None:
    assert of_adapter(LOCAL, base_url=url) == []


def test_labels_are_normalised_as_contexts_do() -> None:
    assert adapter(labels=["Cafe\u0301"]).labels == {"Caf\u00e9"}


# --- the breaker's figures --------------------------------------------------------------------------------------------


def test_a_breakers_keys_are_those_of_its_settings() -> None:
    assert list(BreakerConfig.model_fields) == [each.name for each in fields(BreakerSettings) if each.init]


def test_a_breakers_figures_reach_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_OUTSIDE", "7.5")
    breaker = adapter(
        breaker={"open_base_s": "250ms", "window_s": 30, "consecutive": 4, "lease_slack_s": {"env": "FROM_OUTSIDE"}}
    ).breaker
    assert breaker is not None
    assert breaker.overrides() == {"open_base_s": 0.25, "window_s": 30, "consecutive": 4, "lease_slack_s": 7.5}
    assert BreakerSettings(**breaker.overrides()).open_base_s == 0.25


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"rate": float("nan")}, "rate: must be at least 0"),
        ({"rate": float("inf")}, "rate: must be at most 1,000,000"),
        ({"rate": "x"}, "rate: a number is wanted, not text"),
        ({"open_base_s": "soon"}, "open_base_s: a number is wanted, not text"),
        ({"rate": 10**5000}, "rate: a number is wanted, not a whole number"),
        ({"trials": 0}, "trials: must be at least 1"),
    ],
)
def test_a_breakers_wrong_figure_is_told(keys: dict[str, Any], problem: str) -> None:
    assert of_adapter(breaker=keys) == [f"breaker.{problem}"]


# --- capabilities -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [("8s", 8 * SECOND), ("250ms", SECOND // 4), ("2m", 120 * SECOND), ("1h", 3600 * SECOND), ("1.5s", 1_500_000_000)],
)
def test_a_duration_is_read_to_the_nanosecond(text: str, value: int) -> None:
    assert parse_duration(text) == value
    assert capability(deadline=text).deadline == value


@pytest.mark.parametrize("text", ["100ms", "1h", "60m"])
def test_a_duration_may_be_as_short_and_as_long_as_its_bounds(text: str) -> None:
    assert capability(deadline=text).deadline == parse_duration(text)


@pytest.mark.parametrize("text", ["", "8", "s", "8 seconds", "-8s", "1e3s", "٣s", "8s\n", "9" * 5000 + "s", "."])
def test_what_has_no_unit_or_no_number_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r'^not a duration: write "8s", "250ms", "2m" or "1h"$'):
        parse_duration(text)
    (problem,) = of_capability(deadline=text)
    assert problem.endswith('is not a duration: write "8s", "250ms", "2m" or "1h"')
    assert len(problem) < 200


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"deadline": 8}, 'deadline: a duration has a unit: write "8s", "250ms", "2m" or "1h"'),
        ({"deadline": "99ms"}, 'deadline: "99ms" is not between 100ms and 1h'),
        ({"degraded_window": "25h"}, 'degraded_window: "25h" is not between 1s and 24h'),
        ({"degraded_limit": 101}, "degraded_limit: must be at most 100"),
        ({"fallback": "a.b"}, 'fallback: "a.b" is not an import path: write "package.module:name"'),
        ({"class": "a.b"}, 'class: "a.b" is not an import path: write "package.module:name"'),
        ({"adapters": "gpt"}, "adapters: a list is wanted, not text"),
        ({"adapters": []}, "adapters: names nobody: name an adapter, or leave the key out where only the fallback shall answer"),
        ({"adapters": ["a", "a"]}, 'adapters: "a" is named twice'),
        ({"adapters": ["a", "fallback"]}, 'adapters: the fallback is always last and needs no mention: leave "fallback" out'),
    ],
)  # fmt: skip
def test_a_capabilitys_wrong_key_is_told(keys: dict[str, Any], problem: str) -> None:
    assert of_capability(**keys) == [problem]


def test_unknown_adapters_are_offered_with_the_name_that_was_meant() -> None:
    draft = read_mapping(
        {
            "adapters": {"local": CALLABLE, "gpt": {"provider": "wrong"}},
            "capabilities": {
                "classify-item": {"adapters": ["gpt", "lokal", "fallback"]},
                "d": {"adapters": ["zzz"], "deadline": 3},
                "e": {"adapters": 3},
                "f": 3,
            },
        }
    )
    assert [str(each) for each in unknown_adapters(draft)] == [
        'capabilities.classify-item.adapters[1]: no adapter named "lokal"; did you mean "local"?',
        'capabilities.d.adapters[0]: no adapter named "zzz"',
    ]


def test_a_config_made_in_code_is_taken_as_it_is() -> None:
    config = Config(
        adapters={"local": AdapterConfig(provider="callable", model="m")},
        capabilities={"c": CapabilityConfig(adapters=("lokal",))},
    )
    draft = read_mapping(config)
    assert draft.config is config
    (unknown,) = unknown_adapters(draft)
    assert (unknown.capability, unknown.index, unknown.name, unknown.suggestion) == ("c", 0, "lokal", "local")


# --- the ledger -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["", "sqlite://x", "sqlite:///", "sqlite:////", "sqlite:///:memory:", "sqlite:///a?b", "sqlite:///a\0", "mysql://h"])  # fmt: skip
def test_a_ledgers_url_names_a_file_or_none(url: str) -> None:
    assert problems(ledger={"url": url}) == [
        'ledger.url: must be "sqlite:///file.db", "sqlite:////absolute/file.db", "postgresql://host/database" or "none"'
    ]


@pytest.mark.parametrize("url", ["sqlite:///.", "sqlite:///./", "sqlite:///..", "sqlite:////srv/..", "sqlite://////"])
def test_a_ledgers_url_that_can_only_be_a_folder_is_told_so(url: str) -> None:
    assert problems(ledger={"url": url}) == [
        'ledger.url: names a folder: name a file in it, such as "sqlite:///failsoft.db"'
    ]


def test_a_ledger_is_relative_to_the_configuration_or_absolute_or_off(tmp_path: Path) -> None:
    def path(url: str) -> Path | None:
        return read_mapping({"ledger": {"url": url}}, tmp_path).config.ledger.path

    assert path("sqlite:///l.db") == tmp_path / "l.db"
    assert path("sqlite:////abs/l.db") == Path("/abs/l.db")
    assert path("none") is None
    assert LedgerConfig().path == Path.cwd() / "failsoft.db"


# --- whatever comes ---------------------------------------------------------------------------------------------------

KEYS = st.sampled_from(
    sorted(
        {key for each in (Config, LedgerConfig, AdapterConfig, BreakerConfig, CapabilityConfig) for key in each.model_fields}
        | {"class", "extends", "env", "file", "default", "a", "fallback", "X Y"}
    )
) | st.text(max_size=4)  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.binary(max_size=3)
    | st.datetimes()
    | st.sampled_from(["8s", "openai", "callable", "none", "sqlite:///x", "a:b", "https://h/v1", "PATH", 10**400])
    | st.builds(SecretStr, st.just(CANARY) | st.text(max_size=3))
)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=20
)
SECRET = st.sampled_from(
    [CANARY, [CANARY], {"env": CANARY}, {"env": "CANARY_IN_ENV"}, SecretStr(CANARY), {"x": CANARY}]
)
ADAPTERS = st.fixed_dictionaries(
    {"provider": st.sampled_from(["openai", "openai-compatible", "callable", "x"]), "model": st.just("m") | TREES},
    optional={"api_key": SECRET, "headers": SECRET | st.dictionaries(KEYS, SECRET, max_size=2), "base_url": TREES},
)
CONFIGURATIONS = st.fixed_dictionaries(
    {},
    optional={
        "adapters": st.dictionaries(KEYS, ADAPTERS | TREES, max_size=3) | TREES,
        "capabilities": st.dictionaries(KEYS, st.dictionaries(KEYS, TREES, max_size=4), max_size=2) | TREES,
        "ledger": st.dictionaries(KEYS, TREES, max_size=3),
        "on_bug": TREES,
        "max_reply_bytes": TREES,
    },
)


def check(draft: Draft) -> None:
    for each in draft.problems:
        assert each.isprintable()
    text = "".join((*draft.problems, *map(str, unknown_adapters(draft)), repr(draft), draft.config.snapshot().decode()))
    assert CANARY not in text


@pytest.fixture(autouse=True)
def _canary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_IN_ENV", CANARY)


@given(CONFIGURATIONS)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])  # fmt: skip
def test_no_mapping_makes_it_raise_or_tell_a_secret(raw: dict[str, Any]) -> None:
    check(read_mapping(raw))


@given(st.binary(max_size=200) | st.text(alphabet="[]{}=\".\n aβ1,#'-:", max_size=80).map(lambda text: text.encode()))
@example(b"\x00")
@example(b"[a.b]\n[a]\nb=1")
@example(b"a=" + b"[" * 3000)
@example(b"[" + b"a." * 3000 + b"a]")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_file_makes_it_raise(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "f.toml"
    path.write_bytes(content)
    check(read_file(path))


@given(st.lists(st.sampled_from(
    ['api_key = "{0}"', 'headers = {{ X = "{0}" }}', "api_key = {0}", 'api_key = {{ env = "{0}" }}', 'apikey = "{0}"',
     'base_url = "https://{0}@h"', 'api_key = {{ env = "CANARY_IN_ENV" }}', 'provider = {{ env = "CANARY_IN_ENV" }}',
     'provider = "openai"', 'api_key = ["{0}"]', 'api_key."{0}', "[ledger]", 'url = "postgresql://u:{0}@h/"', "[adapters.b]"]
), max_size=6))  # fmt: skip
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_file_makes_it_tell_a_secret(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "f.toml"
    path.write_text("[adapters.a]\n" + "\n".join(lines).format(CANARY))
    check(read_file(path))


def test_reading_does_not_need_much_of_the_stack(tmp_path: Path) -> None:
    path = write(tmp_path, "[" + "a." * sys.getrecursionlimit() * 3 + "a]")
    assert any("nested too deeply" in each for each in read_file(path).problems)


def test_limits_are_whole_numbers_from_one() -> None:
    draft = read_mapping({"adapters": {"a": {**CALLABLE, "limits": {"requests_per_minute": 0, "tokens_per_day": 1.5}}}})
    text = "\n".join(draft.problems)
    assert "adapters.a.limits.requests_per_minute" in text
    assert "adapters.a.limits.tokens_per_day" in text


# --- streams ----------------------------------------------------------------------------------------------------------


def streaming(**keys: Any) -> AdapterConfig:
    return AdapterConfig(provider="openai-compatible", model="m", base_url="http://127.0.0.1/v1", **keys)


def test_a_stream_has_times_and_an_end() -> None:
    config = streaming(stream=True, stream_first="1m", stream_gap="500ms", stream_end="both")
    assert (config.stream_first, config.stream_gap, config.stream_end) == (60 * SECOND, SECOND // 2, "both")


@pytest.mark.parametrize("key", ["stream_first", "stream_gap"])
@pytest.mark.parametrize("value", ["99ms", "61m", 5, "5"])
def test_a_streams_time_out_of_range_is_refused(key: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        streaming(stream=True, **{key: value})
    assert caught.value.errors()[0]["loc"] == (key,)


@pytest.mark.parametrize("keys", [{"stream_first": "1s"}, {"stream_gap": "1s"}, {"stream_end": "done"}])
def test_a_streams_figures_without_a_stream_are_told(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="nothing is streamed: write stream = true"):
        streaming(**keys)


def test_a_callable_adapter_makes_its_own_requests_and_streams_them_itself() -> None:
    with pytest.raises(ValidationError, match="makes its own requests"):
        AdapterConfig(provider="callable", model="m", stream=True)


# --- shared state -----------------------------------------------------------------------------------------------------

DATABASE = "postgresql://app:canary-7f3a@db.internal/app"


def test_state_is_shared_through_a_file_unless_another_place_is_named() -> None:
    state = read_mapping({}).config.state
    assert (state.url, state.kind, state.database) == ("file", "file", None)
    assert (state.scope, state.refresh, state.timeout) == ("default", 10**9, 50_000_000)
    assert read_mapping({"state": {"url": "none"}}).config.state.kind == "none"


def test_a_database_with_a_password_is_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", DATABASE)
    path = tmp_path / "failsoft.toml"
    path.write_text('[state]\nurl = { env = "DATABASE_URL" }\n')
    draft = read_file(path)
    assert draft.problems == []
    assert draft.config.state.database == DATABASE
    assert draft.config.state.kind == "postgresql"
    assert "canary" not in repr(draft) + draft.config.snapshot().decode()
    assert json.loads(draft.config.snapshot())["state"]["url"] == {"env": "DATABASE_URL"}


@pytest.mark.parametrize(
    "url", [DATABASE, "postgresql://h/d?password=canary-7f3a", "postgres://h/d?sslpassword=canary-7f3a"]
)
def test_one_that_stands_in_the_file_is_a_problem_and_not_shown(tmp_path: Path, url: str) -> None:
    path = tmp_path / "failsoft.toml"
    path.write_text(f'[state]\nurl = "{url}"\n')
    assert read_file(path).problems == [
        'state.url: a secret must not stand in the file; write url = { env = "DATABASE_URL" }'
    ]


def test_in_code_it_may_be_a_secretstr_and_one_without_a_password_is_no_secret() -> None:
    assert read_mapping({"state": {"url": SecretStr(DATABASE)}}).config.state.database == DATABASE
    draft = read_mapping({"state": {"url": "postgresql://db.internal/app"}})
    assert draft.problems == []
    assert json.loads(draft.config.snapshot())["state"]["url"] == "postgresql://db.internal/app"


@pytest.mark.parametrize("room", ["state", "ledger"])
@pytest.mark.parametrize(
    "rest", ["[canary", "app:can#ary@db/x", "app:can/ary@db/x", "app:1/canary@db/x", "app:can?ary@db/x"]
)
def test_an_address_whose_parts_arent_plain_is_none(room: str, rest: str) -> None:
    """Half of a password, taken for a host or a database, would stand in snapshots and messages."""
    draft = read_mapping({room: {"url": f"postgresql://{rest}"}})
    (problem,) = draft.problems
    assert problem.startswith(f"{room}.url: it is no address of a PostgreSQL database")
    assert "ary" not in problem


@pytest.mark.parametrize("url", ["redis://canary", "", 5, SecretStr("canary")])
def test_a_store_that_there_isnt_is_a_problem(url: object) -> None:
    assert read_mapping({"state": {"url": url}}).problems == [
        'state.url: must be "file", "none" or "postgresql://host/database"'
    ]


def test_the_keys_of_a_state_have_ranges_and_are_told_all_at_once() -> None:
    table = {"scope": "", "refresh": "50ms", "timeout": "11s", "origin": "x"}
    assert read_mapping({"state": table}).problems == [
        "state.scope: must have 1 to 128 bytes",
        'state.refresh: "50ms" is not between 100ms and 10s',
        'state.timeout: "11s" is not between 10ms and 10s',
        "state.origin: belongs in [ledger]",
    ]


def test_a_key_that_is_not_there_yet_is_told_with_what_makes_one(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    text = """
        [ledger]
        key = { file = "ledger.key" }
        payload_key = { file = "there" }
    """
    (tmp_path / "f.toml").write_text(text)
    first, second = read_file(tmp_path / "f.toml").problems
    assert first.endswith("directory (`failsoft keys new ledger.key --name ORIGIN` makes one)")
    assert second.endswith("is not a regular file")


def test_what_came_by_a_reference_can_be_copied_and_is_written_alike_everywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SCOPE", "e\u0301-team")
    config = read_mapping({"state": {"scope": {"env": "SCOPE"}}}).config
    assert config.state.scope == "\xe9-team"
    for twin in (copy.deepcopy(config), pickle.loads(pickle.dumps(config)), config.model_copy(deep=True)):
        assert twin.snapshot() == config.snapshot()
        assert b'"scope":{"env":"SCOPE"}' in twin.snapshot()
